with

source as (
    select * from {{ raw_table('activity_types') }}
),

renamed as (
    select
        -- ids
        id as activity_type_id,
        key_string as activity_type_key,

        -- strings
        name,
        icon_key,
        color,

        -- numerics
        order_nr as position,

        -- booleans
        coalesce(is_custom_flag, false) as is_custom,
        (
            not coalesce(active_flag, true) or _sdc_deleted_at is not null
        ) as is_deleted,

        -- timestamps
        add_time at time zone 'UTC' as created_at,
        update_time at time zone 'UTC' as updated_at,

        -- load
        _sdc_extracted_at at time zone 'UTC' as _sdc_extracted_at
    from source
)

select * from renamed
