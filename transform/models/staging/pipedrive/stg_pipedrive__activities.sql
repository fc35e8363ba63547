with

source as (
    select * from {{ raw_table('activities') }}
),

renamed as (
    select
        -- ids
        id as activity_id,
        owner_id,
        creator_user_id,
        deal_id,
        lead_id,
        person_id,
        org_id as organization_id,
        project_id,
        priority as priority_id,
        outcome as outcome_id,
        conference_meeting_id,

        -- strings
        subject,
        type as activity_type_key,
        conference_meeting_client,
        conference_meeting_url,
        public_description,
        note,

        -- nested
        nullif(location, 'null'::jsonb) as location,
        nullif(participants, 'null'::jsonb) as participants,
        nullif(attendees, 'null'::jsonb) as attendees,

        -- booleans
        coalesce(done, false) as is_done,
        coalesce(busy, false) as is_busy,
        due_date is not null and due_time is null as is_all_day,
        (
            coalesce(is_deleted, false) or _sdc_deleted_at is not null
        ) as is_deleted,

        -- dates and times
        due_date,
        due_time::time as due_time,
        duration::interval as duration,

        -- timestamps
        (due_date + coalesce(due_time::time, '00:00')) at time zone 'UTC' as due_at,
        marked_as_done_time at time zone 'UTC' as done_at,
        add_time at time zone 'UTC' as created_at,
        update_time at time zone 'UTC' as updated_at,

        -- load
        _sdc_extracted_at at time zone 'UTC' as _sdc_extracted_at
    from source
)

select * from renamed
