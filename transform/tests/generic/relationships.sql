{# dbt's own test, but a warning: Pipedrive hides records from users who may
   not see them, so a parent may be unknown without anything being broken. #}
{% test relationships(model, column_name, to, field) %}
    {{ config(severity='warn') }}
    {{ default__test_relationships(model, column_name, to, field) }}
{% endtest %}
