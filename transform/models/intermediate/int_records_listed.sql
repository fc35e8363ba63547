{% set names = {
    'pipedrive.activities': ('activity_id', 'subject'),
    'pipedrive.deal_products': ('deal_product_id', 'product_name'),
    'pipedrive.deals': ('deal_id', 'title'),
    'pipedrive.leads': ('lead_id', 'title'),
    'pipedrive.notes': (
        'note_id', "regexp_replace(content, '</?[a-z][^>]*>|&#?\\w+;', ' ', 'gi')"
    ),
    'pipedrive.organizations': ('organization_id', 'name'),
    'pipedrive.persons': ('person_id', 'name'),
    'pipedrive.pipelines': ('pipeline_id', 'name'),
    'pipedrive.products': ('product_id', 'name'),
    'pipedrive.stages': ('stage_id', 'name'),
    'hubspot.companies': ('company_id', 'company_name'),
    'hubspot.contacts': (
        'contact_id', "nullif(concat_ws(' ', first_name, last_name), '')"
    ),
    'hubspot.deals': ('deal_id', 'deal_name'),
} %}

with

fields as (
    select * from {{ ref('stg_pipedrive__fields') }}
),

records as (
    {%- for listing, (key, name) in names.items() %}
    {%- set crm, entity = listing.split('.') %}
    select
        '{{ crm }}' as crm,
        '{{ entity }}' as entity,
        {{ key }}::text as record_id,
        {{ name }} as name,
        updated_at
    from {{ ref('stg_' ~ crm ~ '__' ~ entity) }}
    where not is_deleted
    union all
    {%- endfor %}
    select
        'pipedrive' as crm,
        'fields' as entity,
        field_id as record_id,
        name,
        null as updated_at
    from fields
    where is_custom and not is_deleted
),

final as (
    select
        crm || '.' || entity || '.' || record_id as listed_record_id,
        crm,
        entity,
        record_id,
        name,
        updated_at
    from records
)

select * from final
