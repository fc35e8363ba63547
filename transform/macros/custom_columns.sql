{# The field of a column is the one whose first column equals the column or is
   its prefix. #}
{% macro custom_columns(table, fields, taken) %}
    {% if not execute %}{{ return([]) }}{% endif %}

    {% set built_in = source_columns(table) %}
    {% set custom = [] %}
    {% for column in raw_columns(source('pipedrive', table)) %}
        {% if column.name not in built_in and not column.name.startswith('_sdc_') %}
            {% do custom.append(column) %}
        {% endif %}
    {% endfor %}

    {% set names = custom | map(attribute='name') | list %}
    {% set fields_by_name = fields_by_column(table, fields) %}
    {% set found = [] %}
    {% for column in custom %}
        {% set first_column = beginnings(column.name) | select('in', fields_by_name.keys() | list) | list | last %}
        {% do found.append({
            'name': column.name,
            'alias': free_name(column.name, taken + names) if column.name in taken else column.name,
            'is_json': column.data_type == 'jsonb',
            'field': fields_by_name.get(first_column)
        }) %}
    {% endfor %}
    {{ return(found) }}
{% endmacro %}


{# The name itself, and the part before each of its underscores. #}
{% macro beginnings(name) %}
    {% set parts = name.split('_') %}
    {% set found = [] %}
    {% for count in range(1, parts | length + 1) %}
        {% do found.append(parts[:count] | join('_')) %}
    {% endfor %}
    {{ return(found) }}
{% endmacro %}


{% macro fields_by_column(table, fields) %}
    {% set query %}
        select column_name, name, field_type, field_code
        from {{ fields }}
        where
            entity || 's' = '{{ table }}'
            and is_custom
            and column_name is not null
        order by is_deleted desc, _sdc_extracted_at
    {% endset %}
    {% set found = {} %}
    {% for column, name, field_type, field_code in run_query(query) %}
        {% do found.update({column: {'name': name, 'type': field_type, 'code': field_code, 'column': column}}) %}
    {% endfor %}
    {{ return(found) }}
{% endmacro %}


{% macro free_name(name, others) %}
    {% set free = namespace(name='custom_' ~ name, number=1) %}
    {% for _ in others if free.name in others %}
        {% set free.number = free.number + 1 %}
        {% set free.name = 'custom_' ~ name ~ '_' ~ free.number %}
    {% endfor %}
    {{ return(free.name) }}
{% endmacro %}


{# A record keeps the label that its option had when the record was read.
   `labels` is a JSON object from option id to the present label. #}
{% macro present_label(label, option_id, labels) -%}
    coalesce({{ labels }} ->> {{ option_id }}::text, {{ label }})
{%- endmacro %}


{% macro present_labels(listed, option_ids, labels) -%}
    case
        when
            jsonb_typeof({{ option_ids }}) = 'array'
            and jsonb_typeof({{ listed }}) = 'array'
            then (
                select
                    coalesce(
                        jsonb_agg(
                            coalesce(
                                {{ labels }} -> option_id,
                                {{ listed }} -> (position::integer - 1)
                            )
                            order by position
                        ),
                        '[]'
                    )
                from jsonb_array_elements_text({{ option_ids }})
                with ordinality as choices (option_id, position)
            )
        else {{ listed }}
    end
{%- endmacro %}


{# Comments that BI tools show for the columns. #}
{% macro comment_on_custom_columns(table, fields, mart) %}
    {% for column in custom_columns(table, fields, column_names(mart)) if column.field %}
        comment on column {{ this }}.{{ adapter.quote(column.alias) }} is {{ postgres_escape_comment(
            'Custom field “' ~ column.field.name ~ '” of type ' ~ column.field.type ~ ', key ' ~ column.field.code
            ~ ('' if column.name == column.field.column else ': its ' ~ column.name[column.field.column | length + 1:])
            ~ ('' if column.name == column.alias else '. Named so as the mart has ' ~ column.name ~ ' itself')
            ~ '.'
        ) }};
    {% endfor %}
{% endmacro %}
