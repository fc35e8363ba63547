{% macro run_time() -%}
    '{{ run_started_at.isoformat() }}'::timestamptz
{%- endmacro %}


{% macro reporting_time(moment) -%}
    ({{ moment }} at time zone '{{ var("reporting_timezone", env_var("REPORTING_TIMEZONE", "UTC")) }}')
{%- endmacro %}


{% macro reporting_date(moment) -%}
    {{ reporting_time(plausible(moment)) }}::date
{%- endmacro %}


{% macro whole_days(earlier, later) -%}
    floor(
        extract(epoch from {{ plausible(later) }} - {{ plausible(earlier) }})
        / 86400
    )::integer
{%- endmacro %}


{# The limits are those of int_dates_impossible, with its day of tolerance. #}
{% macro plausible(moment) -%}
    {%- if moment == run_time() -%}
        {{ moment }}
    {%- else -%}
        case
            when
                {{ moment }} between '1999-12-31' and {{ run_time() }}
                + interval '10 years 1 day'
                then {{ moment }}
        end
    {%- endif -%}
{%- endmacro %}


{# First day of the week of a day. #}
{% macro week_start(day) -%}
    {%- set offset = week_start_offset() -%}
    (date_trunc('week', ({{ day }})::date - {{ offset }})::date + {{ offset }})
{%- endmacro %}


{# Days from Monday to the day on which weeks begin. #}
{% macro week_start_offset() %}
    {% set weekdays = ['monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday'] %}
    {% set weekday = var('week_start', env_var('WEEK_START', 'monday')) | lower %}
    {% if weekday not in weekdays %}
        {% do exceptions.raise_compiler_error(
            "week_start is a weekday such as sunday, not '" ~ weekday ~ "'."
        ) %}
    {% endif %}
    {{ return(weekdays.index(weekday)) }}
{% endmacro %}


{# Months from January to the month in which fiscal years begin. #}
{% macro fiscal_year_offset() %}
    {% set month = var('fiscal_year_start', env_var('FISCAL_YEAR_START', '1')) | string %}
    {% if not modules.re.fullmatch('[1-9]|1[0-2]', month) %}
        {% do exceptions.raise_compiler_error(
            "fiscal_year_start is the number of a month, 1 to 12, not '" ~ month ~ "'."
        ) %}
    {% endif %}
    {{ return(month | int - 1) }}
{% endmacro %}
