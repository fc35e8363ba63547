with

source as (
    select * from {{ raw_table('deal_discounts') }}
),

renamed as (
    select
        -- ids
        id as deal_discount_id,
        deal_id,
        created_by as creator_user_id,
        updated_by as last_update_user_id,

        -- strings
        type as discount_type,
        description,

        -- numerics
        amount,

        -- booleans
        _sdc_deleted_at is not null as is_deleted,

        -- timestamps
        created_at at time zone 'UTC' as created_at,
        updated_at at time zone 'UTC' as updated_at,

        -- load
        _sdc_extracted_at at time zone 'UTC' as _sdc_extracted_at
    from source
)

select * from renamed
