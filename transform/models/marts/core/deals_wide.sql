{{ config(
    meta={'numbers_have_a_scale': false},
    post_hook="{{ comment_on_custom_columns(
        'deals', ref('stg_pipedrive__fields'), ref('fct_deals')
    ) }}"
) }}

{# Reads its columns from the database, and therefore reads a source itself. A
   missing list is a JSON null in the raw tables, as target-postgres writes it.
   #}
{% set deals = ref('fct_deals') %}
{% set deal_columns = column_names(deals) or ['deal_id'] %}
{% set custom = custom_columns(
    'deals', ref('stg_pipedrive__fields'), taken=deal_columns
) %}
{% set names = custom | map(attribute='name') | list %}

with

deals as (
    select * from {{ deals }}
),

raw_deals as (
    select * from {{ raw_table('deals') }}
),

options as (
    select jsonb_object_agg(field_code, labels) as labels
    from (
        select
            field_code,
            jsonb_object_agg(option_id, label) as labels
        from {{ ref('stg_pipedrive__field_options') }}
        where entity = 'deal'
        group by field_code
    ) as options_by_field
),

deals_with_custom_fields as (
    select
        {%- for column in deal_columns %}
        deals.{{ adapter.quote(column) }}
        {{- ',' if not loop.last or custom }}
        {%- endfor %}
        {%- for column in custom %}
        {%- set raw = 'raw_deals.' ~ adapter.quote(column.name) %}
        {%- set value = "nullif(" ~ raw ~ ", 'null'::jsonb)" if column.is_json else raw %}
        {%- set labels = "(options.labels -> '" ~ column.field.code ~ "')" if column.field %}
        {%- if column.field and column.name == column.field.column %}
            {%- if column.field.type == 'enum' and column.name ~ '_id' in names %}
                {%- set value = present_label(value, 'raw_deals.' ~ adapter.quote(column.name ~ '_id'), labels) %}
            {%- elif column.field.type == 'set' and column.name ~ '_ids' in names and column.is_json %}
                {%- set value = present_labels(value, 'raw_deals.' ~ adapter.quote(column.name ~ '_ids'), labels) %}
            {%- endif %}
        {%- endif %}
        {{ value }} as {{ adapter.quote(column.alias) }}
        {{- ',' if not loop.last }}
        {%- endfor %}
    from deals
    inner join raw_deals on deals.deal_id = raw_deals.id
    cross join options
)

select * from deals_with_custom_fields
