{# Looks at the database to know its columns, and so reads a source itself.
   What is missing of a list is a JSON null in the raw tables, as
   target-postgres writes it. #}
{% set deals = ref('fct_deals') %}
{% set deal_columns = adapter.get_columns_in_relation(deals)
    | map(attribute='name') | list if execute else ['deal_id'] %}
{% set custom = custom_columns('deals', taken=deal_columns) %}

with

deals as (
    select * from {{ deals }}
),

raw_deals as (
    select * from {{ raw_table('deals') }}
),

deals_with_custom_fields as (
    select
        {%- for column in deal_columns %}
        deals.{{ adapter.quote(column) }}
        {{- ',' if not loop.last or custom }}
        {%- endfor %}
        {%- for column in custom %}
        {%- set value = 'raw_deals.' ~ adapter.quote(column.name) %}
        {{ "nullif(" ~ value ~ ", 'null'::jsonb)" if column.is_json else value }} as {{ adapter.quote(column.alias) }}
        {{- ',' if not loop.last }}
        {%- endfor %}
    from deals
    inner join raw_deals on deals.deal_id = raw_deals.id
)

select * from deals_with_custom_fields
