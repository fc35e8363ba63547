with

source as (
    select * from {{ raw_table('deal_pipelines', 'hubspot') }}
),

stages as (
    select
        source.*,
        stages.stage,
        {{ number_or_null("stages.stage #>> '{metadata,probability}'") }}
            as win_probability
    from source
    cross join lateral unnest(source.stages) as stages (stage)
),

renamed as (
    select
        -- ids
        stage ->> 'id' as stage_id,
        id as pipeline_id,

        -- strings
        stage ->> 'label' as stage,
        label as pipeline,

        -- numerics
        {{ number_or_null("stage ->> 'displayOrder'") }}::bigint as position,
        win_probability * 100 as probability,

        -- booleans
        coalesce(win_probability = 1, false) as is_won,
        coalesce(
            stage #>> '{metadata,isClosed}' = 'true',
            win_probability in (0, 1),
            false
        ) as is_closed,
        (
            coalesce(archived, false)
            or coalesce(stage ->> 'archived' = 'true', false)
            or _sdc_deleted_at is not null
        ) as is_deleted,

        -- load
        _sdc_extracted_at at time zone 'UTC' as _sdc_extracted_at
    from stages
)

select * from renamed
