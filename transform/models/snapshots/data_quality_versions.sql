{# Rows are only added, for a rule when its counts change. #}
with

present as (
    select
        data_quality_id,
        rule,
        crm,
        entity,
        checked_count,
        failing_count,
        failing_share
    from {{ ref('data_quality') }}
),

{% if is_incremental() %}
last_versions as (
    select distinct on (data_quality_id) *
    from {{ this }}
    order by data_quality_id, version_number desc
),

{# The records of a removed rule are not checked any more. #}
found as (
    select * from present
    union all
    select
        last_versions.data_quality_id,
        last_versions.rule,
        last_versions.crm,
        last_versions.entity,
        null as checked_count,
        null as failing_count,
        null as failing_share
    from last_versions
    where not exists (
        select * from present
        where present.data_quality_id = last_versions.data_quality_id
    )
),

changed as (
    select
        coalesce(last_versions.version_number, 0) + 1 as version_number,
        found.*
    from found
    left join last_versions
        on found.data_quality_id = last_versions.data_quality_id
    where
        last_versions.data_quality_id is null
        or found.checked_count is distinct from last_versions.checked_count
        or found.failing_count is distinct from last_versions.failing_count
),
{% else %}
changed as (
    select
        1 as version_number,
        *
    from present
),
{% endif %}

final as (
    select
        -- ids
        data_quality_id || '-' || version_number as data_quality_version_id,
        data_quality_id,

        -- strings
        rule,
        crm,
        entity,

        -- numerics
        version_number,
        checked_count,
        failing_count,
        failing_share,

        -- dates
        {{ reporting_date(run_time()) }} as seen_date,

        -- timestamps
        {{ run_time() }} as seen_at
    from changed
)

select * from final
