{# A mailbox of a department belongs to several people. #}
{% set departments = [
    'adm', 'admin', 'administrativo', 'atendimento', 'comercial', 'compras',
    'contact', 'contacto', 'contato', 'email', 'financeiro', 'fiscal', 'hello',
    'info', 'mail', 'nfe', 'noreply', 'no-reply', 'office', 'rh', 'sales',
    'suporte', 'support', 'vendas',
] %}
{% set titles = '(dr|dra|sr|sra|prof|profa|mr|mrs|ms)(\(a\))?\.?' %}

with

persons as (
    select * from {{ ref('stg_pipedrive__persons') }}
    where not is_deleted
),

contacts as (
    select * from {{ ref('stg_hubspot__contacts') }}
    where not is_deleted
),

tax_ids as (
    select * from {{ ref('int_tax_ids') }}
    where entity in ('persons', 'contacts')
),

contacts_of_both as (
    select
        'pipedrive' as crm,
        'persons' as entity,
        person_id::text as record_id,
        name,
        organization_id::text as company_id,
        case
            when jsonb_typeof(emails) = 'array' then emails else '[]'
        end || jsonb_build_object('value', primary_email) as emails,
        case
            when jsonb_typeof(phones) = 'array' then phones else '[]'
        end || jsonb_build_object('value', primary_phone) as phones
    from persons
    union all
    select
        'hubspot' as crm,
        'contacts' as entity,
        contact_id as record_id,
        concat_ws(' ', first_name, last_name) as name,
        null as company_id,
        jsonb_build_array(jsonb_build_object('value', email)) as emails,
        jsonb_build_array(jsonb_build_object('value', phone)) as phones
    from contacts
),

{# A name of a single word is only a first name. #}
contacts_in_plain_words as (
    select
        crm,
        entity,
        record_id,
        company_id,
        emails,
        phones,
        substring(
            btrim(
                regexp_replace(
                    {{ folded('name') }},
                    '^({{ titles }}\s+)+|{{ between_words() }}',
                    ' ', 'g'
                )
            ),
            '^.+ .+$'
        ) as plain_name
    from contacts_of_both
),

contacts_by_email as (
    select
        contacts.crm,
        contacts.entity,
        contacts.record_id,
        btrim(lower(emails.email ->> 'value')) as email
    from contacts_in_plain_words as contacts
    cross join lateral jsonb_array_elements(contacts.emails) as emails (email)
),

contacts_by_phone as (
    select
        contacts.crm,
        contacts.entity,
        contacts.record_id,
        substring(contacts.plain_name, '^[^ ]+') as first_name,
        substring(contacts.plain_name, '[^ ]+$') as last_name,
        right(phones.digits, 8) as last_digits,
        {{ area_code('phones.digits') }} as area_code
    from contacts_in_plain_words as contacts
    cross join lateral (
        select regexp_replace(phone ->> 'value', '\D', '', 'g') as digits
        from jsonb_array_elements(contacts.phones) as phones (phone)
    ) as phones
    where
        contacts.plain_name is not null
        and length(phones.digits) >= 8
        and right(phones.digits, 8) !~ '^(.)\1*$'
),

{# An initial matches a first name, unless it matches several of the people who
   share the number and the last name. #}
names_at_a_phone as (
    select
        crm,
        entity,
        record_id,
        last_digits,
        area_code,
        case
            when
                min(first_name) filter (where length(first_name) > 1) over same_initial
                is distinct from
                max(first_name) filter (where length(first_name) > 1) over same_initial
                then first_name
            else coalesce(
                min(first_name) filter (where length(first_name) > 1) over same_initial,
                first_name
            )
        end || ' ' || last_name as first_and_last_name
    from contacts_by_phone
    window same_initial as (
        partition by crm, entity, last_digits, last_name, left(first_name, 1)
    )
),

{# A number without area code may be in any area, so it identifies nobody if
   people of that name have it in several areas. #}
phones_with_areas as (
    select
        *,
        min(area_code) over same_name_and_digits
        is distinct from max(area_code) over same_name_and_digits
            as is_in_several_areas
    from names_at_a_phone
    window same_name_and_digits as (
        partition by crm, entity, last_digits, first_and_last_name
    )
),

colleagues as (
    select
        contacts.crm,
        contacts.entity,
        contacts.record_id,
        contacts.company_id || ' ' || contacts.plain_name as name_key,
        tax_ids.tax_id
    from contacts_in_plain_words as contacts
    left join tax_ids
        on contacts.crm = tax_ids.crm
        and contacts.entity = tax_ids.entity
        and contacts.record_id = tax_ids.record_id
    where contacts.company_id is not null and contacts.plain_name is not null
),

{# Two tax ids mean two people, whatever their name. #}
colleagues_of_one_name as (
    select
        *,
        min(tax_id) over (partition by crm, entity, name_key)
        is not distinct from
        max(tax_id) over (partition by crm, entity, name_key) as is_one_person
    from colleagues
),

match_keys as (
    select
        crm,
        entity,
        record_id,
        'email' as match_rule,
        email as match_key
    from contacts_by_email
    where email ~ '^[^@]+@.+\..+$' and email !~ '^({{ departments | join('|') }})@'
    union
    select
        crm,
        entity,
        record_id,
        'phone and name' as match_rule,
        concat_ws(
            ' ',
            case when is_in_several_areas then area_code end,
            last_digits,
            first_and_last_name
        ) as match_key
    from phones_with_areas
    where not is_in_several_areas or area_code is not null
    union
    select
        crm,
        entity,
        record_id,
        'name and company' as match_rule,
        name_key as match_key
    from colleagues_of_one_name
    where is_one_person
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
