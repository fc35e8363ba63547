{# dbt's own test as a warning: one value that Pipedrive does not document must
   not keep other values out of the marts. #}
{% test accepted_values(model, column_name, values, quote=true) %}
    {{ config(severity='warn') }}
    {{ default__test_accepted_values(model, column_name, values, quote) }}
{% endtest %}
