with

contacts as (
    select * from {{ ref('stg_hubspot__contacts') }}
),

final as (
    select
        contact_id,
        first_name,
        last_name,
        email,
        created_at,
        updated_at as last_modified_at,
        lifecycle_stage
    from contacts
    where not is_deleted
)

select * from final
