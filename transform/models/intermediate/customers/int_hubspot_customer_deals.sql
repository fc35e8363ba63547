with

deals as (
    select * from {{ ref('int_hubspot_deals_matched') }}
    where not is_deleted
),

companies as (
    select * from {{ ref('stg_hubspot__companies') }}
),

contacts as (
    select * from {{ ref('stg_hubspot__contacts') }}
),

final as (
    select
        -- ids
        deals.deal_id,
        coalesce(
            'hubspot-company-' || deals.company_id,
            'hubspot-contact-' || deals.contact_id
        ) as customer_record_id,

        -- strings
        {{ channel_named(
            'coalesce(
                deals.original_source,
                companies.original_source,
                contacts.original_source
            )'
        ) }} as channel,
        deals.currency,

        -- numerics
        deals.amount as value,

        -- booleans
        not deals.is_closed as is_open,
        deals.is_won,

        -- timestamps
        deals.created_at,
        coalesce(
            {{ plausible('deals.closed_at') }},
            {{ plausible('deals.created_at') }}
        ) as won_at
    from deals
    left join companies on deals.company_id = companies.company_id
    left join contacts on deals.contact_id = contacts.contact_id
)

select * from final
