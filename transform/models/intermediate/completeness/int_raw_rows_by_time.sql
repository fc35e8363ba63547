{# Looks at every row that is loaded, once a build. #}
{{ config(materialized='table') }}

{% set streams = graph.sources.values()
    | selectattr('source_name', 'equalto', 'pipedrive')
    | map(attribute='name') | sort if execute else ['run_statements'] %}

with

final as (
    {%- for stream in streams %}
    select
        concat('{{ stream }}.', _sdc_extracted_at) as raw_rows_by_time_id,
        '{{ stream }}' as stream,
        _sdc_extracted_at at time zone 'UTC' as read_at,
        count(*) as row_count
    from {{ raw_table(stream) }}
    group by _sdc_extracted_at
    {{ 'union all' if not loop.last }}
    {%- endfor %}
)

select * from final
