with

organizations as (
    select * from {{ ref('stg_pipedrive__organizations') }}
),

organizations_deduplicated as (
    select * from {{ ref('int_organizations_deduplicated') }}
),

persons as (
    select * from {{ ref('stg_pipedrive__persons') }}
),

persons_deduplicated as (
    select * from {{ ref('int_persons_deduplicated') }}
),

companies as (
    select * from {{ ref('stg_hubspot__companies') }}
),

companies_deduplicated as (
    select * from {{ ref('int_hubspot_companies_deduplicated') }}
),

contacts as (
    select * from {{ ref('stg_hubspot__contacts') }}
),

contacts_deduplicated as (
    select * from {{ ref('int_hubspot_contacts_deduplicated') }}
),

across_crms as (
    select * from {{ ref('int_customers_across_crms') }}
),

records as (
    select
        'pipedrive' as crm,
        'organization' as kind,
        organizations.organization_id::text as record_id,
        deduplicated.canonical_organization_id::text as canonical_record_id,
        deduplicated.match_rules,
        organizations.name
    from organizations
    inner join organizations_deduplicated as deduplicated
        on organizations.organization_id = deduplicated.organization_id
    union all
    select
        'pipedrive' as crm,
        'person' as kind,
        persons.person_id::text as record_id,
        deduplicated.canonical_person_id::text as canonical_record_id,
        deduplicated.match_rules,
        persons.name
    from persons
    inner join persons_deduplicated as deduplicated
        on persons.person_id = deduplicated.person_id
    union all
    select
        'hubspot' as crm,
        'company' as kind,
        companies.company_id as record_id,
        deduplicated.canonical_company_id as canonical_record_id,
        deduplicated.match_rules,
        companies.company_name as name
    from companies
    inner join companies_deduplicated as deduplicated
        on companies.company_id = deduplicated.company_id
    union all
    select
        'hubspot' as crm,
        'contact' as kind,
        contacts.contact_id as record_id,
        deduplicated.canonical_contact_id as canonical_record_id,
        deduplicated.match_rules,
        coalesce(
            nullif(
                concat_ws(' ', contacts.first_name, contacts.last_name), ''
            ),
            contacts.email
        ) as name
    from contacts
    inner join contacts_deduplicated as deduplicated
        on contacts.contact_id = deduplicated.contact_id
),

records_of_customers as (
    select
        *,
        concat_ws('-', crm, kind, record_id) as customer_record_id,
        concat_ws('-', crm, kind, canonical_record_id) as customer_id
    from records
),

final as (
    select
        -- ids
        records.customer_record_id,
        coalesce(across_crms.customer_id, records.customer_id) as customer_id,
        records.record_id,

        -- strings
        records.crm,
        records.kind,
        records.name,
        records.match_rules,
        across_crms.match_rules as match_rules_across_crms
    from records_of_customers as records
    left join across_crms
        on records.customer_id = across_crms.hubspot_customer_id
)

select * from final
