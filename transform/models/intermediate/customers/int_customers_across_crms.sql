{# A key that two customers of one CRM share does not identify either of them.
   Of several matches only the best one counts, from both sides, so that no
   customer becomes two. #}
{% set records = [
    ('pipedrive', 'organizations', 'organization', 'organization_id'),
    ('hubspot', 'companies', 'company', 'company_id'),
    ('pipedrive', 'persons', 'person', 'person_id'),
    ('hubspot', 'contacts', 'contact', 'contact_id'),
] %}
{% set deduplicated = {
    'organizations': ref('int_organizations_deduplicated'),
    'companies': ref('int_hubspot_companies_deduplicated'),
    'persons': ref('int_persons_deduplicated'),
    'contacts': ref('int_hubspot_contacts_deduplicated'),
} %}

with

records as (
    {%- for crm, entity, kind, id in records %}
    select
        '{{ crm }}' as crm,
        '{{ entity }}' as entity,
        {{ id }}::text as record_id,
        '{{ crm }}-{{ kind }}-' || canonical_{{ id }} as customer_id
    from {{ deduplicated[entity] }}
    where not is_deleted and {{ customers_across_crms() }}
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

websites as (
    select * from {{ ref('int_company_websites') }}
),

tax_ids as (
    select * from {{ ref('int_tax_ids') }}
),

contact_match_keys as (
    select * from {{ ref('int_contact_match_keys') }}
    where match_rule = 'email'
),

persons as (
    select * from {{ ref('stg_pipedrive__persons') }}
),

{# A company in HubSpot has no e-mail address, but it has the website to which
   the addresses of its contacts belong. #}
keys_of_records as (
    select crm, entity, record_id, 'tax id' as match_rule, tax_id as match_key
    from tax_ids
    union all
    select crm, entity, record_id, 'website' as match_rule, website as match_key
    from websites
    union all
    select crm, entity, record_id, 'email' as match_rule, website as match_key
    from websites
    where crm = 'hubspot'
    union all
    select
        'pipedrive' as crm,
        'organizations' as entity,
        persons.organization_id::text as record_id,
        'email' as match_rule,
        substring(contact_match_keys.match_key, '@(.+)$') as match_key
    from contact_match_keys
    inner join persons
        on contact_match_keys.crm = 'pipedrive'
        and contact_match_keys.record_id = persons.person_id::text
    union all
    select crm, entity, record_id, match_rule, match_key
    from contact_match_keys
),

keys as (
    select
        records.crm,
        records.entity in ('organizations', 'companies') as is_company,
        keys_of_records.match_rule,
        keys_of_records.match_key,
        min(records.customer_id) as customer_id
    from keys_of_records
    inner join records
        on keys_of_records.crm = records.crm
        and keys_of_records.entity = records.entity
        and keys_of_records.record_id = records.record_id
    group by 1, 2, 3, 4
    having count(distinct records.customer_id) = 1
),

tax_ids_of_customers as (
    select
        records.customer_id,
        array_agg(distinct tax_ids.tax_id) as tax_ids
    from tax_ids
    inner join records
        on tax_ids.crm = records.crm
        and tax_ids.entity = records.entity
        and tax_ids.record_id = records.record_id
    group by records.customer_id
),

matches as (
    select
        ours.customer_id,
        theirs.customer_id as hubspot_customer_id,
        string_agg(
            distinct ours.match_rule, ', ' order by ours.match_rule
        ) as match_rules,
        min(
            array_position(array['tax id', 'website', 'email'], ours.match_rule)
        ) as weakness
    from keys as ours
    inner join keys as theirs
        on ours.crm = 'pipedrive'
        and theirs.crm = 'hubspot'
        and ours.is_company = theirs.is_company
        and ours.match_rule = theirs.match_rule
        and ours.match_key = theirs.match_key
    group by ours.customer_id, theirs.customer_id
),

matches_ranked as (
    select
        matches.*,
        row_number() over (
            partition by matches.customer_id
            order by matches.weakness, matches.hubspot_customer_id
        ) as rank_of_theirs,
        row_number() over (
            partition by matches.hubspot_customer_id
            order by matches.weakness, matches.customer_id
        ) as rank_of_ours
    from matches
    left join tax_ids_of_customers as ours
        on matches.customer_id = ours.customer_id
    left join tax_ids_of_customers as theirs
        on matches.hubspot_customer_id = theirs.customer_id
    where coalesce(ours.tax_ids && theirs.tax_ids, true)
),

final as (
    select
        hubspot_customer_id,
        customer_id,
        match_rules
    from matches_ranked
    where rank_of_theirs = 1 and rank_of_ours = 1
)

select * from final
