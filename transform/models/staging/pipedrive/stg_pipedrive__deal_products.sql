with

source as (
    select * from {{ raw_table('deal_products') }}
),

renamed as (
    select
        -- ids
        id as deal_product_id,
        deal_id,
        product_id,
        product_variation_id,

        -- strings
        name as product_name,
        currency,
        discount_type,
        tax_method,
        billing_frequency,
        comments,

        -- numerics
        order_nr as position,
        quantity,
        item_price,
        discount,
        tax as tax_percent,
        sum as amount,
        billing_frequency_cycles as billing_cycle_count,

        -- booleans
        coalesce(is_enabled, false) as is_enabled,
        _sdc_deleted_at is not null as is_deleted,

        -- dates
        billing_start_date,

        -- timestamps
        add_time at time zone 'UTC' as created_at,
        update_time at time zone 'UTC' as updated_at,

        -- load
        _sdc_extracted_at at time zone 'UTC' as _sdc_extracted_at
    from source
)

select * from renamed
