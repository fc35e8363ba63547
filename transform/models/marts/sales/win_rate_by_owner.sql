with

deals as (
    select * from {{ ref('fct_deals') }}
    where is_won or is_lost
),

deals_with_won_values as (
    select
        *,
        date_trunc('month', closed_date)::date as closed_month,
        case when is_won then value else 0 end as won_value,
        case when is_won then reporting_value else 0 end
            as reporting_won_value,
        case when is_lost then value else 0 end as lost_value,
        case when is_lost then reporting_value else 0 end
            as reporting_lost_value
    from deals
),

deals_by_owner_month_and_currency as (
    select
        owner_id,
        currency,
        closed_month,
        max(owner_name) as owner_name,
        count(*) filter (where is_won) as won_count,
        count(*) filter (where is_lost) as lost_count,
        count(value) filter (where is_won) as valued_won_count,
        sum(won_value) as won_value,
        {{ sum_if_all_converted('reporting_won_value', 'won_value') }}
            as reporting_won_value,
        {{ unconverted_count('reporting_won_value', 'won_value') }}
            as unconverted_won_count,
        sum(lost_value) as lost_value,
        {{ sum_if_all_converted('reporting_lost_value', 'lost_value') }}
            as reporting_lost_value,
        {{ unconverted_count('reporting_lost_value', 'lost_value') }}
            as unconverted_lost_count,
        percentile_cont(0.5) within group (
            order by days_to_win
        )::numeric as median_days_to_win
    from deals_with_won_values
    group by owner_id, currency, closed_month
),

final as (
    select
        -- ids
        jsonb_build_array(
            owner_id, closed_month, currency
        )::text as win_rate_by_owner_id,
        owner_id,

        -- strings
        currency,
        owner_name,

        -- numerics
        won_count,
        lost_count,
        round(won_count * 1.0 / (won_count + lost_count), 4) as win_rate,
        won_value,
        reporting_won_value,
        unconverted_won_count,
        lost_value,
        reporting_lost_value,
        unconverted_lost_count,
        round(
            won_value / nullif(valued_won_count, 0), 2
        ) as average_won_value,
        round(
            reporting_won_value / nullif(valued_won_count, 0), 2
        ) as reporting_average_won_value,
        median_days_to_win,

        -- dates
        closed_month
    from deals_by_owner_month_and_currency
)

select * from final
