with

persons as (
    select * from {{ ref('stg_pipedrive__persons') }}
),

organizations as (
    select * from {{ ref('stg_pipedrive__organizations') }}
),

users as (
    select * from {{ ref('stg_pipedrive__users') }}
),

labels as (
    select
        record_id,
        labels
    from {{ ref('int_labels_listed') }}
    where entity = 'person'
),

persons_joined as (
    select
        -- ids
        persons.person_id,
        persons.owner_id,
        persons.organization_id,

        -- strings
        persons.name,
        persons.first_name,
        persons.last_name,
        persons.primary_email,
        persons.primary_phone,
        persons.job_title,
        users.name as owner_name,
        organizations.name as organization_name,
        labels.labels,

        -- nested
        persons.emails,
        persons.phones,

        -- booleans
        persons.is_deleted,

        -- dates
        persons.birth_date,

        -- timestamps
        persons.created_at,
        persons.updated_at
    from persons
    left join organizations
        on persons.organization_id = organizations.organization_id
    left join users on persons.owner_id = users.user_id
    left join labels on persons.person_id::text = labels.record_id
)

select * from persons_joined
