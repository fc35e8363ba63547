{# An expression that is null counts as not true. #}
{% test expression_is_true(model, expression) %}
    {{ config(severity='warn') }}
    select *
    from {{ model }}
    where ({{ expression }}) is not true
{% endtest %}
