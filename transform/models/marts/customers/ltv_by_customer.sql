with

deals as (
    select * from {{ ref('int_customer_deals') }}
    where is_won
),

customers as (
    select * from {{ ref('dim_customers') }}
),

deals_summarized as (
    select
        customer_id,
        currency,
        count(*) as won_deal_count,
        sum(value) as won_revenue,
        {{ sum_if_all_converted(
            'reporting_value', 'value'
        ) }} as reporting_won_revenue,
        {{ unconverted_count('reporting_value', 'value') }}
            as unconverted_count,
        min(won_at) as first_won_at,
        max(won_at) as last_won_at
    from deals
    group by customer_id, currency
),

deals_with_margin as (
    select
        *,
        {{ gross_margin() }} as gross_margin
    from deals_summarized
),

final as (
    select
        -- ids
        concat_ws('-', deals.customer_id, deals.currency) as ltv_by_customer_id,
        deals.customer_id,

        -- strings
        customers.crm,
        customers.name as customer_name,
        customers.channel,
        deals.currency,

        -- numerics
        deals.won_deal_count,
        deals.won_revenue,
        deals.reporting_won_revenue,
        deals.unconverted_count,
        round(
            deals.won_revenue / deals.won_deal_count, 2
        ) as average_deal_value,
        deals.gross_margin,
        deals.won_revenue * deals.gross_margin as ltv,
        deals.reporting_won_revenue * deals.gross_margin as reporting_ltv,
        case
            when deals.first_won_at <= {{ run_time() }}
                then {{ whole_days('deals.first_won_at', run_time()) }}
        end as lifetime_days,

        -- timestamps
        deals.first_won_at,
        deals.last_won_at
    from deals_with_margin as deals
    inner join customers on deals.customer_id = customers.customer_id
)

select * from final
