with

source as (
    select * from {{ raw_table('companies', 'hubspot') }}
),

renamed as (
    select
        -- ids
        id as company_id,
        {{ hubspot_text('hs_merged_object_ids') }} as merged_ids,

        -- strings
        {{ hubspot_text('name') }} as company_name,
        {{ hubspot_text('domain') }} as domain,
        {{ hubspot_text('especialidade_medica') }} as specialty,
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
