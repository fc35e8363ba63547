{# What changes from one day's end to the next, then running sums: days times
   deals would be too many. #}
{% set today = reporting_date(run_time()) %}

with

visits as (
    select * from {{ ref('fct_deal_stage_history') }}
    where not is_deleted and entered_at is not null
),

field_spans as not materialized (
    select
        deal_id,
        field_key,
        value,
        started_at,
        ended_at,
        {{ reporting_date('started_at') }} as start_date,
        coalesce({{ reporting_date('ended_at') }}, 'infinity') as end_date
    from {{ ref('int_deal_field_spans') }}
),

deals as (
    select * from {{ ref('stg_pipedrive__deals') }}
),

pipelines as (
    select * from {{ ref('stg_pipedrive__pipelines') }}
),

stages as (
    select * from {{ ref('stg_pipedrive__stages') }}
),

exchange_rates as (
    select * from {{ ref('int_exchange_rates') }}
),

archivals as (
    select
        deal_id,
        coalesce(
            {{ reporting_date('archived_at') }},
            {{ reporting_date('updated_at') }},
            {{ reporting_date('created_at') }}
        ) as archived_date
    from deals
    where is_archived
),

days_open as (
    select
        spans.deal_id,
        spans.start_date,
        least(spans.end_date, archivals.archived_date) as end_date
    from field_spans as spans
    left join archivals on spans.deal_id = archivals.deal_id
    where spans.field_key = 'status' and spans.value = 'open'
),

days_of_value as (
    select
        *,
        case when value ~ '^-?\d+(\.\d+)?$' then value::numeric end as amount
    from field_spans
    where field_key = 'value' and start_date < end_date
),

days_of_currency as (
    select * from field_spans
    where field_key = 'currency' and start_date < end_date
),

days_in_stage as (
    select
        visits.pipeline_id,
        visits.stage_id,
        days_of_currency.value as currency,
        coalesce(days_of_value.amount, 0) as value,
        greatest(
            visits.entered_date,
            days_open.start_date,
            days_of_value.start_date,
            days_of_currency.start_date
        ) as start_date,
        least(
            coalesce(visits.left_date, 'infinity'),
            days_open.end_date,
            days_of_value.end_date,
            days_of_currency.end_date
        ) as end_date
    from visits
    inner join days_open on visits.deal_id = days_open.deal_id
    inner join days_of_value on visits.deal_id = days_of_value.deal_id
    inner join days_of_currency on visits.deal_id = days_of_currency.deal_id
),

comings_and_goings as (
    select
        pipeline_id,
        stage_id,
        currency,
        start_date as day,
        1 as deal_count,
        value
    from days_in_stage
    where start_date < end_date
    union all
    select
        pipeline_id,
        stage_id,
        currency,
        end_date as day,
        -1 as deal_count,
        -value as value
    from days_in_stage
    where start_date < end_date
),

days_with_changes as (
    select
        pipeline_id,
        stage_id,
        currency,
        day,
        (sum(sum(deal_count)) over day_by_day)::bigint as deal_count,
        sum(sum(value)) over day_by_day as value,
        lead(day) over day_by_day as next_day
    from comings_and_goings
    where day <= {{ today }}
    group by pipeline_id, stage_id, currency, day
    window day_by_day as (
        partition by pipeline_id, stage_id, currency order by day
    )
),

{{ all_days(today) }},

final as (
    select
        -- ids
        jsonb_build_array(
            all_days.snapshot_date,
            all_days.pipeline_id,
            all_days.stage_id,
            all_days.currency
        )::text as pipeline_snapshot_id,
        all_days.pipeline_id,
        all_days.stage_id,

        -- strings
        pipelines.name as pipeline_name,
        stages.name as stage_name,
        all_days.currency,

        -- numerics
        stages.position as stage_position,
        all_days.deal_count,
        all_days.value,
        {{ in_reporting_currency(
            'all_days.value', 'all_days.currency', 'exchange_rates.rate'
        ) }} as reporting_value,
        case
            when {{ in_reporting_currency(
                'all_days.value', 'all_days.currency', 'exchange_rates.rate'
            ) }} is null
                then all_days.deal_count
            else 0
        end as unconverted_count,

        -- dates
        all_days.snapshot_date
    from all_days
    left join pipelines on all_days.pipeline_id = pipelines.pipeline_id
    left join stages on all_days.stage_id = stages.stage_id
    left join exchange_rates
        on all_days.currency = exchange_rates.currency
        and all_days.snapshot_date = exchange_rates.rate_date
)

select * from final
