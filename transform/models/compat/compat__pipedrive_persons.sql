with

persons as (
    select * from {{ ref('stg_pipedrive__persons') }}
),

final as (
    select
        person_id,
        name as person_name,
        organization_id as org_id,
        _sdc_extracted_at as last_synced_at
    from persons
    where not is_deleted
)

select * from final
