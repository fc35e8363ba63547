with

companies as (
    select * from {{ ref('stg_hubspot__companies') }}
    where not is_deleted
),

deals as (
    select * from {{ ref('int_hubspot_deals_matched') }}
    where not is_deleted
),

{# The sum is null if an amount was not converted. #}
deals_summed as (
    select
        company_id,
        count(*) as total_deals,
        count(*) filter (where is_won) as total_won_deals,
        count(amount) filter (where is_won) as priced_won_deals,
        count(home_currency_amount) filter (where is_won)
            as converted_won_deals,
        coalesce(
            sum(home_currency_amount) filter (where is_won), 0
        ) as total_revenue,
        avg(home_currency_amount) filter (where is_won) as average_deal_value
    from deals
    where company_id is not null
    group by company_id
),

companies_joined as (
    select
        -- ids
        companies.company_id,

        -- strings
        companies.company_name,
        companies.domain,
        companies.specialty as especialidade_medica,

        -- numerics
        coalesce(deals_summed.total_deals, 0) as total_deals,
        coalesce(deals_summed.total_won_deals, 0) as total_won_deals,
        case
            when deals_summed.company_id is null then 0
            when
                deals_summed.priced_won_deals = deals_summed.converted_won_deals
                then deals_summed.total_revenue
        end as total_revenue,
        case
            when
                deals_summed.priced_won_deals = deals_summed.converted_won_deals
                then round(deals_summed.average_deal_value, 2)
        end as average_deal_value
    from companies
    left join deals_summed on companies.company_id = deals_summed.company_id
)

select * from companies_joined
