with

source as (
    select * from {{ raw_table('schema_changes') }}
),

renamed as (
    select
        -- ids
        concat_ws('.', run_id, stream, field_code, change) as schema_change_id,
        run_id,
        field_code,

        -- strings
        stream,
        change,
        old_name,
        new_name,
        old_type,
        new_type,
        old_column,
        new_column,

        -- timestamps
        seen_at at time zone 'UTC' as seen_at,

        -- load
        _sdc_extracted_at at time zone 'UTC' as _sdc_extracted_at
    from source
)

select * from renamed
