{% set this_month -%}
    date_trunc('month', {{ reporting_time(run_time()) }})::date
{%- endset %}

with

deals as (
    select * from {{ ref('int_customer_deals') }}
    where is_won
),

customers as (
    select * from {{ ref('dim_customers') }}
),

deals_in_cohorts as (
    select
        customers.crm,
        deals.currency,
        deals.customer_id,
        deals.value,
        deals.reporting_value,
        customers.first_won_month as cohort_month,
        deals.won_month
    from deals
    inner join customers on deals.customer_id = customers.customer_id
),

cohorts as (
    select
        crm,
        currency,
        cohort_month,
        count(distinct customer_id) as customer_count,
        greatest(max(won_month), {{ this_month }}) as last_month
    from deals_in_cohorts
    group by crm, currency, cohort_month
),

months as (
    select
        cohorts.crm,
        cohorts.currency,
        cohorts.cohort_month,
        cohorts.customer_count,
        series.month::date as month,
        series.position - 1 as months_since
    from cohorts
    cross join lateral generate_series(
        cohorts.cohort_month::timestamp,
        cohorts.last_month::timestamp,
        interval '1 month'
    ) with ordinality as series (month, position)
),

deals_by_month as (
    select
        crm,
        currency,
        cohort_month,
        won_month,
        count(distinct customer_id) as active_customer_count,
        sum(value) as revenue,
        {{ sum_if_all_converted(
            'reporting_value', 'value'
        ) }} as reporting_revenue,
        {{ unconverted_count(
            'reporting_value', 'value'
        ) }} as unconverted_count
    from deals_in_cohorts
    group by crm, currency, cohort_month, won_month
),

months_with_revenue as (
    select
        months.*,
        coalesce(deals.active_customer_count, 0) as active_customer_count,
        coalesce(deals.revenue, 0) as revenue,
        coalesce(deals.unconverted_count, 0) as unconverted_count,
        case
            when deals.won_month is null then 0
            else deals.reporting_revenue
        end as reporting_revenue
    from months
    left join deals_by_month as deals
        on months.crm = deals.crm
        and months.currency is not distinct from deals.currency
        and months.cohort_month = deals.cohort_month
        and months.month = deals.won_month
),

months_cumulated as (
    select
        *,
        sum(revenue) over months_so_far as cumulative_revenue,
        case
            when count(*) over months_so_far
                = count(reporting_revenue) over months_so_far
                then sum(reporting_revenue) over months_so_far
        end as reporting_cumulative_revenue
    from months_with_revenue
    window months_so_far as (
        partition by crm, currency, cohort_month
        order by month
    )
),

final as (
    select
        -- ids
        concat_ws(
            '-', crm, cohort_month, months_since, currency
        ) as customer_cohort_id,

        -- strings
        crm,
        currency,

        -- numerics
        months_since,
        customer_count,
        active_customer_count,
        round(
            active_customer_count::numeric / customer_count, 4
        ) as retention_rate,
        revenue,
        reporting_revenue,
        unconverted_count,
        round(
            cumulative_revenue / customer_count, 2
        ) as cumulative_revenue_per_customer,
        round(
            reporting_cumulative_revenue / customer_count, 2
        ) as reporting_cumulative_revenue_per_customer,

        -- dates
        cohort_month,
        month
    from months_cumulated
)

select * from final
