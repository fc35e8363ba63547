with

deals as (
    select
        *,
        case
            when is_closed and closed_at < {{ run_time() }} then closed_at
            else {{ run_time() }}
        end as valued_at
    from {{ ref('int_hubspot_deals_matched') }}
),

companies as (
    select * from {{ ref('stg_hubspot__companies') }}
),

contacts as (
    select * from {{ ref('stg_hubspot__contacts') }}
),

owners as (
    select * from {{ ref('stg_hubspot__owners') }}
),

exchange_rates as (
    select * from {{ ref('int_exchange_rates') }}
),

customer_deals as (
    select
        deal_id,
        customer_id
    from {{ ref('int_customer_deals') }}
    where crm = 'hubspot'
),

final as (
    select
        -- ids
        deals.deal_id,
        deals.company_id,
        deals.contact_id,
        customer_deals.customer_id,
        deals.owner_id,
        deals.pipeline_id,
        deals.stage_id,

        -- strings
        deals.deal_name,
        deals.currency,
        companies.company_name,
        nullif(concat_ws(' ', contacts.first_name, contacts.last_name), '')
            as contact_name,
        owners.owner_name,
        deals.pipeline as pipeline_name,
        deals.stage as stage_name,
        deals.original_source,

        -- numerics
        deals.amount,
        deals.home_currency_amount,
        {{ in_reporting_currency(
            'deals.amount', 'deals.currency', 'exchange_rates.rate'
        ) }} as reporting_amount,
        deals.probability as win_probability,
        case
            when
                not deals.is_deleted
                and (not deals.is_closed or deals.closed_at is not null)
                and deals.created_at <= deals.valued_at
                then {{ whole_days('deals.created_at', 'deals.valued_at') }}
        end as days_open,

        -- booleans
        not deals.is_closed and not deals.is_deleted as is_open,
        deals.is_won and not deals.is_deleted as is_won,
        deals.is_closed
        and not deals.is_won
        and not deals.is_deleted as is_lost,
        deals.is_deleted,

        -- dates
        {{ reporting_date('deals.created_at') }} as created_date,
        {{ reporting_date('deals.closed_at') }} as closed_date,

        -- timestamps
        deals.created_at,
        deals.closed_at,
        deals.updated_at
    from deals
    left join companies on deals.company_id = companies.company_id
    left join contacts on deals.contact_id = contacts.contact_id
    left join owners on deals.owner_id = owners.owner_id
    left join customer_deals on deals.deal_id = customer_deals.deal_id
    left join exchange_rates
        on
            deals.currency = exchange_rates.currency
            and {{ reporting_date('deals.valued_at') }}
            = exchange_rates.rate_date
)

select * from final
