with

customers as (
    select * from {{ ref('dim_customers') }}
    where won_deal_count > 0
),

ltv_by_customer as (
    select * from {{ ref('ltv_by_customer') }}
),

acquisition_costs as (
    select * from {{ ref('stg_seeds__acquisition_costs') }}
    where problem is null
),

last_rates_by_month as (
    select distinct on (currency, date_trunc('month', rate_date))
        currency,
        rate,
        date_trunc('month', rate_date)::date as month
    from {{ ref('int_exchange_rates') }}
    order by currency, date_trunc('month', rate_date), rate_date desc
),

costs_converted as (
    select
        costs.crm,
        costs.channel,
        costs.amount,
        {{ in_reporting_currency(
            'costs.amount', 'costs.currency', 'rates.rate'
        ) }} as reporting_amount,
        costs.month
    from acquisition_costs as costs
    left join last_rates_by_month as rates
        on costs.currency = rates.currency
        and costs.month = rates.month
),

costs_summed as (
    select
        crm,
        channel,
        month,
        {{ sum_if_all_converted(
            'reporting_amount', 'amount'
        ) }} as reporting_spend,
        {{ unconverted_count(
            'reporting_amount', 'amount'
        ) }} as unconverted_spend_count
    from costs_converted
    group by crm, channel, month
),

new_customers_counted as (
    select
        customers.crm,
        customers.channel,
        customers.first_won_month as month,
        count(distinct customers.customer_id) as new_customers,
        {{ sum_if_all_converted(
            'ltv_by_customer.reporting_ltv', 'ltv_by_customer.ltv'
        ) }} as reporting_ltv,
        {{ unconverted_count(
            'ltv_by_customer.reporting_ltv', 'ltv_by_customer.ltv'
        ) }} as unconverted_ltv_count
    from customers
    inner join ltv_by_customer
        on customers.customer_id = ltv_by_customer.customer_id
    group by customers.crm, customers.channel, customers.first_won_month
),

costs_beside_customers as (
    select
        crm,
        channel,
        month,
        costs.reporting_spend,
        coalesce(customers.new_customers, 0) as new_customers,
        costs.reporting_spend / customers.new_customers as reporting_cac,
        customers.reporting_ltv / customers.new_customers as reporting_ltv,
        coalesce(costs.unconverted_spend_count, 0) as unconverted_spend_count,
        coalesce(customers.unconverted_ltv_count, 0) as unconverted_ltv_count
    from costs_summed as costs
    full join new_customers_counted as customers
        using (crm, channel, month)
),

final as (
    select
        -- ids
        concat_ws('-', crm, month, channel) as ltv_cac_converted_id,

        -- strings
        crm,
        channel,
        {{ reporting_currency() }} as reporting_currency,

        -- numerics
        reporting_spend,
        unconverted_spend_count,
        new_customers,
        round(reporting_cac, 2) as reporting_cac,
        round(reporting_ltv, 2) as reporting_ltv,
        unconverted_ltv_count,
        round(
            case when reporting_cac > 0 then reporting_ltv / reporting_cac end,
            4
        ) as ltv_cac_ratio,

        -- dates
        month
    from costs_beside_customers
)

select * from final
