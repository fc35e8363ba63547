with

organizations as (
    select * from {{ ref('stg_pipedrive__organizations') }}
),

final as (
    select
        organization_id as org_id,
        name as org_name,
        _sdc_extracted_at as last_synced_at
    from organizations
    where not is_deleted
)

select * from final
