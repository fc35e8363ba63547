with

versions as (
    select * from {{ ref('deal_versions') }}
    where seen_at = {{ run_time() }}
),

final as (
    select
        {{ run_time() }} as seen_at,
        {{ reporting_date(run_time()) }} as seen_date,
        count(*) as new_version_count
    from versions
)

select * from final
