with

source as (
    select * from {{ raw_table('organization_relationships') }}
),

renamed as (
    select
        -- ids
        id as organization_relationship_id,
        rel_owner_org_id as owner_organization_id,
        rel_linked_org_id as linked_organization_id,

        -- strings
        type as relationship_type,

        -- booleans
        (
            not coalesce(active_flag, true) or _sdc_deleted_at is not null
        ) as is_deleted,

        -- timestamps
        add_time at time zone 'UTC' as created_at,
        update_time at time zone 'UTC' as updated_at,

        -- load
        _sdc_extracted_at at time zone 'UTC' as _sdc_extracted_at
    from source
)

select * from renamed
