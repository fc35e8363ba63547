with

source as (
    select * from {{ raw_table('call_logs') }}
),

renamed as (
    select
        -- ids
        id as call_log_id,
        user_id,
        activity_id,
        deal_id,
        lead_id,
        person_id,
        org_id as organization_id,

        -- strings
        subject,
        outcome,
        from_phone_number,
        to_phone_number,
        note,

        -- numerics
        duration as duration_seconds,

        -- booleans
        coalesce(has_recording, false) as has_recording,
        _sdc_deleted_at is not null as is_deleted,

        -- timestamps
        start_time at time zone 'UTC' as started_at,
        end_time at time zone 'UTC' as ended_at,

        -- load
        _sdc_extracted_at at time zone 'UTC' as _sdc_extracted_at
    from source
)

select * from renamed
