with

source as (
    select * from {{ raw_table('contacts', 'hubspot') }}
),

renamed as (
    select
        -- ids
        id as contact_id,
        {{ hubspot_text('hs_merged_object_ids') }} as merged_ids,

        -- strings
        {{ hubspot_text('firstname') }} as first_name,
        {{ hubspot_text('lastname') }} as last_name,
        {{ hubspot_text('email') }} as email,
        {{ hubspot_text('phone') }} as phone,
        {{ hubspot_text('lifecyclestage') }} as lifecycle_stage,
        {{ hubspot_text('hs_analytics_source') }} as original_source,

        -- booleans
        (
            {{ hubspot_is_deleted('source') }}
        ) as is_deleted,

        -- timestamps
        coalesce(
            {{ hubspot_time('createdate') }}, "createdAt" at time zone 'UTC'
        ) as created_at,
        "updatedAt" at time zone 'UTC' as updated_at,

        -- load
        _sdc_extracted_at at time zone 'UTC' as _sdc_extracted_at
    from source
)

select * from renamed
