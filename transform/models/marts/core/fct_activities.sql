with

activities as (
    select * from {{ ref('stg_pipedrive__activities') }}
),

activity_types as (
    select distinct on (activity_type_key) activity_type_key, name
    from {{ ref('stg_pipedrive__activity_types') }}
    order by activity_type_key, is_deleted, activity_type_id desc
),

users as (
    select * from {{ ref('stg_pipedrive__users') }}
),

deals as (
    select * from {{ ref('stg_pipedrive__deals') }}
),

persons as (
    select * from {{ ref('stg_pipedrive__persons') }}
),

organizations as (
    select * from {{ ref('stg_pipedrive__organizations') }}
),

priorities as (
    select
        option_id,
        label
    from {{ ref('stg_pipedrive__field_options') }}
    where entity = 'activity' and field_code = 'priority'
),

outcomes as (
    select
        option_id,
        label
    from {{ ref('stg_pipedrive__field_options') }}
    where entity = 'activity' and field_code = 'outcome'
),

activities_dated as (
    select
        *,
        case
            when is_all_day then {{ plausible('due_date') }}
            else {{ reporting_date('due_at') }}
        end as reporting_due_date
    from activities
),

activities_joined as (
    select
        -- ids
        activities_dated.activity_id,
        activities_dated.owner_id,
        activities_dated.creator_user_id,
        activities_dated.deal_id,
        activities_dated.lead_id,
        activities_dated.person_id,
        activities_dated.organization_id,

        -- strings
        activities_dated.subject,
        activities_dated.activity_type_key,
        activity_types.name as activity_type_name,
        users.name as owner_name,
        deals.title as deal_title,
        persons.name as person_name,
        organizations.name as organization_name,
        priorities.label as priority,
        outcomes.label as outcome,

        -- numerics
        (
            extract(epoch from activities_dated.duration) / 60
        )::integer as duration_minutes,

        -- booleans
        activities_dated.is_done,
        (
            not activities_dated.is_done
            and not activities_dated.is_deleted
            and coalesce(
                case
                    when activities_dated.is_all_day
                        then activities_dated.due_date
                            < {{ reporting_date(run_time()) }}
                    else activities_dated.due_at < {{ run_time() }}
                end,
                false
            )
        ) as is_overdue,
        activities_dated.is_all_day,
        activities_dated.is_busy,
        activities_dated.is_deleted,

        -- dates
        activities_dated.reporting_due_date as due_date,
        {{ reporting_date('activities_dated.done_at') }} as done_date,
        {{ reporting_date('activities_dated.created_at') }} as created_date,

        -- timestamps
        activities_dated.due_at,
        activities_dated.done_at,
        activities_dated.created_at,
        activities_dated.updated_at
    from activities_dated
    left join activity_types
        on activities_dated.activity_type_key
            = activity_types.activity_type_key
    left join users on activities_dated.owner_id = users.user_id
    left join deals on activities_dated.deal_id = deals.deal_id
    left join persons on activities_dated.person_id = persons.person_id
    left join organizations
        on activities_dated.organization_id = organizations.organization_id
    left join priorities
        on activities_dated.priority_id::text = priorities.option_id
    left join outcomes
        on activities_dated.outcome_id::text = outcomes.option_id
)

select * from activities_joined
