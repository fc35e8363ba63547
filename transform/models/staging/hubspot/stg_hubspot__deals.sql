with

source as (
    select * from {{ raw_table('deals', 'hubspot') }}
),

renamed as (
    select
        -- ids
        "dealId"::text as deal_id,
        associations -> 'associatedCompanyIds' ->> 0 as associated_company_id,
        associations -> 'associatedVids' ->> 0 as associated_contact_id,
        {{ hubspot_text('property_pipeline') }} as pipeline_id,
        {{ hubspot_text('property_dealstage') }} as stage_id,

        -- strings
        {{ hubspot_text('property_dealname') }} as deal_name,
        {{ hubspot_text('property_deal_currency_code') }} as currency,
        {{ hubspot_text('property_company_domain') }} as company_domain,
        {{ hubspot_text('property_contact_email') }} as contact_email,
        {{ hubspot_text('property_hs_analytics_source') }} as original_source,

        -- numerics
        {{ hubspot_number('property_amount') }} as amount,
        {{ hubspot_number('property_amount_in_home_currency') }}
            as home_currency_amount,

        -- booleans
        coalesce(
            {{ hubspot_text('property_hs_is_closed_won') }} = 'true', false
        ) as is_won,
        coalesce(
            {{ hubspot_text('property_hs_is_closed') }} = 'true', false
        ) as is_closed,
        (
            coalesce("isDeleted", false) or _sdc_deleted_at is not null
        ) as is_deleted,

        -- timestamps
        {{ hubspot_time('property_closedate') }} as closed_at,
        {{ hubspot_time('property_createdate') }} as created_at,
        {{ hubspot_time('property_hs_lastmodifieddate') }} as updated_at,

        -- load
        _sdc_extracted_at at time zone 'UTC' as _sdc_extracted_at
    from source
)

select * from renamed
