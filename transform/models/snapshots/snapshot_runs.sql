with

versions as (
    select * from {{ ref('deal_versions') }}
    where seen_at = {{ run_time() }}
),

final as (
    select
        count(*) as new_version_count,
        {{ reporting_date(run_time()) }} as seen_date,
        {{ run_time() }} as seen_at
    from versions
)

select * from final
