with

pipelines as (
    select * from {{ ref('stg_pipedrive__pipelines') }}
),

final as (
    select
        -- ids
        pipeline_id,

        -- strings
        name,

        -- numerics
        position,

        -- booleans
        has_probabilities,
        is_deleted,

        -- timestamps
        created_at,
        updated_at
    from pipelines
)

select * from final
