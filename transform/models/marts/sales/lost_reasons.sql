with

deals as (
    select
        *,
        btrim(regexp_replace({{ folded('lost_reason') }}, '\s+', ' ', 'g'))
            as reason_key
    from {{ ref('fct_deals') }}
    where is_lost
),

{# Reasons that are typed have many spellings. #}
reasons as (
    select
        reason_key,
        mode() within group (
            order by btrim(lost_reason) collate "C"
        ) as lost_reason
    from deals
    where reason_key != ''
    group by reason_key
),

deals_with_reason as (
    select
        deals.pipeline_id,
        deals.stage_id,
        deals.owner_id,
        deals.pipeline_name,
        deals.stage_name,
        deals.owner_name,
        deals.stage_position,
        deals.currency,
        deals.value,
        deals.reporting_value,
        deals.days_open,
        deals.done_activity_count,
        reasons.lost_reason,
        date_trunc('month', deals.closed_date)::date as lost_month
    from deals
    left join reasons on deals.reason_key = reasons.reason_key
),

deals_added_up as (
    select
        pipeline_id,
        stage_id,
        owner_id,
        lost_reason,
        currency,
        lost_month,
        max(pipeline_name) as pipeline_name,
        max(stage_name) as stage_name,
        max(owner_name) as owner_name,
        max(stage_position) as stage_position,
        count(*) as lost_count,
        count(*) filter (
            where done_activity_count = 0
        ) as without_activity_count,
        sum(value) as lost_value,
        {{ sum_if_all_converted('reporting_value', 'value') }}
            as reporting_lost_value,
        {{ unconverted_count('reporting_value', 'value') }}
            as unconverted_count,
        percentile_cont(0.5) within group (
            order by days_open
        )::numeric as median_days_to_lose
    from deals_with_reason
    group by
        pipeline_id, stage_id, owner_id, lost_reason, currency, lost_month
),

final as (
    select
        -- ids
        jsonb_build_array(
            lost_month, lost_reason, pipeline_id, stage_id, owner_id, currency
        )::text as lost_reasons_id,
        pipeline_id,
        stage_id,
        owner_id,

        -- strings
        lost_reason,
        currency,
        pipeline_name,
        stage_name,
        owner_name,

        -- numerics
        stage_position,
        lost_count,
        without_activity_count,
        lost_value,
        reporting_lost_value,
        unconverted_count,
        median_days_to_lose,

        -- dates
        lost_month
    from deals_added_up
)

select * from final
