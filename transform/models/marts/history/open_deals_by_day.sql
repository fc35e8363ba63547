with

states as (
    select * from {{ ref('int_deal_states') }}
    where outcome = 'open'
),

days as (
    select * from {{ ref('dim_dates') }}
    where date_day <= {{ reporting_date(run_time()) }}
),

days_with_a_run as (
    select distinct seen_date from {{ ref('snapshot_runs') }}
),

deals as (
    select * from {{ ref('stg_pipedrive__deals') }}
),

users as (
    select * from {{ ref('stg_pipedrive__users') }}
),

pipelines as (
    select * from {{ ref('stg_pipedrive__pipelines') }}
),

stages as (
    select * from {{ ref('stg_pipedrive__stages') }}
),

final as (
    select
        -- ids
        days.date_day || '-' || states.deal_id as open_deal_by_day_id,
        states.deal_id,
        states.pipeline_id,
        states.stage_id,
        states.owner_id,

        -- strings
        deals.title,
        pipelines.name as pipeline_name,
        stages.name as stage_name,
        users.name as owner_name,
        states.currency,

        -- numerics
        states.value,
        states.win_probability,
        {{ scaled('states.value * states.win_probability * 0.01') }}
            as weighted_value,

        -- booleans
        states.is_rebuilt,
        not states.is_rebuilt and days_with_a_run.seen_date is null
        as is_carried_forward,

        -- dates
        states.expected_close_date,
        days.date_day as snapshot_date
    from states
    inner join days
        on states.start_date <= days.date_day
        and days.date_day < states.end_date
    left join days_with_a_run on days.date_day = days_with_a_run.seen_date
    left join deals on states.deal_id = deals.deal_id
    left join users on states.owner_id = users.user_id
    left join pipelines on states.pipeline_id = pipelines.pipeline_id
    left join stages on states.stage_id = stages.stage_id
)

select * from final
