{# Checks the database at run time, because a deselected stream or column has no
   table or column, and gets it when it is selected. #}
{% macro raw_table(name, source_name='pipedrive') %}
    {% set table = source(source_name, name) %}
    {% if not execute %}{{ return(table) }}{% endif %}

    {% set declared = {'_sdc_extracted_at': 'timestamp', '_sdc_deleted_at': 'timestamp'} %}
    {% for column in source_columns(name, source_name).values() %}
        {% do declared.update({column.name: column.data_type}) %}
    {% endfor %}

    {% set found = adapter.get_columns_in_relation(table) | map(attribute='name') | list %}
    {# A table without this key belongs to another tap that used the schema
       before. #}
    {% if 'id' in declared and 'id' not in found %}{% set found = [] %}{% endif %}
    {% set columns = ['*'] if found else [] %}
    {% for column, data_type in declared.items() if column not in found %}
        {% do columns.append('null::' ~ data_type ~ ' as ' ~ adapter.quote(column)) %}
    {% endfor %}
    {% if columns == ['*'] %}{{ return(table) }}{% endif %}
    {{ return('(select ' ~ columns | join(', ') ~ (' from ' ~ table if found else ' where false') ~ ') as ' ~ name) }}
{% endmacro %}


{% macro source_columns(name, source_name='pipedrive') %}
    {{ return((
        graph.sources.values()
        | selectattr('source_name', 'equalto', source_name)
        | selectattr('name', 'equalto', name)
        | first
    ).columns) }}
{% endmacro %}
