with

spans as (
    select * from {{ ref('int_deal_stage_spans') }}
),

deals as (
    select * from {{ ref('stg_pipedrive__deals') }}
),

stages as (
    select * from {{ ref('stg_pipedrive__stages') }}
),

pipelines as (
    select * from {{ ref('stg_pipedrive__pipelines') }}
),

users as (
    select * from {{ ref('stg_pipedrive__users') }}
),

spans_in_pipelines as (
    select
        spans.*,
        deals.is_archived,
        deals.is_deleted,
        stages.name as stage_name,
        stages.position as stage_position,
        coalesce(
            stages.pipeline_id,
            case
                when spans.stage_id is not distinct from deals.stage_id
                    then deals.pipeline_id
            end
        ) as pipeline_id
    from spans
    inner join deals on spans.deal_id = deals.deal_id
    left join stages on spans.stage_id = stages.stage_id
),

spans_one_after_another as (
    select
        *,
        lag(stage_id) over one_by_one as previous_stage_id,
        lag(stage_position) over one_by_one as previous_stage_position,
        lag(pipeline_id) over one_by_one as previous_pipeline_id
    from spans_in_pipelines
    window one_by_one as (partition by deal_id order by span_number)
),

final as (
    select
        -- ids
        spans.deal_stage_span_id,
        spans.deal_id,
        spans.stage_id,
        spans.previous_stage_id,
        spans.pipeline_id,
        spans.moved_by_user_id,

        -- strings
        spans.stage_name,
        pipelines.name as pipeline_name,
        users.name as moved_by_name,

        -- numerics
        spans.stage_position,
        spans.span_number,
        spans.visit_number,
        spans.seconds,
        round(spans.seconds / 86400.0, 2) as days,

        -- booleans
        spans.is_current,
        spans.visit_number > 1 as is_reentry,
        coalesce(
            spans.pipeline_id = spans.previous_pipeline_id
            and spans.stage_position < spans.previous_stage_position,
            false
        ) as is_backward,
        spans.is_inferred,
        spans.is_archived,
        spans.is_deleted,

        -- dates
        {{ reporting_date('spans.entered_at') }} as entered_date,
        {{ reporting_date('spans.left_at') }} as left_date,

        -- timestamps
        spans.entered_at,
        spans.left_at
    from spans_one_after_another as spans
    left join pipelines on spans.pipeline_id = pipelines.pipeline_id
    left join users on spans.moved_by_user_id = users.user_id
)

select * from final
