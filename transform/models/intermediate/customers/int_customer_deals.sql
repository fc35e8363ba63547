with

pipedrive_deals as (
    select * from {{ ref('int_pipedrive_customer_deals') }}
),

hubspot_deals as (
    select * from {{ ref('int_hubspot_customer_deals') }}
),

customer_records as (
    select * from {{ ref('int_customer_records') }}
),

exchange_rates as (
    select * from {{ ref('int_exchange_rates') }}
),

deals as (
    select
        'pipedrive' as crm,
        *
    from pipedrive_deals
    union all
    select
        'hubspot' as crm,
        *
    from hubspot_deals
),

deals_of_customers as (
    select
        deals.crm,
        deals.deal_id,
        coalesce(
            customer_records.customer_id, deals.customer_record_id
        ) as customer_id,
        deals.channel,
        deals.currency,
        coalesce(deals.value, 0) as value,
        deals.is_open,
        deals.is_won and deals.won_at is not null as is_won,
        deals.created_at,
        case when deals.is_won then deals.won_at end as won_at
    from deals
    left join customer_records
        on deals.customer_record_id = customer_records.customer_record_id
    where deals.customer_record_id is not null
),

final as (
    select
        -- ids
        deals.crm || '-' || deals.deal_id as customer_deal_id,
        deals.deal_id,
        deals.customer_id,

        -- strings
        deals.crm,
        deals.channel,
        deals.currency,

        -- numerics
        deals.value,
        case
            when deals.is_won
                then {{ in_reporting_currency(
                    'deals.value', 'deals.currency', 'exchange_rates.rate'
                ) }}
        end as reporting_value,

        -- booleans
        deals.is_open,
        deals.is_won,

        -- dates
        date_trunc(
            'month', {{ reporting_time('deals.won_at') }}
        )::date as won_month,

        -- timestamps
        deals.created_at,
        deals.won_at
    from deals_of_customers as deals
    left join exchange_rates
        on deals.currency = exchange_rates.currency
        and least(
            {{ reporting_date('deals.won_at') }},
            {{ reporting_date(run_time()) }}
        ) = exchange_rates.rate_date
)

select * from final
