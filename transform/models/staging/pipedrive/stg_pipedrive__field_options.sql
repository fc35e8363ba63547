with

source as (
    select * from {{ raw_table('field_options') }}
),

renamed as (
    select
        -- ids
        entity || '.' || field_code || '.' || option_id as field_option_id,
        entity || '.' || field_code as field_id,
        entity,
        field_code,
        option_id,

        -- strings
        label,
        color,

        -- booleans
        _sdc_deleted_at is not null as is_deleted,

        -- timestamps
        add_time at time zone 'UTC' as created_at,
        update_time at time zone 'UTC' as updated_at,

        -- load
        _sdc_extracted_at at time zone 'UTC' as _sdc_extracted_at
    from source
)

select * from renamed
