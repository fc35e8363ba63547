with

source as (
    select * from {{ raw_table('source_counts') }}
),

renamed as (
    select
        -- ids
        run_id || '.' || stream || '.' || figure || '.' || currency
            as source_count_id,
        run_id,

        -- strings
        stream,
        figure,
        currency,

        -- numerics
        value,

        -- timestamps
        moment at time zone 'UTC' as moment,
        asked_at at time zone 'UTC' as asked_at,

        -- load
        _sdc_extracted_at at time zone 'UTC' as _sdc_extracted_at
    from source
)

select * from renamed
