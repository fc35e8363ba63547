with

movements as (
    select * from {{ ref('fct_deal_movements') }}
),

movements_added_up as (
    select
        pipeline_id,
        owner_id,
        currency,
        movement,
        movement_date,
        max(pipeline_name) as pipeline_name,
        max(owner_name) as owner_name,
        count(*) as movement_count,
        sum(deal_count) as deal_count,
        sum(value) as value,
        bool_or(is_rebuilt) as is_rebuilt
    from movements
    group by pipeline_id, owner_id, currency, movement, movement_date
),

final as (
    select
        -- ids
        jsonb_build_array(
            movement_date, pipeline_id, owner_id, currency, movement
        )::text as pipeline_movement_id,
        pipeline_id,
        owner_id,

        -- strings
        movement,
        pipeline_name,
        owner_name,
        currency,

        -- numerics
        movement_count,
        deal_count,
        value,

        -- booleans
        is_rebuilt,

        -- dates
        movement_date
    from movements_added_up
)

select * from final
