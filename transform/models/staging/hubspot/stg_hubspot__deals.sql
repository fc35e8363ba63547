{# Type 5 of an association leads to a deal's primary company. #}
with

source as (
    select * from {{ raw_table('deals', 'hubspot') }}
),

renamed as (
    select
        -- ids
        id as deal_id,
        coalesce(
            jsonb_path_query_first(
                associations, '$.companies[*] ? (@.types[*] == 5).id'
            ),
            associations #> '{companies,0,id}'
        ) #>> '{}' as associated_company_id,
        associations #>> '{contacts,0,id}' as associated_contact_id,
        {{ hubspot_text('hubspot_owner_id') }} as owner_id,
        {{ hubspot_text('pipeline') }} as pipeline_id,
        {{ hubspot_text('dealstage') }} as stage_id,

        -- strings
        {{ hubspot_text('dealname') }} as deal_name,
        {{ hubspot_text('deal_currency_code') }} as currency,
        {{ hubspot_text('company_domain') }} as company_domain,
        {{ hubspot_text('contact_email') }} as contact_email,
        {{ hubspot_text('hs_analytics_source') }} as original_source,

        -- numerics
        {{ hubspot_number('amount') }} as amount,
        {{ hubspot_number('amount_in_home_currency') }}
            as home_currency_amount,

        -- booleans
        coalesce({{ hubspot_text('hs_is_closed_won') }} = 'true', false)
            as is_won,
        coalesce({{ hubspot_text('hs_is_closed') }} = 'true', false)
            as is_closed,
        (
            {{ hubspot_is_deleted('source') }}
        ) as is_deleted,

        -- timestamps
        {{ hubspot_time('closedate') }} as closed_at,
        coalesce(
            {{ hubspot_time('createdate') }}, "createdAt" at time zone 'UTC'
        ) as created_at,
        "updatedAt" at time zone 'UTC' as updated_at,

        -- load
        _sdc_extracted_at at time zone 'UTC' as _sdc_extracted_at
    from source
)

select * from renamed
