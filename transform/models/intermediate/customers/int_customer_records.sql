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

records as (
    select
        'pipedrive-organization-' as prefix,
        organizations.organization_id::text as record_id,
        deduplicated.canonical_organization_id::text as canonical_record_id,
        organizations.name
    from organizations
    inner join organizations_deduplicated as deduplicated
        on organizations.organization_id = deduplicated.organization_id
    union all
    select
        'pipedrive-person-' as prefix,
        persons.person_id::text as record_id,
        deduplicated.canonical_person_id::text as canonical_record_id,
        persons.name
    from persons
    inner join persons_deduplicated as deduplicated
        on persons.person_id = deduplicated.person_id
    union all
    select
        'hubspot-company-' as prefix,
        companies.company_id as record_id,
        deduplicated.canonical_company_id as canonical_record_id,
        companies.company_name as name
    from companies
    inner join companies_deduplicated as deduplicated
        on companies.company_id = deduplicated.company_id
    union all
    select
        'hubspot-contact-' as prefix,
        contacts.contact_id as record_id,
        deduplicated.canonical_contact_id as canonical_record_id,
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

final as (
    select
        prefix || record_id as customer_record_id,
        prefix || canonical_record_id as customer_id,
        record_id,
        name
    from records
)

select * from final
