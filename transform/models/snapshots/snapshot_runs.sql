{# A build that was stopped after it had added versions gets its row from the
   next one. #}
with

versions as (
    select * from {{ ref('deal_versions') }}
    {% if is_incremental() %}
    where seen_at not in (select runs.seen_at from {{ this }} as runs)
    {% endif %}
),

runs as (
    select
        {{ run_time() }} as seen_at,
        {{ reporting_date(run_time()) }} as seen_date
    union
    select
        seen_at,
        seen_date
    from versions
),

final as (
    select
        runs.seen_at,
        runs.seen_date,
        count(versions.deal_version_id) as new_version_count
    from runs
    left join versions on runs.seen_at = versions.seen_at
    group by runs.seen_at, runs.seen_date
)

select * from final
