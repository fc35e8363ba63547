with

source as (
    select * from {{ raw_table('field_columns') }}
),

renamed as (
    select
        -- ids
        stream || '.' || column_name as field_column_id,
        entity || '.' || field_code as field_id,
        entity,
        field_code,

        -- strings
        stream,
        column_name,
        field_name as name,
        field_type,

        -- nested
        all_columns,

        -- booleans
        is_current,

        -- load
        _sdc_extracted_at at time zone 'UTC' as _sdc_extracted_at
    from source
)

select * from renamed
