with

source as (
    select * from {{ raw_table('currencies') }}
),

renamed as (
    select
        -- ids
        id as currency_id,
        code as currency,

        -- strings
        name,
        symbol,

        -- numerics
        decimal_points,

        -- booleans
        coalesce(is_custom_flag, false) as is_custom,
        (
            not coalesce(active_flag, true) or _sdc_deleted_at is not null
        ) as is_deleted,

        -- load
        _sdc_extracted_at at time zone 'UTC' as _sdc_extracted_at
    from source
)

select * from renamed
