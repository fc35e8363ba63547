{# dbt's own test, but a warning: one value that Pipedrive does not document
   must not keep the others from the marts. #}
{% test accepted_values(model, column_name, values, quote=true) %}
    {{ config(severity='warn') }}
    {{ default__test_accepted_values(model, column_name, values, quote) }}
{% endtest %}
