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
        channel,
        currency,
        month,
        sum(amount) as spend
    from acquisition_costs
    group by crm, channel, currency, month
),

costs_beside_customers as (
    select
        crm,
        channel,
        currency,
        month,
        costs_summed.spend,
        coalesce(new_customers_counted.new_customers, 0) as new_customers,
        new_customers_counted.ltv
    from costs_summed
    full join new_customers_counted using (crm, channel, currency, month)
),

{# Expenses in one currency have won customers with all currencies. #}
costs_per_customer as (
    select
        *,
        case
            when count(*) over channel_and_month = 1
                then spend / nullif(new_customers, 0)
        end as cac
    from costs_beside_customers
    window channel_and_month as (partition by crm, channel, month)
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
        round(cac, 2) as cac,
        round(ltv, 2) as ltv,
        round(case when cac > 0 then ltv / cac end, 4) as ltv_cac_ratio,

        -- dates
        month
    from costs_per_customer
)

select * from final
