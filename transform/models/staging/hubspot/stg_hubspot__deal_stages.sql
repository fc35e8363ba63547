with

source as (
    select * from {{ raw_table('deal_pipelines', 'hubspot') }}
),

renamed as (
    select
        -- ids
        stages.stage ->> 'stageId' as stage_id,
        source."pipelineId" as pipeline_id,

        -- strings
        stages.stage ->> 'label' as stage,
        source.label as pipeline,

        -- numerics
        (stages.stage ->> 'displayOrder')::bigint as position,
        (stages.stage ->> 'probability')::numeric * 100 as probability,

        -- booleans
        coalesce(
            (stages.stage ->> 'closedWon')::boolean,
            (stages.stage ->> 'probability')::numeric = 1,
            false
        ) as is_won,
        coalesce(
            (stages.stage ->> 'probability')::numeric in (0, 1), false
        ) as is_closed,
        source._sdc_deleted_at is not null as is_deleted,

        -- load
        source._sdc_extracted_at at time zone 'UTC' as _sdc_extracted_at
    from source
    cross join lateral unnest(source.stages) as stages (stage)
)

select * from renamed
