{# Over 400 lines: each kind of goal is counted in its own way. #}
{% set today = reporting_date(run_time()) %}
{% set starts = {
    'weekly': week_start('%s'),
    'monthly': "date_trunc('month', %s)::date",
    'quarterly': "date_trunc('quarter', %s)::date",
    'yearly': "date_trunc('year', %s)::date",
} %}
{% set lengths = {
    'weekly': '7 days', 'monthly': '1 month', 'quarterly': '3 months',
    'yearly': '1 year',
} %}

with

currencies as (
    select * from {{ ref('stg_pipedrive__currencies') }}
),

users as (
    select * from {{ ref('dim_users') }}
),

activity_types as (
    select * from {{ ref('stg_pipedrive__activity_types') }}
),

deals as (
    select * from {{ ref('fct_deals') }}
    where not is_deleted
),

activities as (
    select * from {{ ref('fct_activities') }}
    where not is_deleted
),

exchange_rates as (
    select * from {{ ref('int_exchange_rates') }}
),

goals as (
    select
        goals.goal_id,
        goals.assignee_id,
        goals.assignee_type,
        goals.goal_type,
        goals.goal_interval,
        goals.tracking_metric,
        goals.title,
        goals.target,
        goals.is_active,
        currencies.currency,
        {{ plausible('goals.start_date') }} as start_date,
        {{ plausible('goals.end_date') }} as end_date,
        chosen.pipeline_ids,
        chosen.stage_ids,
        case
            when chosen.activity_type_ids is not null
                then array(
                    select activity_types.activity_type_key
                    from activity_types
                    where activity_types.activity_type_id::text
                        = any(chosen.activity_type_ids)
                )
        end as activity_type_keys
    from {{ ref('stg_pipedrive__goals') }} as goals
    left join currencies on goals.currency_id = currencies.currency_id
    {# A missing list means all of them. #}
    cross join lateral (
        select
            {%- for name in ['pipeline', 'stage', 'activity_type'] %}
            {%- set ids = "goals.goal_parameters -> '" ~ name ~ "_id'" %}
            case jsonb_typeof({{ ids }})
                when 'array'
                    then nullif(
                        array(select jsonb_array_elements_text({{ ids }})), '{}'
                    )
                when 'number' then array[({{ ids }})::text]
                when 'string' then array[({{ ids }}) #>> '{}']
            end as {{ name }}_ids{{ ',' if not loop.last }}
            {%- endfor %}
    ) as chosen
    where not goals.is_deleted
),

periods as (
    select
        goals.*,
        starts.period_key::date as period_key,
        greatest(starts.period_key::date, goals.start_date)
            as period_start_date,
        least(
            case goals.goal_interval
                {%- for name, length in lengths.items() %}
                when '{{ name }}'
                    then (
                        starts.period_key + interval '{{ length }}'
                    )::date - 1
                {%- endfor %}
            end,
            goals.end_date
        ) as period_end_date
    from goals
    cross join lateral generate_series(
        case goals.goal_interval
            {%- for name, start in starts.items() %}
            when '{{ name }}'
                then ({{ start | replace('%s', 'goals.start_date') }})::timestamp
            {%- endfor %}
            else goals.start_date::timestamp
        end,
        least(goals.end_date, {{ today }})::timestamp,
        case goals.goal_interval
            {%- for name, length in lengths.items() %}
            when '{{ name }}' then interval '{{ length }}'
            {%- endfor %}
            else interval '1000 years'
        end
    ) as starts (period_key)
    where goals.start_date <= least(goals.end_date, {{ today }})
),

deal_events as (
    select
        'deals_won' as goal_type,
        deal_id,
        null::bigint as stage_id,
        closed_date as event_date
    from deals
    where is_won
    union all
    select
        'deals_started' as goal_type,
        deal_id,
        null as stage_id,
        created_date as event_date
    from deals
    union all
    select
        'deals_progressed' as goal_type,
        deal_id,
        stage_id,
        entered_date as event_date
    from {{ ref('fct_deal_stage_history') }}
    where visit_number = 1
),

events as (
    select
        deal_events.goal_type,
        deals.owner_id,
        deals.pipeline_id,
        deal_events.stage_id,
        null as activity_type_key,
        deals.currency,
        deals.value,
        deals.reporting_value,
        deals.exchange_date,
        deal_events.event_date
    from deal_events
    inner join deals on deal_events.deal_id = deals.deal_id
    union all
    select
        dated.goal_type,
        activities.owner_id,
        deals.pipeline_id,
        null as stage_id,
        activities.activity_type_key,
        null as currency,
        null as value,
        null as reporting_value,
        null as exchange_date,
        dated.event_date
    from activities
    cross join lateral (
        values
        (
            'activities_completed',
            case when activities.is_done then activities.done_date end
        ),
        ('activities_added', activities.created_date)
    ) as dated (goal_type, event_date)
    left join deals on activities.deal_id = deals.deal_id
),

{# The events that may count towards a period, and the open deals that may still
   do so. #}
candidates as (
    select
        goals.goal_id,
        goals.currency as goal_currency,
        'actual' as part,
        case goals.goal_interval
            {%- for name, start in starts.items() %}
            when '{{ name }}'
                then {{ start | replace('%s', 'events.event_date') }}
            {%- endfor %}
            else goals.start_date
        end as period_key,
        events.currency,
        events.value,
        events.reporting_value,
        events.exchange_date
    from goals
    inner join events
        on goals.goal_type = events.goal_type
        and (
            goals.assignee_type = 'company'
            or (
                goals.assignee_type = 'person'
                and goals.assignee_id = events.owner_id
            )
        )
        and (
            goals.pipeline_ids is null
            or events.pipeline_id::text = any(goals.pipeline_ids)
        )
        and (
            goals.goal_type != 'deals_progressed'
            or goals.stage_ids is null
            or events.stage_id::text = any(goals.stage_ids)
        )
        and (
            goals.activity_type_keys is null
            or events.activity_type_key = any(goals.activity_type_keys)
        )
        and events.event_date between goals.start_date
        and coalesce(goals.end_date, 'infinity')
    union all
    select
        periods.goal_id,
        periods.currency as goal_currency,
        'pipeline' as part,
        periods.period_key,
        deals.currency,
        deals.value,
        deals.reporting_value,
        deals.exchange_date
    from periods
    inner join deals
        on deals.is_open
        and not deals.is_archived
        and (
            periods.assignee_type = 'company'
            or (
                periods.assignee_type = 'person'
                and periods.assignee_id = deals.owner_id
            )
        )
        and (
            periods.pipeline_ids is null
            or deals.pipeline_id::text = any(periods.pipeline_ids)
        )
        and {{ plausible('deals.expected_close_date') }}
        <= coalesce(periods.period_end_date, 'infinity')
    where
        periods.goal_type = 'deals_won'
        and coalesce(periods.period_end_date, 'infinity') >= {{ today }}
),

candidates_converted as (
    select
        candidates.*,
        case
            when
                candidates.currency = candidates.goal_currency
                or candidates.value = 0
                then candidates.value
            when candidates.goal_currency = {{ reporting_currency() }}
                then candidates.reporting_value
            else candidates.reporting_value / rates.rate
        end as amount
    from candidates
    left join exchange_rates as rates
        on candidates.goal_currency = rates.currency
        and candidates.exchange_date = rates.rate_date
),

sums as (
    select
        goal_id,
        period_key,
        {%- for part in ['actual', 'pipeline'] %}
        count(*) filter (where part = '{{ part }}') as {{ part }}_count,
        case
            when
                count(value) filter (where part = '{{ part }}')
                = count(amount) filter (where part = '{{ part }}')
                then coalesce(
                    sum(amount) filter (where part = '{{ part }}'), 0
                )
        end as {{ part }}_amount{{ ',' if not loop.last }}
        {%- endfor %},
        count(value) filter (where part = 'actual')
        - count(amount) filter (where part = 'actual') as unconverted_count
    from candidates_converted
    group by goal_id, period_key
),

periods_measured as (
    select
        periods.*,
        case
            when periods.assignee_type not in ('company', 'person')
                then 'assignee'
            when periods.goal_type not in (
                'deals_won', 'deals_started', 'deals_progressed',
                'activities_completed', 'activities_added'
            )
                then 'goal_type'
            when
                periods.tracking_metric = 'sum'
                and coalesce(sums.unconverted_count, 0) > 0
                then 'rate'
        end as unmeasured_reason,
        case
            when periods.tracking_metric = 'sum'
                then coalesce(sums.unconverted_count, 0)
            else 0
        end as unconverted_count,
        case
            when sums.goal_id is null then 0
            when periods.tracking_metric = 'sum' then sums.actual_amount
            else sums.actual_count
        end as actual,
        case
            when sums.goal_id is null then 0
            when periods.tracking_metric = 'sum' then sums.pipeline_amount
            else sums.pipeline_count
        end as open_pipeline,
        (
            {{ today }} between periods.period_start_date
            and coalesce(periods.period_end_date, 'infinity')
        ) as is_current
    from periods
    left join sums
        on periods.goal_id = sums.goal_id
        and periods.period_key = sums.period_key
),

periods_attained as (
    select
        *,
        case
            when coalesce(unmeasured_reason, 'rate') = 'rate' then actual
        end as known_actual,
        case
            when
                coalesce(unmeasured_reason, 'rate') = 'rate'
                and goal_type = 'deals_won'
                and is_current
                then open_pipeline
        end as known_pipeline
    from periods_measured
),

periods_left as (
    select
        *,
        case
            when target > known_actual then target - known_actual
            when target <= known_actual then 0
        end as remaining
    from periods_attained
),

final as (
    select
        -- ids
        jsonb_build_array(goal_id, period_key)::text as goal_attainment_id,
        goal_id,
        case when assignee_type = 'person' then assignee_id end as owner_id,

        -- strings
        periods.title,
        periods.goal_type,
        periods.goal_interval,
        periods.assignee_type,
        users.name as owner_name,
        periods.tracking_metric,
        case when periods.tracking_metric = 'sum' then periods.currency end
            as currency,
        periods.unmeasured_reason,

        -- numerics
        {{ scaled('periods.target') }} as target,
        {{ scaled('periods.known_actual') }} as actual,
        {{ scaled('periods.remaining') }} as remaining,
        round(
            periods.known_actual * 1.0 / nullif(periods.target, 0), 4
        ) as attainment_ratio,
        {{ scaled('periods.known_pipeline') }} as open_pipeline,
        round(
            periods.known_pipeline * 1.0 / nullif(periods.remaining, 0), 4
        ) as coverage_ratio,
        periods.unconverted_count,
        case
            when periods.period_end_date is not null
                then round(
                    (
                        least({{ today }}, periods.period_end_date)
                        - periods.period_start_date + 1
                    ) * 1.0
                    / (
                        periods.period_end_date - periods.period_start_date + 1
                    ),
                    4
                )
        end as elapsed_rate,

        -- booleans
        periods.is_active,
        periods.is_current,

        -- dates
        periods.period_start_date,
        periods.period_end_date
    from periods_left as periods
    left join users
        on periods.assignee_id = users.user_id
        and periods.assignee_type = 'person'
)

select * from final
