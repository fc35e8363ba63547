with

source as (
    select * from {{ raw_table('deal_participant_changes') }}
),

renamed as (
    select
        -- ids
        change_id as deal_participant_change_id,
        deal_id,
        person_id,
        actor_user_id,

        -- strings
        action,

        -- numerics
        sequence,

        -- timestamps
        time at time zone 'UTC' as changed_at,

        -- load
        _sdc_extracted_at at time zone 'UTC' as _sdc_extracted_at
    from source
)

select * from renamed
