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


{# Beside each sum that is null because of them. #}
{% macro unconverted_count(converted, amount) -%}
    count({{ amount }}) - count({{ converted }})
{%- endmacro %}


{% macro sum_if_all_converted(converted, amount) -%}
    case
        when count({{ amount }}) = count({{ converted }}) then sum({{ converted }})
    end
{%- endmacro %}


{# As many digits as BI tools hold. A number beyond that must not stop the rest. #}
{% macro scaled(number) -%}
    (case when abs({{ number }}) < 1e28 then {{ number }} end)::numeric(38, 10)
{%- endmacro %}
