{% set streams = ['activities', 'deals', 'organizations', 'persons', 'products'] %}

with

final as (
    {%- for stream in streams %}
    select
        '{{ stream }}' as stream,
        coalesce(max(id), 0) as highest_id
    from {{ raw_table(stream) }}
    {{ 'union all' if not loop.last }}
    {%- endfor %}
)

select * from final
