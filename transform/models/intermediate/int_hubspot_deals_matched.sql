with

deals as (
    select * from {{ ref('stg_hubspot__deals') }}
),

companies as (
    select * from {{ ref('stg_hubspot__companies') }}
),

contacts as (
    select * from {{ ref('stg_hubspot__contacts') }}
),

stages as (
    select * from {{ ref('stg_hubspot__deal_stages') }}
),

merges as (
    select * from {{ ref('int_hubspot_merges') }}
),

companies_alone_on_their_domain as (
    select
        lower(domain) as domain,
        min(company_id) as company_id
    from companies
    where domain is not null and not is_deleted
    group by lower(domain)
    having count(*) = 1
),

contacts_alone_on_their_email as (
    select
        lower(email) as email,
        min(contact_id) as contact_id
    from contacts
    where email is not null and not is_deleted
    group by lower(email)
    having count(*) = 1
),

{# HubSpot removes the association of a deal with a deleted record without a
   change of the deal. #}
deals_matched as (
    select
        -- ids
        deals.deal_id,
        coalesce(
            merged_companies.kept_record_id,
            case
                when not coalesce(associated_companies.is_deleted, false)
                    then deals.associated_company_id
            end,
            companies_alone_on_their_domain.company_id
        ) as company_id,
        coalesce(
            merged_contacts.kept_record_id,
            case
                when not coalesce(associated_contacts.is_deleted, false)
                    then deals.associated_contact_id
            end,
            contacts_alone_on_their_email.contact_id
        ) as contact_id,
        deals.owner_id,
        deals.pipeline_id,
        deals.stage_id,

        -- strings
        deals.deal_name,
        stages.pipeline,
        stages.stage,
        coalesce(deals.currency, {{ hubspot_currency() }}) as currency,
        deals.original_source,

        -- numerics
        deals.amount,
        case
            when deals.currency is null
                then coalesce(deals.home_currency_amount, deals.amount)
            else deals.home_currency_amount
        end as home_currency_amount,

        stages.probability,

        -- booleans
        coalesce(stages.is_won, deals.is_won) as is_won,
        coalesce(stages.is_closed, deals.is_closed) as is_closed,
        deals.is_deleted,

        -- timestamps
        deals.closed_at,
        deals.created_at,
        deals.updated_at
    from deals
    left join stages on deals.stage_id = stages.stage_id
    left join companies as associated_companies
        on deals.associated_company_id = associated_companies.company_id
    left join contacts as associated_contacts
        on deals.associated_contact_id = associated_contacts.contact_id
    left join merges as merged_companies
        on
            merged_companies.entity = 'companies'
            and deals.associated_company_id = merged_companies.record_id
    left join merges as merged_contacts
        on
            merged_contacts.entity = 'contacts'
            and deals.associated_contact_id = merged_contacts.record_id
    left join companies_alone_on_their_domain
        on lower(deals.company_domain) = companies_alone_on_their_domain.domain
    left join contacts_alone_on_their_email
        on lower(deals.contact_email) = contacts_alone_on_their_email.email
)

select * from deals_matched
