{% set visits = ref('fct_deal_stage_history') %}
{% set stages = stage_columns(ref('stg_pipedrive__stages'), visits) %}

with

visits as (
    select * from {{ visits }}
),

first_visits as (
    select
        deal_id
        {%- for stage in stages %},
        min(entered_at) filter (
            where stage_id = {{ stage.stage_id }}
        ) as {{ adapter.quote(stage.name) }}
        {%- endfor %}
    from visits
    group by deal_id
)

select * from first_visits
