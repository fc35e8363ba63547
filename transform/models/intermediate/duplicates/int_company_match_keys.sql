{# Legal forms are removed before accents: Sá is a name, SA is not. #}
{% set legal_forms = [
    'ltda', 'limitada', 's[./]?a', 'mei?', 'epp', 'eireli', 'inc',
    'incorporated', 'llc', 'llp', 'corp', 'corporation', 'ltd', 'limited',
    'plc', 'gmbh', 'ag', 'sas', 'sarl', 'srl', 's\.p\.a', 's\.?l', 'b\.?v',
    'n\.?v', 'matriz', 'filial',
] %}

with

organizations as (
    select * from {{ ref('stg_pipedrive__organizations') }}
    where not is_deleted
),

companies as (
    select * from {{ ref('stg_hubspot__companies') }}
    where not is_deleted
),

websites as (
    select * from {{ ref('int_company_websites') }}
),

tax_ids as (
    select * from {{ ref('int_tax_ids') }}
    where entity in ('organizations', 'companies')
),

names as (
    select
        'pipedrive' as crm,
        'organizations' as entity,
        organization_id::text as record_id,
        lower(name) as name
    from organizations
    union all
    select
        'hubspot' as crm,
        'companies' as entity,
        company_id as record_id,
        lower(company_name) as name
    from companies
),

names_without_legal_form as (
    select
        crm,
        entity,
        record_id,
        regexp_replace(
            name,
            '([\s.,/-]*[\s.,]({{ legal_forms | join('|') }}))+[\s.]*$',
            ''
        ) as name
    from names
),

plain_names as (
    select
        crm,
        entity,
        record_id,
        btrim(
            regexp_replace({{ folded('name') }}, '{{ between_words() }}', ' ', 'g')
        ) as plain_name
    from names_without_legal_form
),

names_with_tax_id as (
    select
        plain_names.*,
        substring(
            replace(plain_names.plain_name, ' ', ''), '^.{4,}$'
        ) as name_key,
        {{ tax_id_of_company('tax_ids.tax_id') }} as tax_id
    from plain_names
    left join tax_ids
        on plain_names.crm = tax_ids.crm
        and plain_names.entity = tax_ids.entity
        and plain_names.record_id = tax_ids.record_id
),

{# Companies with the same name and several tax ids are different companies, and
   those without a tax id may be any of them. #}
names_of_one_company as (
    select
        *,
        min(tax_id) over (partition by crm, entity, name_key)
        is not distinct from
        max(tax_id) over (partition by crm, entity, name_key)
            as is_of_one_company
    from names_with_tax_id
),

match_keys as (
    select distinct
        crm,
        entity,
        record_id,
        'name' as match_rule,
        name_key as match_key
    from names_of_one_company
    where is_of_one_company
    union all
    select
        plain_names.crm,
        plain_names.entity,
        plain_names.record_id,
        'website and name' as match_rule,
        websites.website || ' ' || coalesce(
            substring(plain_names.plain_name, '^(?:(?:dra?|sra?|profa?) )+(.+)'),
            substring(plain_names.plain_name, '^[^ ]+')
        ) as match_key
    from plain_names
    inner join websites
        on plain_names.crm = websites.crm
        and plain_names.record_id = websites.record_id
    union all
    select
        crm,
        entity,
        record_id,
        'tax id' as match_rule,
        tax_id as match_key
    from tax_ids
),

{{ record_match_keys() }}
