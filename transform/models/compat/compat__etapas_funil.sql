with

stages as (
    select * from {{ ref('dim_stages') }}
),

final as (
    select
        stage_id as id,
        name,
        pipeline_id,
        position as order_nr,
        probability as deal_probability,
        has_rotting as rotten_flag,
        created_at as add_time,
        updated_at as update_time,
        pipeline_name
    from stages
    where not is_deleted
)

select * from final
