with

activities as (
    select * from {{ ref('stg_pipedrive__activities') }}
),

owners as (
    select * from {{ ref('stg_pipedrive__users') }}
),

creators as (
    select * from {{ ref('stg_pipedrive__users') }}
),

persons as (
    select * from {{ ref('stg_pipedrive__persons') }}
),

organizations as (
    select * from {{ ref('stg_pipedrive__organizations') }}
),

final as (
    select
        activities.activity_id as id,
        activities.owner_id as user_id,
        activities.is_done as done,
        activities.activity_type_key as type,
        activities.subject,
        activities.due_date,
        activities.due_time,
        activities.duration,
        activities.created_at as add_time,
        activities.updated_at as update_time,
        activities.done_at as marked_as_done_time,
        activities.deal_id,
        activities.person_id,
        activities.organization_id as org_id,
        activities.project_id,
        activities.note,
        activities.location ->> 'value' as location,
        activities.location ->> 'formatted_address'
            as location_formatted_address,
        activities.public_description,
        activities.conference_meeting_client,
        activities.conference_meeting_url,
        activities.conference_meeting_id,
        activities.creator_user_id as created_by_user_id,
        activities.owner_id as assigned_to_user_id,
        activities.participants,
        activities.attendees,
        activities.is_busy as busy_flag,
        owners.name as user_name,
        persons.name as person_name,
        organizations.name as org_name,
        creators.name as created_by_user_name,
        owners.name as assigned_to_user_name
    from activities
    left join owners on activities.owner_id = owners.user_id
    left join creators on activities.creator_user_id = creators.user_id
    left join persons on activities.person_id = persons.person_id
    left join organizations
        on activities.organization_id = organizations.organization_id
    where not activities.is_deleted
)

select * from final
