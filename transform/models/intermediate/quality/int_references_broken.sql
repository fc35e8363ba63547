{% set references = {
    'pipedrive.activities.activity_id': {
        'deal_id': 'deals',
        'organization_id': 'organizations',
        'owner_id': 'users',
        'person_id': 'persons',
    },
    'pipedrive.deal_products.deal_product_id': {
        'deal_id': 'deals',
        'product_id': 'products',
    },
    'pipedrive.deals.deal_id': {
        'organization_id': 'organizations',
        'owner_id': 'users',
        'person_id': 'persons',
        'pipeline_id': 'pipelines',
        'stage_id': 'stages',
    },
    'pipedrive.leads.lead_id': {
        'organization_id': 'organizations',
        'owner_id': 'users',
        'person_id': 'persons',
    },
    'pipedrive.notes.note_id': {
        'deal_id': 'deals',
        'organization_id': 'organizations',
        'person_id': 'persons',
        'user_id': 'users',
    },
    'pipedrive.organizations.organization_id': {'owner_id': 'users'},
    'pipedrive.persons.person_id': {
        'organization_id': 'organizations',
        'owner_id': 'users',
    },
    'pipedrive.products.product_id': {'owner_id': 'users'},
    'pipedrive.stages.stage_id': {'pipeline_id': 'pipelines'},
    'hubspot.deals.deal_id': {
        'associated_company_id': 'companies',
        'associated_contact_id': 'contacts',
        'stage_id': 'deal_stages',
    },
} %}
{% set keys = {
    'organizations': 'organization_id', 'persons': 'person_id',
    'deals': 'deal_id', 'products': 'product_id', 'users': 'user_id',
    'pipelines': 'pipeline_id', 'stages': 'stage_id',
    'companies': 'company_id', 'contacts': 'contact_id',
    'deal_stages': 'stage_id',
} %}

{# A table without any row is not selected, or the token may not read it. #}
with

findings as (
    {%- for child, parents in references.items() %}
    {%- set crm, entity, key = child.split('.') %}
    {%- set outer_loop = loop %}
    {%- for column, parent in parents.items() %}
    {%- set parent_model = ref('stg_' ~ crm ~ '__' ~ parent) %}
    {{ 'union all' if not (loop.first and outer_loop.first) }}
    select
        'orphan' as rule,
        '{{ crm }}' as crm,
        '{{ entity }}' as entity,
        {{ key }}::text as record_id,
        '{{ column }} ' || {{ column }} || ' is not there' as detail,
        {{ column }}::text as related_record_id
    from {{ ref('stg_' ~ crm ~ '__' ~ entity) }} as children
    where
        exists (select from {{ parent_model }})
        and not exists (
            select from {{ parent_model }} as parents
            where children.{{ column }} = parents.{{ keys[parent] }}
        )
        and {{ column }} is not null
    {%- endfor %}
    {%- endfor %}
),

final as (
    select
        concat_ws('.', rule, crm, entity, record_id, detail) as finding_id,
        rule,
        crm,
        entity,
        record_id,
        related_record_id,
        detail
    from findings
)

select * from final
