{{ config(materialized='table', post_hook='analyze {{ this }}') }}

{% set fields = [
    'status', 'put_away', 'stage_id', 'value', 'currency', 'user_id',
    'expected_close_date',
] %}

{# A state lasts from the end of one day to the end of another. From the first
   day with versions on only these count; before it, the history of its fields.
   #}
with

versions as (
    select * from {{ ref('deal_versions') }}
),

field_spans as (
    select * from {{ ref('int_deal_field_spans') }}
),

stages as (
    select * from {{ ref('stg_pipedrive__stages') }}
),

pipelines as (
    select * from {{ ref('stg_pipedrive__pipelines') }}
),

first_day as (
    select min(seen_date) as seen_date from versions
),

{# If a clock was wrong for a while, versions end before they begin. #}
versions_in_turn as (
    select
        *,
        min(seen_date) over (
            partition by deal_id
            order by version_number
            rows between 1 following and unbounded following
        ) as next_seen_date
    from versions
),

seen as (
    select
        deal_id,
        pipeline_id,
        stage_id,
        owner_id,
        currency,
        case
            when is_in_pipeline then 'open'
            when is_deleted then 'deleted'
            when status in ('won', 'lost') then status
            when is_archived then 'archived'
            else 'unknown'
        end as outcome,
        coalesce(value, 0) as value,
        win_probability,
        false as is_rebuilt,
        expected_close_date,
        seen_date as start_date,
        coalesce(next_seen_date, 'infinity') as end_date
    from versions_in_turn
    where next_seen_date is null or next_seen_date > seen_date
),

known_on_first_day as (
    select distinct on (versions.deal_id)
        versions.deal_id,
        versions.pipeline_id,
        versions.stage_id,
        versions.win_probability,
        versions.is_in_pipeline,
        case
            when versions.is_deleted then 'deleted'
            when versions.is_archived then 'archived'
        end as put_away,
        case
            when versions.is_deleted or versions.is_archived
                then {{ reporting_date('coalesce(
                    case when not versions.is_deleted then versions.archived_at end,
                    versions.updated_at,
                    versions.created_at
                )') }}
        end as put_away_date
    from versions
    inner join first_day on versions.seen_date = first_day.seen_date
    order by versions.deal_id, versions.version_number
),

{# The value of each field at the end of the days on which it changed; a deal
   that is older than any CRM has an impossible time of creation. #}
changes_by_day as (
    select
        spans.deal_id,
        spans.field_key,
        spans.value,
        {{ reporting_date('spans.started_at') }} as start_date
    from field_spans as spans
    cross join first_day
    where
        {{ reporting_date('spans.started_at') }}
        between '1990-01-01' and first_day.seen_date - 1
        and {{ reporting_date('spans.started_at') }} < coalesce(
            {{ reporting_date('spans.ended_at') }}, 'infinity'
        )
    union all
    select
        known.deal_id,
        'put_away' as field_key,
        known.put_away as value,
        known.put_away_date as start_date
    from known_on_first_day as known
    cross join first_day
    where known.put_away_date < first_day.seen_date
),

days_with_changes as (
    select
        deal_id,
        start_date
        {%- for field in fields %},
        max(value) filter (where field_key = '{{ field }}') as {{ field }},
        count(*) filter (where field_key = '{{ field }}') as {{ field }}_changes
        {%- endfor %}
    from changes_by_day
    group by deal_id, start_date
),

{# Between two changes, a field has the value of the first of them. #}
days_numbered as (
    select
        *
        {%- for field in fields %},
        sum({{ field }}_changes) over day_by_day as {{ field }}_number
        {%- endfor %},
        lead(start_date) over day_by_day as next_date
    from days_with_changes
    window day_by_day as (partition by deal_id order by start_date)
),

days_filled as (
    select
        deal_id,
        start_date,
        next_date,
        status_number
        {%- for field in fields %},
        max({{ field }}) over (
            partition by deal_id, {{ field }}_number
        ) as {{ field }}
        {%- endfor %}
    from days_numbered
),

states_typed as (
    select
        days.deal_id,
        case
            when days.status = 'open' then coalesce(days.put_away, 'open')
            when days.status in ('won', 'lost', 'deleted') then days.status
            else 'unknown'
        end as outcome,
        case
            when days.stage_id ~ '^\d{1,18}$' then days.stage_id::bigint
        end as stage_id,
        case
            when days.user_id ~ '^\d{1,18}$' then days.user_id::bigint
        end as owner_id,
        days.currency,
        case
            when days.value ~ '^-?\d+(\.\d+)?$' then days.value::numeric
        end as value,
        {{ date_or_null('days.expected_close_date') }} as expected_close_date,
        days.start_date,
        coalesce(days.next_date, first_day.seen_date) as end_date
    from days_filled as days
    cross join first_day
    where days.status_number > 0
),

rebuilt as (
    select
        states.deal_id,
        coalesce(stages.pipeline_id, known.pipeline_id) as pipeline_id,
        states.stage_id,
        states.owner_id,
        states.currency,
        states.outcome,
        coalesce(states.value, 0) as value,
        case
            when known.is_in_pipeline and states.stage_id = known.stage_id
                then known.win_probability
            else coalesce(
                case
                    when pipelines.has_probabilities then stages.probability
                end,
                100
            )
        end as win_probability,
        true as is_rebuilt,
        states.expected_close_date,
        states.start_date,
        states.end_date
    from states_typed as states
    inner join known_on_first_day as known on states.deal_id = known.deal_id
    left join stages on states.stage_id = stages.stage_id
    left join pipelines on stages.pipeline_id = pipelines.pipeline_id
),

all_states as (
    select * from rebuilt
    union all
    select * from seen
),

final as (
    select
        -- ids
        deal_id || '-' || start_date as deal_state_id,
        deal_id,
        pipeline_id,
        stage_id,
        owner_id,

        -- strings
        currency,
        outcome,

        -- numerics
        {{ scaled('case when abs(value) < 1e28 then value else 0 end') }}
            as value,
        {{ scaled('win_probability') }} as win_probability,

        -- booleans
        is_rebuilt,

        -- dates
        expected_close_date,
        start_date,
        end_date
    from all_states
)

select * from final
