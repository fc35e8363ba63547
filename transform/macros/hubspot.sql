{% macro hubspot_currency() -%}
    {%- set currency = var("hubspot_currency", env_var("HUBSPOT_CURRENCY", "")) -%}
    {{ "'" ~ currency | upper ~ "'" if currency else reporting_currency() }}
{%- endmacro %}


{# HubSpot writes a property that somebody emptied as an empty text. #}
{% macro hubspot_text(property) -%}
    nullif({{ property }} ->> 'value', '')
{%- endmacro %}


{# Properties of type number may hold words, such as N/A. #}
{% macro hubspot_number(property) -%}
    case
        when jsonb_typeof({{ property }} -> 'value') = 'number'
            then ({{ property }} ->> 'value')::numeric
    end
{%- endmacro %}


{% macro hubspot_time(property) -%}
    ({{ hubspot_text(property) }})::timestamptz
{%- endmacro %}


{# HubSpot's contacts have the bare value, its other objects one with a history;
   Pipedrive's columns are bare, too. #}
{% macro property_text(property) -%}
    case jsonb_typeof({{ property }})
        when 'object' then {{ property }} ->> 'value'
        else {{ property }} #>> '{}'
    end
{%- endmacro %}
