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


{# Counts, beside each sum, the rows that make it null. #}
{% macro unconverted_count(converted, amount) -%}
    count({{ amount }}) - count({{ converted }})
{%- endmacro %}


{% macro sum_if_all_converted(converted, amount) -%}
    case
        when count({{ amount }}) = count({{ converted }}) then sum({{ converted }})
    end
{%- endmacro %}


{# The most digits that BI tools support. A larger number must not stop the
   other rows. #}
{% macro scaled(number) -%}
    (case when abs({{ number }}) < 1e28 then {{ number }} end)::numeric(38, 10)
{%- endmacro %}


{# Bands of amounts in the reporting currency: their names, their beginnings,
   and the beginnings of the next ones. #}
{% macro value_bands() %}
    {% set text = var('value_bands', env_var('VALUE_BANDS', '1000,5000,20000,100000')) | string %}
    {% set limits = [] %}
    {% for limit in text.split(',') if modules.re.fullmatch('[1-9][0-9]*', limit.strip()) %}
        {% do limits.append(limit | int) %}
    {% endfor %}
    {% if limits | length != text.split(',') | length or limits != limits | sort | unique | list %}
        {% do exceptions.raise_compiler_error(
            "value_bands is a list of whole numbers that rise, such as 1000,5000,20000, not '" ~ text ~ "'."
        ) %}
    {% endif %}
    {% set bands = [{'name': 'below ' ~ '{:,}'.format(limits[0]), 'from': "'-infinity'", 'to': limits[0]}] %}
    {% for limit in limits[:-1] %}
        {% set next = limits[loop.index] %}
        {% set name = '{:,}'.format(limit) ~ ' to ' ~ '{:,}'.format(next) %}
        {% do bands.append({'name': name, 'from': limit, 'to': next}) %}
    {% endfor %}
    {% set last = limits[-1] %}
    {% do bands.append({'name': '{:,}'.format(last) ~ ' and more', 'from': last, 'to': "'infinity'"}) %}
    {{ return(bands) }}
{% endmacro %}
