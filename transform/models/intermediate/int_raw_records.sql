{# Columns that exist only in some accounts, read without asking the database
   for their names, so that models that use them can be tested on invented rows.
   #}
{% set columns = {
    'pipedrive': 'to_jsonb(%s.*)',
    'hubspot': "case jsonb_typeof(%s.properties) when 'object' then %s.properties else '{}' end",
} %}
{% set tables = [
    ('pipedrive', 'deals'),
    ('pipedrive', 'leads'),
    ('pipedrive', 'organizations'),
    ('pipedrive', 'persons'),
    ('pipedrive', 'products'),
    ('hubspot', 'companies'),
    ('hubspot', 'contacts'),
    ('hubspot', 'deals'),
] %}

with

final as (
    {%- for crm, entity in tables %}
    select
        '{{ crm }}.{{ entity }}.' || {{ entity }}.id as raw_record_id,
        '{{ crm }}' as crm,
        '{{ entity }}' as entity,
        {{ entity }}.id::text as record_id,
        {{ columns[crm] | replace('%s', entity) }} as raw_values
    from {{ raw_table(entity, crm) }}
    {{ 'union all' if not loop.last }}
    {%- endfor %}
)

select * from final
