with

deals as (
    select * from {{ ref('fct_deals') }}
    where not is_deleted
),

deals_until as (
    select
        *,
        case
            when not is_open then closed_date
            when is_archived
                then coalesce(
                    {{ reporting_date('archived_at') }},
                    {{ reporting_date('updated_at') }}
                )
            else {{ reporting_date(run_time()) }}
        end as until_date
    from deals
),

deals_by_month as (
    select
        deals.pipeline_id,
        deals.currency,
        deals.pipeline_name,
        deals.value,
        deals.reporting_value,
        deals.days_to_win,
        months.month::date as month,
        deals.is_won and months.is_last as is_won,
        deals.is_lost and months.is_last as is_lost
    from deals_until as deals
    cross join lateral (
        select
            month,
            month + interval '1 month' > deals.until_date as is_last
        from generate_series(
            date_trunc(
                'month', least(deals.created_date, deals.until_date)::timestamp
            ),
            least(
                deals.until_date, {{ reporting_date(run_time()) }}
            )::timestamp,
            interval '1 month'
        ) as months (month)
    ) as months
    where deals.until_date is not null
),

deals_with_won_values as (
    select
        *,
        case when is_won then value else 0 end as won_value,
        case when is_won then reporting_value else 0 end as reporting_won_value
    from deals_by_month
),

pipelines_by_month_and_currency as (
    select
        pipeline_id,
        currency,
        month,
        max(pipeline_name) as pipeline_name,
        count(*) as opportunity_count,
        count(*) filter (where is_won) as won_count,
        count(*) filter (where is_lost) as lost_count,
        count(value) filter (where is_won) as valued_won_count,
        sum(won_value) as won_value,
        {{ sum_if_all_converted('reporting_won_value', 'won_value') }}
            as reporting_won_value,
        {{ unconverted_count('reporting_won_value', 'won_value') }}
            as unconverted_count,
        avg(days_to_win) filter (where is_won) as average_days_to_win,
        percentile_cont(0.5) within group (
            order by days_to_win
        ) filter (where is_won) as median_days_to_win
    from deals_with_won_values
    group by pipeline_id, currency, month
),

rates as (
    select
        *,
        won_count * 1.0 / nullif(won_count + lost_count, 0) as win_rate,
        won_value / nullif(valued_won_count, 0) as average_won_value,
        reporting_won_value / nullif(valued_won_count, 0)
            as reporting_average_won_value
    from pipelines_by_month_and_currency
),

final as (
    select
        -- ids
        jsonb_build_array(
            pipeline_id, currency, month
        )::text as sales_velocity_id,
        pipeline_id,

        -- strings
        currency,
        pipeline_name,

        -- numerics
        opportunity_count,
        won_count,
        lost_count,
        round(win_rate, 4) as win_rate,
        won_value,
        reporting_won_value,
        unconverted_count,
        round(average_won_value, 2) as average_won_value,
        round(reporting_average_won_value, 2) as reporting_average_won_value,
        round(average_days_to_win, 2) as average_days_to_win,
        median_days_to_win::numeric as median_days_to_win,
        round(
            opportunity_count * win_rate * average_won_value
            / nullif(average_days_to_win, 0),
            2
        ) as velocity,
        round(
            opportunity_count * win_rate * reporting_average_won_value
            / nullif(average_days_to_win, 0),
            2
        ) as reporting_velocity,

        -- dates
        month
    from rates
)

select * from final
