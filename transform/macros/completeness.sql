{# A JSON value as text with times in one format: the tap writes
   2026-01-31T10:00:00Z, Postgres 2026-01-31T10:00:00. #}
{% macro comparable(value) -%}
    case jsonb_typeof({{ value }})
        when 'null' then null
        when 'string' then
            case
                when {{ value }} #>> '{}' ~ '^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d'
                    then rtrim(
                        regexp_replace(
                            rtrim({{ value }} #>> '{}', 'Z'),
                            '(\.\d*?)0*$',
                            '\1'
                        ),
                        '.'
                    )
                else {{ value }} #>> '{}'
            end
        when 'number' then trim_scale(({{ value }} #>> '{}')::numeric)::text
        else ({{ value }})::text
    end
{%- endmacro %}


{# The time up to which all of these streams are complete, for the "as of" of a
   dashboard. Streams that change rarely and are not read in each run are left
   out if there are others; the result is null if one stream was never complete.
   #}
{% macro complete_as_of(streams) -%}
    (
        select case when count(complete_as_of) = {{ streams | length }}
            then coalesce(
                min(complete_as_of) filter (where next_reading_due_at is null),
                min(complete_as_of)
            ) end
        from {{ ref('load_completeness') }}
        where stream in ('{{ streams | join("', '") }}')
    )
{%- endmacro %}


{# The last line of a build's log. It checks whether the table exists, because a
   build of a few models may precede the first complete build. #}
{% macro log_completeness() %}
    {% if not execute or flags.WHICH != 'build' %}{{ return('') }}{% endif %}
    {% set summary = adapter.get_relation(target.database, target.schema, 'load_summary') %}
    {% if summary %}
        {% set sentence = run_query('select sentence from ' ~ summary).columns[0].values()[0] %}
        {% do log("Pipedrive's tables: " ~ sentence, info=True) %}
    {% endif %}
    {{ return('') }}
{% endmacro %}
