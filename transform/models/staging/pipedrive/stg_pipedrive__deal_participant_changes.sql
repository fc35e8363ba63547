with

source as (
    select * from {{ raw_table('deal_participant_changes') }}
),

-- A change gets another key when its actor is deleted, but is still the same
-- change.
changes as (
    select distinct on (deal_id, sequence, time, action, person_id) *
    from source
    order by deal_id, sequence, time, action, person_id, _sdc_extracted_at desc
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
    from changes
)

select * from renamed
