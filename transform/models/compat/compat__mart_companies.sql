with

companies as (
    select * from {{ ref('mart_companies') }}
),

final as (
    select
        company_id,
        company_name,
        domain,
        especialidade_medica,
        total_deals,
        total_won_deals,
        total_revenue,
        average_deal_value
    from companies
)

select * from final
