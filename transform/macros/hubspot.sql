{% macro hubspot_currency() -%}
    {%- set currency = var("hubspot_currency", env_var("HUBSPOT_CURRENCY", "")) -%}
    {{ "'" ~ currency | upper ~ "'" if currency else reporting_currency() }}
{%- endmacro %}


{# HubSpot stores a property that was emptied as an empty text. #}
{% macro hubspot_text(property) -%}
    nullif(properties ->> '{{ property }}', '')
{%- endmacro %}


{# Properties of type number may contain words such as N/A. #}
{% macro hubspot_number(property) -%}
    {{ number_or_null(hubspot_text(property)) }}
{%- endmacro %}


{# Postgres 16 has pg_input_is_valid; for older versions this checks the format,
   then the length of the month. #}
{% macro hubspot_time(property) -%}
    {%- set text = hubspot_text(property) -%}
    case
        when {{ text }} ~ (
            '^[12]\d{3}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])'
            '(T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,6})?Z)?$'
        ) then
            case
                when substr({{ text }}, 9, 2)::int <= extract(day from (
                    (substr({{ text }}, 1, 7) || '-01')::date
                    + interval '1 month - 1 day'
                ))
                    then (
                        {{ text }}
                        || case length({{ text }}) when 10 then 'T00:00Z' else '' end
                    )::timestamptz
            end
    end
{%- endmacro %}


{% macro number_or_null(text) -%}
    case
        when {{ text }} ~ '^-?\d{1,30}(\.\d{1,30})?([eE][+-]?\d{1,2})?$'
            then ({{ text }})::numeric
    end
{%- endmacro %}


{# A merge leaves one record; the merged ones are neither listed nor archived.
   #}
{% macro hubspot_is_deleted(table) -%}
    coalesce({{ table }}.archived, false)
    or {{ table }}._sdc_deleted_at is not null
    or {{ table }}.id in (
        select merged.id
        from {{ table }} as kept
        cross join lateral unnest(
            string_to_array(kept.properties ->> 'hs_merged_object_ids', ';')
        ) as merged (id)
        where merged.id != kept.id
    )
{%- endmacro %}
