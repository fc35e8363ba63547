{# Looks at every row that is loaded, once a build. #}
{{ config(materialized='table') }}

{% set streams = graph.sources.values()
    | selectattr('source_name', 'equalto', 'pipedrive')
    | map(attribute='name') | sort if execute else ['run_statements'] %}

with

latest as (
    select * from {{ ref('int_run_statements_latest') }}
),

final as (
    {%- for stream in streams %}
    select
        '{{ stream }}' as stream,
        count(*) as row_count,
        max(_sdc_extracted_at) at time zone 'UTC' as last_row_at,
        coalesce(bool_or(
            _sdc_extracted_at at time zone 'UTC' = (
                select latest.last_row_at
                from latest
                where latest.stream = '{{ stream }}'
            )
        ), false) as has_last_row
    from {{ raw_table(stream) }}
    {{ 'union all' if not loop.last }}
    {%- endfor %}
)

select * from final
