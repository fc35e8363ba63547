{# Without the extension `unaccent`, which a managed Postgres may not have. #}
{% macro folded(text) -%}
    regexp_replace(
        normalize(lower({{ text }}), NFKD), '[\u0300-\u036f]', '', 'g'
    )
{%- endmacro %}


{# Texts of one number differ: 5, 5.0, 5e0. #}
{% macro plain_number(text) -%}
    case
        when {{ text }} ~ '^-?\d{1,30}(\.\d{1,30})?([eE][+-]?\d{1,2})?$'
            then trim_scale(({{ text }})::numeric)::text
        else {{ text }}
    end
{%- endmacro %}
