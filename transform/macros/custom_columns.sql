{% macro custom_columns(table, taken) %}
    {% if not execute %}{{ return([]) }}{% endif %}

    {% set built_in = source_columns(table) %}
    {% set custom = [] %}
    {% for column in adapter.get_columns_in_relation(source('pipedrive', table)) %}
        {% if column.name not in built_in and not column.name.startswith('_sdc_') %}
            {% do custom.append(column) %}
        {% endif %}
    {% endfor %}

    {% set others = taken + custom | map(attribute='name') | list %}
    {% set found = [] %}
    {% for column in custom %}
        {% do found.append({
            'name': column.name,
            'alias': free_name('custom_' ~ column.name, others) if column.name in taken else column.name,
            'is_json': column.dtype == 'jsonb'
        }) %}
    {% endfor %}
    {{ return(found) }}
{% endmacro %}


{% macro free_name(name, taken) %}
    {{ return(free_name('custom_' ~ name, taken) if name in taken else name) }}
{% endmacro %}
