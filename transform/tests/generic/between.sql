{# Nulls pass, as in all tests except not_null; a limit that is not given does
   not apply. #}
{% test between(model, column_name, minimum=none, maximum=none) %}
    {{ config(severity='warn') }}
    select {{ column_name }}
    from {{ model }}
    where
        false
        {% if minimum is not none %}or {{ column_name }} < {{ minimum }}{% endif %}
        {% if maximum is not none %}or {{ column_name }} > {{ maximum }}{% endif %}
{% endtest %}
