with

source as (
    select * from {{ raw_table('notes') }}
),

renamed as (
    select
        -- ids
        id as note_id,
        deal_id,
        lead_id,
        person_id,
        org_id as organization_id,
        project_id,
        task_id,
        user_id,
        last_update_user_id,

        -- strings
        content,

        -- booleans
        coalesce(pinned_to_deal_flag, false) as is_pinned_to_deal,
        coalesce(pinned_to_lead_flag, false) as is_pinned_to_lead,
        coalesce(pinned_to_person_flag, false) as is_pinned_to_person,
        coalesce(
            pinned_to_organization_flag, false
        ) as is_pinned_to_organization,
        coalesce(pinned_to_project_flag, false) as is_pinned_to_project,
        coalesce(pinned_to_task_flag, false) as is_pinned_to_task,
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
