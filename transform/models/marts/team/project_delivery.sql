{% set today = reporting_date(run_time()) %}

with

projects as (
    select
        *,
        {{ plausible('start_date') }} as begin_date,
        {{ plausible('end_date') }} as due_date,
        case
            when status = 'completed'
                then {{ reporting_date('status_changed_at') }}
        end as completed_date
    from {{ ref('stg_pipedrive__projects') }}
),

boards as (
    select * from {{ ref('stg_pipedrive__project_boards') }}
),

phases as (
    select * from {{ ref('stg_pipedrive__project_phases') }}
),

tasks as (
    select
        *,
        not is_done
        and coalesce({{ plausible('due_date') }} < {{ today }}, false)
            as is_overdue
    from {{ ref('stg_pipedrive__tasks') }}
    where not is_deleted
),

users as (
    select * from {{ ref('dim_users') }}
),

deals as (
    select * from {{ ref('fct_deals') }}
),

health as (
    select
        option_id,
        label
    from {{ ref('stg_pipedrive__field_options') }}
    where entity = 'project' and field_code = 'health_status'
),

tasks_counted as (
    select
        project_id,
        count(*) as task_count,
        count(*) filter (where is_done) as done_task_count,
        count(*) filter (where is_overdue) as overdue_task_count,
        count(*) filter (where is_milestone) as milestone_count,
        count(*) filter (where is_milestone and is_done)
            as done_milestone_count
    from tasks
    group by project_id
),

projects_of_deals as (
    select distinct
        projects.project_id,
        listed.deal_id
    from projects
    cross join lateral jsonb_array_elements_text(
        case
            when jsonb_typeof(projects.deal_ids) = 'array'
                then projects.deal_ids
        end
    ) as listed (deal_id)
),

deals_added_up as (
    select
        listed.project_id,
        count(*) as deal_count,
        min(deals.won_date) as won_date,
        case
            when
                min(deals.currency) = max(deals.currency)
                and count(deals.currency) = count(*)
                then min(deals.currency)
        end as currency,
        sum(deals.value) as deal_value,
        {{ sum_if_all_converted('deals.reporting_value', 'deals.value') }}
            as reporting_deal_value,
        {{ unconverted_count('deals.reporting_value', 'deals.value') }}
            as unconverted_count
    from projects_of_deals as listed
    inner join deals on listed.deal_id = deals.deal_id::text
    where not deals.is_deleted
    group by listed.project_id
),

oldest_deals as (
    select distinct on (listed.project_id)
        listed.project_id,
        deals.deal_id,
        deals.organization_name
    from projects_of_deals as listed
    inner join deals on listed.deal_id = deals.deal_id::text
    where not deals.is_deleted
    order by listed.project_id, deals.created_at, deals.deal_id
),

final as (
    select
        -- ids
        projects.project_id,
        projects.project_board_id,
        projects.project_phase_id,
        projects.owner_id,
        oldest_deals.deal_id,

        -- strings
        projects.title,
        projects.status,
        boards.name as board_name,
        phases.name as phase_name,
        users.name as owner_name,
        oldest_deals.organization_name,
        coalesce(health.label, projects.health_status::text) as health,
        deals.currency,

        -- numerics
        phases.position as phase_position,
        coalesce(deals.deal_count, 0) as deal_count,
        case when deals.currency is not null then deals.deal_value end
            as deal_value,
        deals.reporting_deal_value,
        coalesce(deals.unconverted_count, 0) as unconverted_count,
        coalesce(tasks_counted.task_count, 0) as task_count,
        coalesce(tasks_counted.done_task_count, 0) as done_task_count,
        coalesce(tasks_counted.overdue_task_count, 0) as overdue_task_count,
        coalesce(tasks_counted.milestone_count, 0) as milestone_count,
        coalesce(tasks_counted.done_milestone_count, 0)
            as done_milestone_count,
        round(
            tasks_counted.done_task_count * 1.0 / tasks_counted.task_count, 4
        ) as done_task_rate,
        projects.begin_date - deals.won_date as days_to_start,
        projects.due_date - projects.begin_date as planned_days,
        projects.completed_date - projects.begin_date as days_to_complete,
        case
            when projects.completed_date is not null
                then projects.completed_date - projects.due_date
            when projects.status = 'open' and not projects.is_deleted
                then {{ today }} - projects.due_date
        end as delay_days,

        -- booleans
        coalesce(
            projects.status = 'open'
            and not projects.is_deleted
            and not projects.is_archived
            and projects.due_date < {{ today }},
            false
        ) as is_overdue,
        projects.completed_date <= projects.due_date as is_on_time,
        projects.is_archived,
        projects.is_deleted,

        -- dates
        deals.won_date,
        projects.start_date,
        projects.end_date,
        projects.completed_date,
        {{ reporting_date('projects.created_at') }} as created_date,

        -- timestamps
        projects.created_at,
        projects.status_changed_at,
        projects.archived_at
    from projects
    left join boards on projects.project_board_id = boards.project_board_id
    left join phases on projects.project_phase_id = phases.project_phase_id
    left join users on projects.owner_id = users.user_id
    left join deals_added_up as deals
        on projects.project_id = deals.project_id
    left join oldest_deals on projects.project_id = oldest_deals.project_id
    left join health on projects.health_status::text = health.option_id
    left join tasks_counted on projects.project_id = tasks_counted.project_id
)

select * from final
