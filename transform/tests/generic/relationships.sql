{# dbt's own test as a warning: Pipedrive hides records from users who may not
   see them, so a parent may be unknown although nothing is broken. #}
{% test relationships(model, column_name, to, field) %}
    {{ config(severity='warn') }}
    {{ default__test_relationships(model, column_name, to, field) }}
{% endtest %}
