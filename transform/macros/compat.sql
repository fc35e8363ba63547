{% macro address_columns(address, prefix) -%}
    coalesce(
        {{ address }} ->> 'formatted_address', {{ address }} ->> 'value'
    ) as {{ prefix }}_formatted_address
    {%- for suffix, part in [
        ('street_number', 'street_number'),
        ('route', 'route'),
        ('sublocality', 'sublocality'),
        ('subpremise', 'subpremise'),
        ('locality', 'locality'),
        ('aal1', 'admin_area_level_1'),
        ('aal2', 'admin_area_level_2'),
        ('country', 'country'),
        ('postal_code', 'postal_code'),
    ] %},
        {{ address }} ->> '{{ part }}' as {{ prefix }}_{{ suffix }}
    {%- endfor %}
{%- endmacro %}


{% macro primary_entry(entries) -%}
    coalesce(
        jsonb_path_query_first({{ entries }}, '$[*] ? (@.primary == true)'),
        {{ entries }} -> 0
    )
{%- endmacro %}


{% macro column_names(relation) %}
    {{ return(
        adapter.get_columns_in_relation(relation)
        | map(attribute='name') | list if execute else []
    ) }}
{% endmacro %}
