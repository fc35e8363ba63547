with

notes as (
    select * from {{ ref('stg_pipedrive__notes') }}
),

users as (
    select * from {{ ref('stg_pipedrive__users') }}
),

deals as (
    select * from {{ ref('stg_pipedrive__deals') }}
),

leads as (
    select * from {{ ref('stg_pipedrive__leads') }}
),

persons as (
    select * from {{ ref('stg_pipedrive__persons') }}
),

organizations as (
    select * from {{ ref('stg_pipedrive__organizations') }}
),

notes_as_text as (
    select
        *,
        {{ without_tags('content') }} as content_text
    from notes
),

final as (
    select
        -- ids
        notes_as_text.note_id,
        notes_as_text.deal_id,
        notes_as_text.lead_id,
        notes_as_text.person_id,
        notes_as_text.organization_id,
        notes_as_text.project_id,
        notes_as_text.user_id,
        notes_as_text.last_update_user_id,

        -- strings
        notes_as_text.content_text,
        users.name as author_name,
        deals.title as deal_title,
        leads.title as lead_title,
        persons.name as person_name,
        organizations.name as organization_name,

        -- numerics
        length(notes_as_text.content_text) as character_count,

        -- booleans
        (
            notes_as_text.is_pinned_to_deal
            or notes_as_text.is_pinned_to_lead
            or notes_as_text.is_pinned_to_person
            or notes_as_text.is_pinned_to_organization
            or notes_as_text.is_pinned_to_project
            or notes_as_text.is_pinned_to_task
        ) as is_pinned,
        notes_as_text.is_deleted,

        -- dates
        {{ reporting_date('notes_as_text.created_at') }} as created_date,

        -- timestamps
        notes_as_text.created_at,
        notes_as_text.updated_at
    from notes_as_text
    left join users on notes_as_text.user_id = users.user_id
    left join deals on notes_as_text.deal_id = deals.deal_id
    left join leads on notes_as_text.lead_id = leads.lead_id
    left join persons on notes_as_text.person_id = persons.person_id
    left join organizations
        on notes_as_text.organization_id = organizations.organization_id
)

select * from final
