{# Without the extension `unaccent`, which a managed Postgres may not have. #}
{% macro folded(text) -%}
    regexp_replace(
        normalize(lower({{ text }}), NFKD), '[\u0300-\u036f]', '', 'g'
    )
{%- endmacro %}
