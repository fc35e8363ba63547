with

pipelines as (
    select * from {{ ref('stg_pipedrive__pipelines') }}
),

final as (
    select
        pipeline_id as id,
        name,
        position as order_nr,
        created_at as add_time,
        updated_at as update_time,
        not is_deleted as active,
        has_probabilities::integer as deal_probability
    from pipelines
)

select * from final
