{# The channel column of the raw deals as text; null if there are no deals yet
   or no column is configured. #}
{% macro acquisition_channel_column() -%}
    {% set wanted = acquisition_channel_column_name() %}
    {% set deals = source('pipedrive', 'deals') %}
    {% set columns = raw_columns(deals) if execute and wanted else [] %}
    {% set column = columns | selectattr('name', 'equalto', wanted) | first %}
    {% if columns and not column %}
        {{ exceptions.raise_compiler_error(
            "The raw table of deals has no column '" ~ wanted ~ "' to take as acquisition_channel_column."
        ) }}
    {% endif %}
    {% if not column -%}
        null::text
    {%- elif column.data_type == 'jsonb' -%}
        {{ adapter.quote(wanted) }} #>> '{}'
    {%- else -%}
        {{ adapter.quote(wanted) }}::text
    {%- endif %}
{%- endmacro %}


{% macro acquisition_channel_option_ids() -%}
    {% set wanted = acquisition_channel_column_name() %}
    {% set columns = raw_columns(source('pipedrive', 'deals')) if execute and wanted else [] %}
    {% set column = columns | selectattr('name', 'in', [wanted ~ '_id', wanted ~ '_ids']) | first %}
    {{- 'to_jsonb(' ~ adapter.quote(column.name) ~ ')' if column else 'null::jsonb' }}
{%- endmacro %}


{% macro acquisition_channel_column_name() -%}
    {{ return(var("acquisition_channel_column", env_var("ACQUISITION_CHANNEL_COLUMN", ""))) }}
{%- endmacro %}


{% macro channel_named(text) -%}
    coalesce(nullif(lower(trim({{ text }})), ''), 'unknown')
{%- endmacro %}


{% macro gross_margin() -%}
    {% set margin = var("gross_margin", env_var("GROSS_MARGIN", "1")) | string %}
    {% if not modules.re.fullmatch('0?\\.[0-9]+|[01](\\.0*)?', margin) %}
        {{ exceptions.raise_compiler_error("gross_margin is a share from 0 to 1, such as 0.6, not '" ~ margin ~ "'.") }}
    {% endif %}
    {{- margin }}::numeric
{%- endmacro %}


{% macro customers_across_crms() -%}
    {{ var("customers_across_crms", env_var("CUSTOMERS_ACROSS_CRMS", "false")) | string | lower == "true" }}
{%- endmacro %}
