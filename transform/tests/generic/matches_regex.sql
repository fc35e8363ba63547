{% test matches_regex(model, column_name, regex) %}
    {{ config(severity='warn') }}
    select {{ column_name }}
    from {{ model }}
    where {{ column_name }} !~ '{{ regex }}'
{% endtest %}
