{% macro reporting_currency() -%}
    '{{ var("reporting_currency", env_var("REPORTING_CURRENCY", "USD")) | upper }}'
{%- endmacro %}


{% macro in_reporting_currency(amount, currency, rate) -%}
    case
        when
            {{ currency }} = {{ reporting_currency() }} or {{ amount }} = 0
            then {{ amount }}
        else {{ amount }} * {{ rate }}
    end
{%- endmacro %}


{% macro sum_if_all_converted(converted, amount) -%}
    case
        when count({{ amount }}) = count({{ converted }}) then sum({{ converted }})
    end
{%- endmacro %}
