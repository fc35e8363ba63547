with recursive

roles as (
    select * from {{ ref('stg_pipedrive__roles') }}
    where not is_deleted
),

users as (
    select * from {{ ref('dim_users') }}
),

deals as (
    select * from {{ ref('fct_deals') }}
    where not is_deleted
),

activities as (
    select * from {{ ref('fct_activities') }}
    where is_done and not is_deleted
),

{# Each role with itself and all roles below it; roles in a cycle are below each
   other. #}
roles_below as (
    select
        role_id,
        role_id as member_role_id
    from roles
    union
    select
        roles_below.role_id,
        roles.role_id as member_role_id
    from roles_below
    inner join roles on roles_below.member_role_id = roles.parent_role_id
),

paths as (
    select
        role_id,
        name as role_path,
        1 as role_level
    from roles
    where
        parent_role_id is null
        or not exists (
            select * from roles as parents
            where parents.role_id = roles.parent_role_id
        )
    union all
    select
        roles.role_id,
        paths.role_path || ' > ' || roles.name as role_path,
        paths.role_level + 1 as role_level
    from paths
    inner join roles on paths.role_id = roles.parent_role_id
),

{# Without roles there are no rows; with roles, a deal is in exactly one row of
   reach `own`. #}
teams as (
    select
        role_id,
        'own' as reach,
        role_id as member_role_id
    from roles
    union all
    select
        role_id,
        'all' as reach,
        member_role_id
    from roles_below
    union all
    select
        null as role_id,
        'own' as reach,
        null as member_role_id
    where exists (select * from roles)
),

users_in_roles as (
    select
        users.user_id,
        users.is_active and not users.is_deleted as is_active,
        roles.role_id
    from users
    left join roles on users.role_id = roles.role_id
),

team_sizes as (
    select
        teams.role_id,
        teams.reach,
        count(*) as user_count
    from teams
    inner join users_in_roles as users
        on teams.member_role_id is not distinct from users.role_id
    where users.is_active
    group by teams.role_id, teams.reach
),

events as (
    select
        owner_id,
        created_date as event_date,
        'created' as event,
        null as currency,
        null::numeric as value,
        null::numeric as reporting_value,
        null::integer as days_to_win
    from deals
    union all
    select
        owner_id,
        closed_date as event_date,
        case when is_won then 'won' else 'lost' end as event,
        currency,
        case when is_won then value end as value,
        case when is_won then reporting_value end as reporting_value,
        days_to_win
    from deals
    where is_won or is_lost
    union all
    select
        owner_id,
        done_date as event_date,
        'done' as event,
        null as currency,
        null as value,
        null as reporting_value,
        null as days_to_win
    from activities
),

events_of_roles as (
    select
        events.*,
        users.role_id,
        date_trunc('month', events.event_date)::date as month
    from events
    left join users_in_roles as users on events.owner_id = users.user_id
),

teams_by_month as (
    select
        teams.role_id,
        teams.reach,
        events.month,
        count(*) filter (where events.event = 'created') as created_count,
        count(*) filter (where events.event = 'won') as won_count,
        count(*) filter (where events.event = 'lost') as lost_count,
        case
            when
                min(events.currency) filter (where events.event = 'won')
                = max(events.currency) filter (where events.event = 'won')
                and count(*) filter (where events.event = 'won')
                = count(events.currency) filter (where events.event = 'won')
                then min(events.currency) filter (where events.event = 'won')
        end as won_currency,
        sum(events.value) as won_value,
        {{ sum_if_all_converted('events.reporting_value', 'events.value') }}
            as reporting_won_value,
        {{ unconverted_count('events.reporting_value', 'events.value') }}
            as unconverted_count,
        percentile_cont(0.5) within group (
            order by events.days_to_win
        ) as median_days_to_win,
        count(*) filter (where events.event = 'done') as done_activity_count
    from teams
    inner join events_of_roles as events
        on teams.member_role_id is not distinct from events.role_id
    group by teams.role_id, teams.reach, events.month
),

final as (
    select
        -- ids
        jsonb_build_array(
            teams.month, teams.role_id, teams.reach
        )::text as team_performance_id,
        teams.role_id,
        roles.parent_role_id,

        -- strings
        teams.reach,
        roles.name as role_name,
        paths.role_path,
        teams.won_currency,

        -- numerics
        paths.role_level,
        coalesce(sizes.user_count, 0) as user_count,
        teams.created_count,
        teams.won_count,
        teams.lost_count,
        round(
            teams.won_count * 1.0
            / nullif(teams.won_count + teams.lost_count, 0),
            4
        ) as win_rate,
        case when teams.won_currency is not null then teams.won_value end
            as won_value,
        case when teams.won_count = 0 then 0 else teams.reporting_won_value end
            as reporting_won_value,
        teams.unconverted_count,
        round(teams.median_days_to_win::numeric, 2) as median_days_to_win,
        teams.done_activity_count,

        -- dates
        teams.month
    from teams_by_month as teams
    left join roles on teams.role_id = roles.role_id
    left join paths on teams.role_id = paths.role_id
    left join team_sizes as sizes
        on teams.role_id is not distinct from sizes.role_id
        and teams.reach = sizes.reach
)

select * from final
