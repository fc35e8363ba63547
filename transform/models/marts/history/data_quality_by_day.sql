with

versions as (
    select
        *,
        min(seen_date) over (
            partition by data_quality_id
            order by version_number
            rows between 1 following and unbounded following
        ) as next_seen_date
    from {{ ref('data_quality_versions') }}
),

days_with_a_run as (
    select seen_date from {{ ref('snapshot_runs') }}
    union
    select seen_date from {{ ref('data_quality_versions') }}
),

days as (
    select
        versions.*,
        days.day::date as snapshot_date
    from versions
    cross join lateral generate_series(
        versions.seen_date::timestamp,
        least(
            versions.next_seen_date - 1, {{ reporting_date(run_time()) }}
        )::timestamp,
        interval '1 day'
    ) as days (day)
    where versions.checked_count is not null
),

final as (
    select
        -- ids
        days.snapshot_date || '-' || days.data_quality_id
            as data_quality_by_day_id,
        days.data_quality_id,

        -- strings
        days.rule,
        days.crm,
        days.entity,

        -- numerics
        days.checked_count,
        days.failing_count,
        days.failing_share,

        -- booleans
        days_with_a_run.seen_date is null as is_carried_forward,

        -- dates
        days.snapshot_date
    from days
    left join days_with_a_run on days.snapshot_date = days_with_a_run.seen_date
)

select * from final
