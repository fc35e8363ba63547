with

source as (
    select * from {{ raw_table('rejected_values') }}
),

renamed as (
    select
        -- ids
        stream || '.' || record_id || '.' || field as rejected_value_id,
        stream,
        record_id,
        field,

        -- strings
        value,
        error,

        -- timestamps
        seen_at at time zone 'UTC' as seen_at,

        -- load
        _sdc_extracted_at at time zone 'UTC' as _sdc_extracted_at
    from source
)

select * from renamed
