with

source as (
    select * from {{ raw_table('deal_participants') }}
),

renamed as (
    select
        -- ids
        id as deal_participant_id,
        deal_id,
        person_id,
        added_by_user_id,

        -- booleans
        (
            not coalesce(active_flag, true) or _sdc_deleted_at is not null
        ) as is_deleted,

        -- timestamps
        add_time at time zone 'UTC' as created_at,

        -- load
        _sdc_extracted_at at time zone 'UTC' as _sdc_extracted_at
    from source
)

select * from renamed
