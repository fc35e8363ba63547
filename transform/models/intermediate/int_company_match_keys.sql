{# Legal forms are dropped before accents are: Sá is a name, SA is none. Hosts
   of many companies tell nothing, but their pages do. #}
{% set legal_forms = 'ltda|limitada|s[./]?a|mei?|epp|eireli|inc|incorporated|llc|llp|corp|corporation|ltd|limited|plc|gmbh|ag|sas|sarl|srl|spa|s\.?l|b\.?v|n\.?v' %}
{% set shared_hosts = 'facebook|instagram|linkedin|twitter|youtube|linktr|google|gmail|hotmail|outlook|live|yahoo|icloud|uol|bol|terra' %}

with

organizations as (
    select * from {{ ref('stg_pipedrive__organizations') }}
    where not is_deleted
),

companies as (
    select * from {{ ref('stg_hubspot__companies') }}
    where not is_deleted
),

tax_ids as (
    select * from {{ ref('int_tax_ids') }}
    where entity in ('organizations', 'companies')
),

companies_of_both as (
    select
        'pipedrive' as crm,
        'organizations' as entity,
        organization_id::text as record_id,
        name,
        website
    from organizations
    union all
    select
        'hubspot' as crm,
        'companies' as entity,
        company_id as record_id,
        company_name as name,
        domain as website
    from companies
),

companies_in_plain_words as (
    select
        crm,
        entity,
        record_id,
        {{ folded("regexp_replace(
            lower(name),
            '([\s.,/-]+(" ~ legal_forms ~ "|matriz|filial))+[\s.]*$', ''
        )") }} as plain_name,
        substring(
            lower(website),
            '^\s*(?:\w+://)?(?:[^/?#@]*@)?(?:www\.)?([^/?#:\s]+\.[^/?#:\s]+)'
        ) as host,
        substring(website, '^\s*(?:\w+://)?[^/?#]+/([^?#]*[^/?#])') as page
    from companies_of_both
),

match_keys as (
    select
        crm,
        entity,
        record_id,
        'website' as match_rule,
        case
            when host !~ '(^|\.)({{ shared_hosts }})\.[a-z.]+$' then host
            when page is not null then host || '/' || lower(page)
        end as match_key
    from companies_in_plain_words
    union all
    select
        crm,
        entity,
        record_id,
        'name' as match_rule,
        substring(
            regexp_replace(plain_name, '[^[:alnum:]]', '', 'g'), '^.{4,}$'
        ) as match_key
    from companies_in_plain_words
    union all
    select
        crm,
        entity,
        record_id,
        'tax id' as match_rule,
        tax_id as match_key
    from tax_ids
),

final as (
    select
        concat_ws('.', crm, entity, record_id, match_rule, match_key)
            as record_match_key_id,
        crm,
        entity,
        record_id,
        match_rule,
        match_key
    from match_keys
    where match_key is not null
)

select * from final
