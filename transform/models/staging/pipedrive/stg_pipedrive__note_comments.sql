with

source as (
    select * from {{ raw_table('note_comments') }}
),

renamed as (
    select
        -- ids
        uuid as note_comment_id,
        note_id,
        user_id,
        updater_id as last_update_user_id,

        -- strings
        content,

        -- booleans
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
