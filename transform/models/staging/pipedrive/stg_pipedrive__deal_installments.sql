with

source as (
    select * from {{ raw_table('deal_installments') }}
),

renamed as (
    select
        -- ids
        id as deal_installment_id,
        deal_id,

        -- strings
        description,

        -- numerics
        amount,

        -- booleans
        _sdc_deleted_at is not null as is_deleted,

        -- dates
        billing_date,

        -- load
        _sdc_extracted_at at time zone 'UTC' as _sdc_extracted_at
    from source
)

select * from renamed
