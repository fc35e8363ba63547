with

source as (
    select * from {{ raw_table('companies', 'hubspot') }}
),

renamed as (
    select
        -- ids
        "companyId"::text as company_id,

        -- strings
        {{ hubspot_text('property_name') }} as company_name,
        {{ hubspot_text('property_domain') }} as domain,
        {{ hubspot_text('property_especialidade_medica') }} as specialty,
        {{ hubspot_text('property_lifecyclestage') }} as lifecycle_stage,
        {{ hubspot_text('property_hs_analytics_source') }} as original_source,

        -- booleans
        _sdc_deleted_at is not null as is_deleted,

        -- timestamps
        {{ hubspot_time('property_createdate') }} as created_at,
        {{ hubspot_time('property_hs_lastmodifieddate') }} as updated_at,

        -- load
        _sdc_extracted_at at time zone 'UTC' as _sdc_extracted_at
    from source
)

select * from renamed
