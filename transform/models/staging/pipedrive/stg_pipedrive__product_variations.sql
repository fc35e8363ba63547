with

source as (
    select * from {{ raw_table('product_variations') }}
),

renamed as (
    select
        -- ids
        id as product_variation_id,
        product_id,

        -- strings
        name,

        -- nested
        nullif(prices, 'null'::jsonb) as prices,

        -- booleans
        _sdc_deleted_at is not null as is_deleted,

        -- load
        _sdc_extracted_at at time zone 'UTC' as _sdc_extracted_at
    from source
)

select * from renamed
