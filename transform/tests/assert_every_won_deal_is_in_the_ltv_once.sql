with

figures as (
    select
        currency,
        count(*) as deal_count,
        sum(coalesce(value, 0)) as revenue
    from {{ ref('fct_deals') }}
    where
        is_won
        and coalesce(organization_id, person_id) is not null
        and coalesce(won_at, closed_at, created_at) is not null
    group by currency
    union all
    select
        currency,
        sum(won_deal_count) as deal_count,
        sum(won_revenue) as revenue
    from {{ ref('ltv_by_customer') }}
    where crm = 'pipedrive'
    group by currency
),

cohorts as (
    select
        currency,
        sum(revenue) as revenue
    from {{ ref('customer_cohorts') }}
    where crm = 'pipedrive'
    group by currency
)

select
    figures.currency,
    min(figures.deal_count) as fewest_deals,
    max(figures.deal_count) as most_deals,
    min(figures.revenue) as lowest_revenue,
    max(figures.revenue) as highest_revenue,
    min(cohorts.revenue) as revenue_of_cohorts
from figures
left join cohorts
    on figures.currency is not distinct from cohorts.currency
group by figures.currency
having
    count(*) != 2
    or min(figures.deal_count) != max(figures.deal_count)
    or min(figures.revenue) != max(figures.revenue)
    or min(cohorts.revenue) is distinct from max(figures.revenue)
