with

line_items as (
    select * from {{ ref('stg_pipedrive__deal_products') }}
),

products as (
    select * from {{ ref('dim_products') }}
),

variations as (
    select * from {{ ref('stg_pipedrive__product_variations') }}
),

deals as (
    select * from {{ ref('fct_deals') }}
),

exchange_rates as (
    select * from {{ ref('int_exchange_rates') }}
),

final as (
    select
        -- ids
        line_items.deal_product_id,
        line_items.deal_id,
        line_items.product_id,
        line_items.product_variation_id,
        deals.owner_id,
        deals.organization_id,
        deals.pipeline_id,

        -- strings
        coalesce(line_items.product_name, products.name) as product_name,
        products.code as product_code,
        products.category as product_category,
        variations.name as product_variation_name,
        line_items.currency,
        line_items.discount_type,
        line_items.tax_method,
        line_items.billing_frequency,
        line_items.comments,
        deals.title as deal_title,
        deals.owner_name,
        deals.organization_name,
        deals.pipeline_name,

        -- numerics
        line_items.position,
        line_items.quantity,
        line_items.item_price,
        case line_items.discount_type
            when 'percentage'
                then line_items.quantity * line_items.item_price
                    * line_items.discount * 0.01
            when 'amount' then line_items.discount
        end as discount_amount,
        line_items.tax_percent,
        line_items.amount,
        {{ in_reporting_currency(
            'line_items.amount', 'line_items.currency', 'exchange_rates.rate'
        ) }} as reporting_amount,
        line_items.billing_cycle_count,

        -- booleans
        coalesce(deals.is_open, false) as is_open,
        coalesce(deals.is_won, false) as is_won,
        coalesce(deals.is_lost, false) as is_lost,
        line_items.is_enabled,
        (
            line_items.is_deleted or coalesce(deals.is_deleted, false)
        ) as is_deleted,

        -- dates
        line_items.billing_start_date,
        deals.expected_close_date,
        deals.closed_date,
        {{ reporting_date('line_items.created_at') }} as created_date,

        -- timestamps
        line_items.created_at,
        line_items.updated_at
    from line_items
    left join products on line_items.product_id = products.product_id
    left join variations
        on line_items.product_variation_id = variations.product_variation_id
    left join deals on line_items.deal_id = deals.deal_id
    left join exchange_rates
        on line_items.currency = exchange_rates.currency
        and deals.exchange_date = exchange_rates.rate_date
)

select * from final
