{% macro run_time() -%}
    '{{ run_started_at.isoformat() }}'::timestamptz
{%- endmacro %}


{% macro reporting_time(moment) -%}
    ({{ moment }} at time zone {{ reporting_timezone() }})
{%- endmacro %}


{# Converts a time to the company's time zone. #}
{% macro reporting_moment(timestamp) -%}
    (({{ timestamp }}) at time zone {{ reporting_timezone() }})
{%- endmacro %}


{% macro reporting_timezone() -%}
    '{{ var("reporting_timezone", env_var("REPORTING_TIMEZONE", "UTC")) }}'
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


{# The first day of a day's week. #}
{% macro week_start(day) -%}
    {%- set offset = week_start_offset() -%}
    (date_trunc('week', ({{ day }})::date - {{ offset }})::date + {{ offset }})
{%- endmacro %}


{# The number of days from Monday to the day on which weeks begin. #}
{% macro week_start_offset() %}
    {{ return(weekday_number(var('week_start', env_var('WEEK_START', 'monday')), 'week_start')) }}
{% endmacro %}


{# The number of months from January to the month in which fiscal years begin.
   #}
{% macro fiscal_year_offset() %}
    {% set month = var('fiscal_year_start', env_var('FISCAL_YEAR_START', '1')) | string %}
    {% if not modules.re.fullmatch('[1-9]|1[0-2]', month) %}
        {% do exceptions.raise_compiler_error(
            "fiscal_year_start is the number of a month, 1 to 12, not '" ~ month ~ "'."
        ) %}
    {% endif %}
    {{ return(month | int - 1) }}
{% endmacro %}


{# The company's working hours, and the time within which an answer is due. #}
{% macro business_time() %}
    {% set hours = var('business_hours', env_var('BUSINESS_HOURS', '09:00-18:00')) | string %}
    {% set days = var('business_days', env_var('BUSINESS_DAYS', 'monday,tuesday,wednesday,thursday,friday')) | string %}
    {% set sla = var('response_sla_hours', env_var('RESPONSE_SLA_HOURS', '4')) | string %}
    {% set time = '([01][0-9]|2[0-3]):[0-5][0-9]' %}
    {% if not modules.re.fullmatch(time ~ '-(' ~ time ~ '|24:00)', hours) or hours[:5] >= hours[6:] %}
        {% do exceptions.raise_compiler_error(
            "business_hours is when work begins and ends, such as 09:00-18:00, not '" ~ hours ~ "'."
        ) %}
    {% endif %}
    {% if not modules.re.fullmatch('[0-9]+([.][0-9]+)?', sla) %}
        {% do exceptions.raise_compiler_error("response_sla_hours is a number of hours, such as 4, not '" ~ sla ~ "'.") %}
    {% endif %}
    {% set weekdays = [] %}
    {% for day in days.split(',') %}
        {% do weekdays.append(weekday_number(day.strip(), 'business_days') + 1) %}
    {% endfor %}
    {{ return({
        'opens': hours[:5],
        'closes': hours[6:],
        'weekdays': weekdays | unique | sort | list,
        'sla_seconds': '(3600 * ' ~ sla ~ ')',
    }) }}
{% endmacro %}


{# The number of days from Monday to a weekday in a setting. #}
{% macro weekday_number(name, setting) %}
    {% set weekdays = ['monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday'] %}
    {% if name | lower not in weekdays %}
        {% do exceptions.raise_compiler_error(
            setting ~ " names weekdays such as sunday, not '" ~ name ~ "'."
        ) %}
    {% endif %}
    {{ return(weekdays.index(name | lower)) }}
{% endmacro %}
