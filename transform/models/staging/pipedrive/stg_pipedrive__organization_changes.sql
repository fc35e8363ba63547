with

source as (
    select * from {{ raw_table('organization_changes') }}
),

-- A change has another key once its actor is gone, and is still the same change.
changes as (
    select distinct on (organization_id, sequence, time, field_key, old_value, new_value) *
    from source
    order by organization_id, sequence, time, field_key, old_value, new_value, _sdc_extracted_at desc
),

renamed as (
    select
        -- ids
        change_id as organization_change_id,
        organization_id,
        field_key,
        actor_user_id,

        -- strings
        old_value,
        new_value,
        change_source,
        change_source_user_agent as user_agent,

        -- numerics
        sequence,

        -- booleans
        coalesce(is_bulk_update_flag, false) as is_bulk_update,

        -- timestamps
        time at time zone 'UTC' as changed_at,

        -- load
        _sdc_extracted_at at time zone 'UTC' as _sdc_extracted_at
    from changes
)

select * from renamed
