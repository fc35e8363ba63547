{# What changes from one day's end to the next, then running sums: days times
   deals would be too many. #}
{% set today = reporting_date(run_time()) %}

with

states as (
    select
        *,
        date_trunc('month', expected_close_date)::date as expected_close_month
    from {{ ref('int_deal_states') }}
    where outcome = 'open'
),

first_day as (
    select min(seen_date) as seen_date from {{ ref('deal_versions') }}
),

days_with_a_run as (
    select distinct seen_date from {{ ref('snapshot_runs') }}
),

users as (
    select * from {{ ref('stg_pipedrive__users') }}
),

pipelines as (
    select * from {{ ref('stg_pipedrive__pipelines') }}
),

exchange_rates as (
    select * from {{ ref('int_exchange_rates') }}
),

comings_and_goings as (
    select
        states.pipeline_id,
        states.owner_id,
        states.currency,
        states.expected_close_month,
        days.day,
        days.sign as deal_count,
        days.sign * states.value as value,
        days.sign * states.value * states.win_probability * 0.01
            as weighted_value
    from states
    cross join lateral (
        values (states.start_date, 1), (states.end_date, -1)
    ) as days (day, sign)
    where days.day <= {{ today }}
),

days_with_changes as (
    select
        pipeline_id,
        owner_id,
        currency,
        expected_close_month,
        day,
        (sum(sum(deal_count)) over day_by_day)::bigint as deal_count,
        sum(sum(value)) over day_by_day as value,
        sum(sum(weighted_value)) over day_by_day as weighted_value,
        lead(day) over day_by_day as next_day
    from comings_and_goings
    group by pipeline_id, owner_id, currency, expected_close_month, day
    window day_by_day as (
        partition by pipeline_id, owner_id, currency, expected_close_month
        order by day
    )
),

{{ all_days(today) }},

final as (
    select
        -- ids
        jsonb_build_array(
            all_days.snapshot_date,
            all_days.pipeline_id,
            all_days.owner_id,
            all_days.expected_close_month,
            all_days.currency
        )::text as forecast_history_id,
        all_days.pipeline_id,
        all_days.owner_id,

        -- strings
        pipelines.name as pipeline_name,
        users.name as owner_name,
        all_days.currency,

        -- numerics
        all_days.deal_count,
        {{ scaled('all_days.value') }} as value,
        {{ scaled(in_reporting_currency(
            'all_days.value', 'all_days.currency', 'exchange_rates.rate'
        )) }} as reporting_value,
        {{ scaled('all_days.weighted_value') }} as weighted_value,
        {{ scaled(in_reporting_currency(
            'all_days.weighted_value', 'all_days.currency',
            'exchange_rates.rate'
        )) }} as reporting_weighted_value,

        -- booleans
        all_days.snapshot_date < first_day.seen_date as is_rebuilt,
        all_days.snapshot_date >= first_day.seen_date
        and days_with_a_run.seen_date is null as is_carried_forward,

        -- dates
        all_days.expected_close_month,
        all_days.snapshot_date
    from all_days
    cross join first_day
    left join days_with_a_run
        on all_days.snapshot_date = days_with_a_run.seen_date
    left join users on all_days.owner_id = users.user_id
    left join pipelines on all_days.pipeline_id = pipelines.pipeline_id
    left join exchange_rates
        on all_days.currency = exchange_rates.currency
        and all_days.snapshot_date = exchange_rates.rate_date
)

select * from final
