{% set deals = ('pipedrive', 'deals', 'stg_pipedrive__deals', 'deal_id') %}
{% set line_items = ('pipedrive', 'deal_products', 'stg_pipedrive__deal_products', 'deal_product_id') %}
{% set persons = ('pipedrive', 'persons', 'stg_pipedrive__persons', 'person_id') %}
{% set contacts = ('hubspot', 'contacts', 'stg_hubspot__contacts', 'contact_id') %}
{% set hubspot_deals = ('hubspot', 'deals', 'stg_hubspot__deals', 'deal_id') %}

{% set no_last_name = "coalesce(btrim(last_name), '') = ''" %}
{% set requirements = [
    ('missing_last_name', persons, no_last_name, 'no last name'),
    ('missing_last_name', contacts, no_last_name, 'no last name'),
    ('missing_company', deals, 'organization_id is null', 'no organization'),
    (
        'missing_company', hubspot_deals,
        'associated_company_id is null and company_domain is null',
        'no company',
    ),
    (
        'missing_association', hubspot_deals,
        'associated_company_id is null and company_domain is not null',
        'no company, but its domain',
    ),
    (
        'missing_customer', deals,
        'organization_id is null and person_id is null',
        'neither organization nor person',
    ),
    (
        'missing_customer', hubspot_deals,
        'coalesce(associated_company_id, company_domain) is null'
        ' and coalesce(associated_contact_id, contact_email) is null',
        'neither company nor contact',
    ),
    (
        'missing_value', deals,
        "value is null or (status = 'won' and value = 0)", 'no value',
    ),
    (
        'missing_value', hubspot_deals,
        'amount is null or (is_won and amount = 0)', 'no amount',
    ),
    ('missing_product', line_items, 'product_id is null', 'no product'),
] %}

with

records as (
    select * from {{ ref('int_records_listed') }}
),

findings as (
    select
        'missing_name' as rule,
        crm,
        entity,
        record_id,
        'no name' as detail
    from records
    where
        entity not in ('deal_products', 'fields')
        and coalesce(btrim(name), '') = ''
    union all
    select
        'missing_update_time' as rule,
        crm,
        entity,
        record_id,
        'no update time' as detail
    from records
    where entity != 'fields' and updated_at is null
    {%- for rule, (crm, entity, model, key), condition, detail in requirements %}
    union all
    select
        '{{ rule }}' as rule,
        '{{ crm }}' as crm,
        '{{ entity }}' as entity,
        {{ key }}::text as record_id,
        '{{ detail }}' as detail
    from {{ ref(model) }}
    where {{ condition }}
    {%- endfor %}
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
