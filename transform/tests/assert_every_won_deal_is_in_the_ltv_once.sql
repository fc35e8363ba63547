{{ config(severity='warn') }}
{# A customer of both CRMs may have bought through either. #}
{% set crm = "'both'" if customers_across_crms() == 'True' else 'crm' %}

with

won_deals as (
    select
        'pipedrive' as crm,
        currency,
        value
    from {{ ref('fct_deals') }}
    where
        is_won
        and coalesce(organization_id, person_id) is not null
        and coalesce(
            {{ plausible('won_at') }},
            {{ plausible('closed_at') }},
            {{ plausible('created_at') }}
        ) is not null
    union all
    select
        'hubspot' as crm,
        currency,
        amount as value
    from {{ ref('int_hubspot_deals_matched') }}
    where
        is_won
        and not is_deleted
        and coalesce(company_id, contact_id) is not null
        and coalesce(
            {{ plausible('closed_at') }}, {{ plausible('created_at') }}
        ) is not null
),

figures as (
    select
        {{ crm }} as crm,
        currency,
        count(*) as deal_count,
        round(coalesce(sum(value), 0), 4) as revenue
    from won_deals
    group by 1, currency
    union all
    select
        {{ crm }} as crm,
        currency,
        sum(won_deal_count) as deal_count,
        round(sum(won_revenue), 4) as revenue
    from {{ ref('ltv_by_customer') }}
    group by 1, currency
),

cohorts as (
    select
        {{ crm }} as crm,
        currency,
        round(sum(revenue), 4) as revenue
    from {{ ref('customer_cohorts') }}
    group by 1, currency
)

select
    figures.crm,
    figures.currency,
    min(figures.deal_count) as fewest_deals,
    max(figures.deal_count) as most_deals,
    min(figures.revenue) as lowest_revenue,
    max(figures.revenue) as highest_revenue,
    min(cohorts.revenue) as revenue_of_cohorts
from figures
left join cohorts
    on figures.crm = cohorts.crm
    and figures.currency is not distinct from cohorts.currency
group by figures.crm, figures.currency
having
    count(*) != 2
    or min(figures.deal_count) != max(figures.deal_count)
    or min(figures.revenue) != max(figures.revenue)
    or min(cohorts.revenue) is distinct from max(figures.revenue)
