with

source as (
    select * from {{ raw_table('products') }}
),

renamed as (
    select
        -- ids
        id as product_id,
        owner_id,

        -- strings
        name,
        code,
        description,
        unit,
        category,
        billing_frequency,

        -- nested
        nullif(prices, 'null'::jsonb) as prices,

        -- numerics
        tax as tax_percent,
        billing_frequency_cycles as billing_cycle_count,
        visible_to as visibility,

        -- booleans
        coalesce(is_linkable, false) as is_linkable,
        (
            coalesce(is_deleted, false) or _sdc_deleted_at is not null
        ) as is_deleted,

        -- timestamps
        add_time at time zone 'UTC' as created_at,
        update_time at time zone 'UTC' as updated_at,

        -- load
        _sdc_extracted_at at time zone 'UTC' as _sdc_extracted_at
    from source
)

select * from renamed
