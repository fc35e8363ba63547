with

stage_spans as (
    select
        *,
        case when value ~ '^\d{1,18}$' then value::bigint end as stage_id
    from {{ ref('int_deal_field_spans') }}
    where field_key = 'stage_id'
),

deals as (
    select * from {{ ref('stg_pipedrive__deals') }}
),

deals_until as (
    select
        deal_id,
        case
            when is_deleted or status in ('won', 'lost')
                then coalesce(
                    {{ plausible('closed_at') }}, {{ plausible('updated_at') }}
                )
            else {{ run_time() }}
        end as until_at
    from deals
),

final as (
    select
        -- ids
        concat_ws(
            '-', stage_spans.deal_id, stage_spans.span_number
        ) as deal_stage_span_id,
        stage_spans.deal_id,
        stage_spans.stage_id,
        stage_spans.changed_by_user_id as moved_by_user_id,

        -- numerics
        stage_spans.span_number,
        row_number() over (
            partition by stage_spans.deal_id, stage_spans.stage_id
            order by stage_spans.span_number
        ) as visit_number,
        extract(
            epoch from greatest(
                coalesce(stage_spans.ended_at, deals_until.until_at),
                stage_spans.started_at
            ) - stage_spans.started_at
        )::bigint as seconds,

        -- booleans
        stage_spans.ended_at is null as is_current,
        stage_spans.is_inferred,

        -- timestamps
        stage_spans.started_at as entered_at,
        stage_spans.ended_at as left_at
    from stage_spans
    inner join deals_until on stage_spans.deal_id = deals_until.deal_id
)

select * from final
