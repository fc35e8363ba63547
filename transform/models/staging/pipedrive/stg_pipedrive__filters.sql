with

source as (
    select * from {{ raw_table('filters') }}
),

renamed as (
    select
        -- ids
        id as filter_id,
        user_id,
        custom_view_id,

        -- strings
        name,
        filter_code,
        type as filter_type,

        -- numerics
        visible_to as visibility,

        -- booleans
        coalesce(is_editable, false) as is_editable,
        coalesce(temporary_flag, false) as is_temporary,
        (
            not coalesce(active_flag, true) or _sdc_deleted_at is not null
        ) as is_deleted,

        -- timestamps
        last_used_time at time zone 'UTC' as last_used_at,
        add_time at time zone 'UTC' as created_at,
        update_time at time zone 'UTC' as updated_at,

        -- load
        _sdc_extracted_at at time zone 'UTC' as _sdc_extracted_at
    from source
)

select * from renamed
