{% macro run_time() -%}
    '{{ run_started_at.isoformat() }}'::timestamptz
{%- endmacro %}


{% macro reporting_time(moment) -%}
    ({{ moment }} at time zone '{{ var("reporting_timezone", env_var("REPORTING_TIMEZONE", "UTC")) }}')
{%- endmacro %}


{% macro reporting_date(moment) -%}
    {{ reporting_time(moment) }}::date
{%- endmacro %}


{% macro whole_days(earlier, later) -%}
    floor(extract(epoch from {{ later }} - {{ earlier }}) / 86400)::integer
{%- endmacro %}
