with

stages as (
    select * from {{ ref('stg_pipedrive__stages') }}
),

pipelines as (
    select * from {{ ref('stg_pipedrive__pipelines') }}
),

stages_joined_to_pipelines as (
    select
        -- ids
        stages.stage_id,
        stages.pipeline_id,

        -- strings
        stages.name,
        pipelines.name as pipeline_name,

        -- numerics
        stages.position,
        {{ scaled('stages.probability') }} as probability,
        stages.days_to_rotten,

        -- booleans
        stages.has_rotting,
        stages.is_deleted,

        -- timestamps
        stages.created_at,
        stages.updated_at
    from stages
    left join pipelines on stages.pipeline_id = pipelines.pipeline_id
)

select * from stages_joined_to_pipelines
