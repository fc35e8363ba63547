with

movements as (
    select * from {{ ref('fct_deal_movements') }}
),

{# One rate is used for all days, so that movements add up in the reporting
   currency as well. #}
exchange_rates as (
    select * from {{ ref('int_exchange_rates') }}
    where rate_date = {{ reporting_date(run_time()) }}
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
            movements.movement_date,
            movements.pipeline_id,
            movements.owner_id,
            movements.currency,
            movements.movement
        )::text as pipeline_movement_id,
        movements.pipeline_id,
        movements.owner_id,

        -- strings
        movements.movement,
        movements.pipeline_name,
        movements.owner_name,
        movements.currency,

        -- numerics
        movements.movement_count,
        movements.deal_count,
        {{ scaled('movements.value') }} as value,
        {{ scaled(in_reporting_currency(
            'movements.value', 'movements.currency', 'exchange_rates.rate'
        )) }} as reporting_value,

        -- booleans
        movements.is_rebuilt,

        -- dates
        movements.movement_date
    from movements_added_up as movements
    left join exchange_rates using (currency)
)

select * from final
