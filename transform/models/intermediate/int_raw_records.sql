{# Columns that only the account knows, without asking the database for their
   names: the models that look at them can be tested on rows made up. #}
{% set tables = [
    ('pipedrive', 'deals', 'id'),
    ('pipedrive', 'leads', 'id'),
    ('pipedrive', 'organizations', 'id'),
    ('pipedrive', 'persons', 'id'),
    ('pipedrive', 'products', 'id'),
    ('hubspot', 'companies', '"companyId"'),
    ('hubspot', 'contacts', 'id'),
    ('hubspot', 'deals', '"dealId"'),
] %}

with

final as (
    {%- for crm, entity, key in tables %}
    select
        '{{ crm }}.{{ entity }}.' || {{ entity }}.{{ key }} as raw_record_id,
        '{{ crm }}' as crm,
        '{{ entity }}' as entity,
        {{ entity }}.{{ key }}::text as record_id,
        to_jsonb({{ entity }}.*) as raw_values
    from {{ raw_table(entity, crm) }}
    {{ 'union all' if not loop.last }}
    {%- endfor %}
)

select * from final
