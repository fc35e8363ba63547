{# Besides letters of western languages, Windows-1252 has a few symbols. #}
{% set unsafe_characters = var(
    'unsafe_characters',
    '["\\\\|;]|[^ -~¡-¬®-ÿŒœŠšŸŽžƒˆ˜–—‘’‚“”„†‡•…‰‹›€™]'
) | replace("'", "''") %}

with

records as (
    select * from {{ ref('int_records_listed') }}
),

organizations as (
    select * from {{ ref('stg_pipedrive__organizations') }}
),

persons as (
    select * from {{ ref('stg_pipedrive__persons') }}
),

deals as (
    select * from {{ ref('stg_pipedrive__deals') }}
),

leads as (
    select * from {{ ref('stg_pipedrive__leads') }}
),

deal_products as (
    select * from {{ ref('stg_pipedrive__deal_products') }}
),

currencies as (
    select * from {{ ref('stg_pipedrive__currencies') }}
),

hubspot_companies as (
    select * from {{ ref('stg_hubspot__companies') }}
),

hubspot_contacts as (
    select * from {{ ref('stg_hubspot__contacts') }}
),

contact_points as (
    select
        person_id,
        primary_email,
        case when jsonb_typeof(emails) = 'array' then emails else '[]' end
            as emails,
        case when jsonb_typeof(phones) = 'array' then phones else '[]' end
            as phones
    from persons
),

addresses as (
    select
        'pipedrive' as crm,
        'persons' as entity,
        person_id::text as record_id,
        email ->> 'value' as address
    from contact_points
    cross join lateral jsonb_array_elements(
        emails || jsonb_build_object('value', primary_email)
    ) as emails_listed (email)
    union
    select
        'pipedrive' as crm,
        'organizations' as entity,
        organization_id::text as record_id,
        website as address
    from organizations
    union all
    select
        'hubspot' as crm,
        'contacts' as entity,
        contact_id as record_id,
        email as address
    from hubspot_contacts
    union all
    select
        'hubspot' as crm,
        'companies' as entity,
        company_id as record_id,
        domain as address
    from hubspot_companies
),

amounts as (
    select
        'deals' as entity,
        deal_id::text as record_id,
        value as amount,
        currency
    from deals
    union all
    select
        'leads' as entity,
        lead_id as record_id,
        value as amount,
        currency
    from leads
    union all
    select
        'deal_products' as entity,
        deal_product_id::text as record_id,
        item_price as amount,
        currency
    from deal_products
),

findings as (
    select
        'unsafe_text' as rule,
        crm,
        entity,
        record_id,
        'character U+' || upper(
            to_hex(ascii(substring(name, '{{ unsafe_characters }}')))
        ) as detail
    from records
    where name ~ '{{ unsafe_characters }}' and entity != 'fields'
    union all
    select
        'unusable_address' as rule,
        crm,
        entity,
        record_id,
        address as detail
    from addresses
    where
        address !~ case
            when entity in ('persons', 'contacts')
                then '^[!-?A-~]+@[!-?A-~]+\.[!-?A-~]+$'
            else '^[!-~]+\.[!-~]+$'
        end
    union all
    select
        'too_many_contact_points' as rule,
        'pipedrive' as crm,
        'persons' as entity,
        person_id::text as record_id,
        jsonb_array_length(phones) || ' phones, '
        || jsonb_array_length(emails) || ' e-mails' as detail
    from contact_points
    where greatest(jsonb_array_length(phones), jsonb_array_length(emails)) > 10
    union all
    select
        'excess_decimals' as rule,
        'pipedrive' as crm,
        amounts.entity,
        amounts.record_id,
        amounts.currency || ' ' || amounts.amount as detail
    from amounts
    inner join currencies on amounts.currency = currencies.currency
    where
        amounts.amount
        != round(amounts.amount, currencies.decimal_points::integer)
),

final as (
    select
        concat_ws('.', rule, crm, entity, record_id, detail) as finding_id,
        rule,
        crm,
        entity,
        record_id,
        detail
    from findings
)

select * from final
