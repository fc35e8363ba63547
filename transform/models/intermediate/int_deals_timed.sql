with

deals as (
    select * from {{ ref('stg_pipedrive__deals') }}
),

outcomes as (
    select deal_id, is_open, is_won, is_lost
    from {{ ref('int_deals_valued') }}
),

stages as (
    select * from {{ ref('stg_pipedrive__stages') }}
),

activities as (
    select * from {{ ref('int_deal_activities_summarized') }}
),

deals_joined as (
    select
        deals.deal_id,
        deals.created_at,
        deals.stage_changed_at,
        case
            when {{ plausible('deals.closed_at') }} > {{ run_time() }}
                then {{ run_time() }}
            else deals.closed_at
        end as closed_at,
        case
            when {{ plausible('deals.won_at') }} > {{ run_time() }}
                then {{ run_time() }}
            else deals.won_at
        end as won_at,
        deals.expected_close_date,
        deals.is_archived,
        outcomes.is_open,
        outcomes.is_won,
        outcomes.is_lost,
        stages.has_rotting,
        stages.days_to_rotten,
        activities.first_activity_done_at,
        activities.last_activity_done_at,
        greatest(
            deals.created_at,
            deals.updated_at,
            activities.last_activity_done_at
        ) as last_touched_at
    from deals
    inner join outcomes on deals.deal_id = outcomes.deal_id
    left join stages on deals.stage_id = stages.stage_id
    left join activities on deals.deal_id = activities.deal_id
),

final as (
    select
        deal_id,
        case
            when is_open and created_at <= {{ run_time() }}
                then {{ whole_days('created_at', run_time()) }}
            when (is_won or is_lost) and created_at <= closed_at
                then {{ whole_days('created_at', 'closed_at') }}
        end as days_open,
        case
            when is_won and created_at <= won_at
                then {{ whole_days('created_at', 'won_at') }}
        end as days_to_win,
        case
            when is_open
                then {{ whole_days(
                    'coalesce(stage_changed_at, created_at)', run_time()
                ) }}
        end as days_in_stage,
        case
            when is_open
                then {{ whole_days('last_activity_done_at', run_time()) }}
        end as days_since_last_activity,
        round(
            extract(
                epoch from {{ plausible('first_activity_done_at') }}
                - {{ plausible('created_at') }}
            ) / 3600,
            2
        ) as hours_to_first_activity,
        coalesce(
            is_open
            and {{ plausible('expected_close_date') }}
            < {{ reporting_date(run_time()) }},
            false
        ) as is_overdue,
        coalesce(
            is_open
            and not is_archived
            and has_rotting
            and last_touched_at + days_to_rotten * interval '24 hours'
            < {{ run_time() }},
            false
        ) as is_rotten
    from deals_joined
)

select * from final
