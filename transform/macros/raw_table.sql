{# Checks the database at run time, because a deselected stream or column has no
   table or column, and gets it when it is selected. #}
{% macro raw_table(name, source_name='pipedrive') %}
    {% set table = source(source_name, name) %}
    {% if not execute %}{{ return(table) }}{% endif %}

    {% set declared = {'_sdc_extracted_at': 'timestamp', '_sdc_deleted_at': 'timestamp'} %}
    {% for column in source_columns(name, source_name).values() %}
        {% do declared.update({column.name: column.data_type}) %}
    {% endfor %}

    {% set found = raw_columns(table) | map(attribute='name') | list %}
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


{# In order, with their types; empty if there is no such table. Views of the
   `information_schema` would be slower, and hide what the role may not read:
   the table would seem to be deselected, and the marts would be emptied. #}
{% macro raw_columns(table) %}
    {% set query %}
        select
            attribute.attname,
            format_type(attribute.atttypid, null),
            has_schema_privilege(namespace.oid, 'usage') and has_table_privilege(relation.oid, 'select')
        from pg_catalog.pg_namespace as namespace
        inner join pg_catalog.pg_class as relation on namespace.oid = relation.relnamespace
        inner join pg_catalog.pg_attribute as attribute on relation.oid = attribute.attrelid
        where
            namespace.nspname = '{{ table.schema }}'
            and relation.relname = '{{ table.identifier }}'
            and attribute.attnum > 0
            and not attribute.attisdropped
        order by attribute.attnum
    {% endset %}
    {% set found = [] %}
    {% for name, data_type, is_readable in run_query(query) %}
        {% if not is_readable %}
            {{ exceptions.raise_compiler_error(
                "The role " ~ target.user ~ " may not read " ~ table.schema ~ "." ~ table.identifier
                ~ ": grant it usage on the schema and select on the table."
            ) }}
        {% endif %}
        {% do found.append({'name': name, 'data_type': data_type}) %}
    {% endfor %}
    {{ return(found) }}
{% endmacro %}


{% macro source_columns(name, source_name='pipedrive') %}
    {{ return((
        graph.sources.values()
        | selectattr('source_name', 'equalto', source_name)
        | selectattr('name', 'equalto', name)
        | first
    ).columns) }}
{% endmacro %}
