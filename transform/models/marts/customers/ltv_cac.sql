with

customers as (
    select * from {{ ref('dim_customers') }}
    where won_deal_count > 0
),

ltv_by_customer as (
    select * from {{ ref('ltv_by_customer') }}
),

acquisition_costs as (
    select * from {{ ref('acquisition_costs') }}
),

new_customers_counted as (
    select
        customers.crm,
        customers.channel,
        customers.first_won_currency as currency,
        customers.first_won_month as month,
        count(*) as new_customers,
        avg(ltv_by_customer.ltv) as ltv
    from customers
    inner join ltv_by_customer
        on customers.customer_id = ltv_by_customer.customer_id
        and customers.first_won_currency
        is not distinct from ltv_by_customer.currency
    group by
        customers.crm,
        customers.channel,
        customers.first_won_currency,
        customers.first_won_month
),

costs_summed as (
    select
        crm,
        {{ channel_named('channel') }} as channel,
        upper(trim(currency)) as currency,
        date_trunc('month', month)::date as month,
        sum(amount) as spend
    from acquisition_costs
    group by 1, 2, 3, 4
),

costs_beside_customers as (
    select
        crm,
        channel,
        currency,
        month,
        costs_summed.spend,
        coalesce(new_customers_counted.new_customers, 0) as new_customers,
        costs_summed.spend / new_customers_counted.new_customers as cac,
        new_customers_counted.ltv
    from costs_summed
    full join new_customers_counted using (crm, channel, currency, month)
),

final as (
    select
        -- ids
        concat_ws('-', crm, month, channel, currency) as ltv_cac_id,

        -- strings
        crm,
        channel,
        currency,

        -- numerics
        spend,
        new_customers,
        cac,
        ltv,
        case when cac > 0 then ltv / cac end as ltv_cac_ratio,

        -- dates
        month
    from costs_beside_customers
)

select * from final
