with

source as (
    select * from {{ raw_table('contacts', 'hubspot') }}
),

renamed as (
    select
        -- ids
        id as contact_id,

        -- strings
        nullif(property_firstname, '') as first_name,
        nullif(property_lastname, '') as last_name,
        nullif(property_email, '') as email,
        nullif(property_phone, '') as phone,
        nullif(property_lifecyclestage, '') as lifecycle_stage,
        nullif(property_hs_analytics_source, '') as original_source,

        -- booleans
        (
            coalesce(archived, false) or _sdc_deleted_at is not null
        ) as is_deleted,

        -- timestamps
        "createdAt" at time zone 'UTC' as created_at,
        "updatedAt" at time zone 'UTC' as updated_at,

        -- load
        _sdc_extracted_at at time zone 'UTC' as _sdc_extracted_at
    from source
)

select * from renamed
