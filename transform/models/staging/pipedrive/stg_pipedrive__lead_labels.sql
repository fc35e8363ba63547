with

source as (
    select * from {{ raw_table('lead_labels') }}
),

renamed as (
    select
        -- ids
        id as lead_label_id,

        -- strings
        name,
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
