{# dbt only empties a seed's table. A table whose columns differ from the file,
   or are not of type text, is created again. #}
{% macro postgres__reset_csv_table(model, full_refresh, old_relation, agate_table) %}
    {% set found = adapter.get_columns_in_relation(old_relation) %}
    {% set is_same = found | map(attribute='name') | list == agate_table.column_names | list
        and found | map(attribute='dtype') | unique | list == ['text'] %}
    {{ return(default__reset_csv_table(model, full_refresh or not is_same, old_relation, agate_table)) }}
{% endmacro %}


{# Rows are read as JSON, so that a missing or additional column of the file
   causes no error. The first line of a file has the names. #}
{% macro seed_lines(seed) -%}
    select
        line_number,
        line
    from (
        select
            row_number() over () + 1 as line_number,
            to_jsonb(seed) as line
        from {{ seed }} as seed
    ) as lines
    where exists (
        select from jsonb_each_text(line) as cells
        where btrim(cells.value) != ''
    )
{%- endmacro %}


{% macro seed_text(column) -%}
    nullif(btrim(line ->> '{{ column }}'), '')
{%- endmacro %}


{% macro seed_problem(columns, checks) -%}
    case
        {%- for column in columns %}
        when {{ seed_text(column) }} is null then 'no {{ column }}'
        {%- endfor %}
        {%- for problem, condition in checks.items() %}
        when {{ condition }} then '{{ problem }}'
        {%- endfor %}
    end
{%- endmacro %}
