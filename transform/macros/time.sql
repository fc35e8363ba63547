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


{# Postgres 16 has pg_input_is_valid; older ones look at the form, then at the
   length of the month. #}
{% macro date_or_null(text) -%}
    case
        when {{ text }} ~ '^[12]\d{3}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$'
            then
                case
                    when substr({{ text }}, 9, 2)::int <= extract(day from (
                        (substr({{ text }}, 1, 7) || '-01')::date
                        + interval '1 month - 1 day'
                    ))
                        then {{ text }}::date
                end
    end
{%- endmacro %}
