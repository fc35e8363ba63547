with

source as (
    select * from {{ raw_table('source_samples') }}
),

renamed as (
    select
        -- ids
        run_id || '.' || stream || '.' || record_id as source_sample_id,
        run_id,
        record_id,

        -- strings
        stream,
        content,

        -- timestamps
        update_time at time zone 'UTC' as updated_at,
        asked_at at time zone 'UTC' as asked_at,

        -- load
        _sdc_extracted_at at time zone 'UTC' as _sdc_extracted_at
    from source
)

select * from renamed
