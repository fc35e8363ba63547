with

deals as (
    select * from {{ ref('fct_deals') }}
    where is_open and not is_archived
),

deals_timed as (
    select
        *,
        date_trunc(
            'month', {{ plausible('expected_close_date') }}
        )::date as expected_close_month,
        case
            when {{ plausible('expected_close_date') }} is null then 'undated'
            when is_overdue then 'overdue'
            else 'upcoming'
        end as timing
    from deals
),

deals_added_up as (
    select
        pipeline_id,
        owner_id,
        currency,
        timing,
        expected_close_month,
        max(pipeline_name) as pipeline_name,
        max(owner_name) as owner_name,
        count(*) as deal_count,
        sum(value) as value,
        {{ sum_if_all_converted('reporting_value', 'value') }}
            as reporting_value,
        sum(weighted_value) as weighted_value,
        {{ sum_if_all_converted('reporting_weighted_value', 'weighted_value') }}
            as reporting_weighted_value,
        {{ unconverted_count('reporting_value', 'value') }}
            as unconverted_count
    from deals_timed
    group by pipeline_id, owner_id, currency, timing, expected_close_month
),

final as (
    select
        -- ids
        jsonb_build_array(
            pipeline_id, owner_id, timing, expected_close_month, currency
        )::text as forecast_id,
        pipeline_id,
        owner_id,

        -- strings
        currency,
        timing,
        pipeline_name,
        owner_name,

        -- numerics
        deal_count,
        value,
        reporting_value,
        weighted_value,
        reporting_weighted_value,
        unconverted_count,

        -- dates
        expected_close_month
    from deals_added_up
)

select * from final
