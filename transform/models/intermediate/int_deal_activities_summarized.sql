with

activities as (
    select * from {{ ref('stg_pipedrive__activities') }}
    where deal_id is not null and not is_deleted
),

deals as (
    select deal_id, created_at
    from {{ ref('stg_pipedrive__deals') }}
),

final as (
    select
        activities.deal_id,
        count(*) as activity_count,
        count(*) filter (where activities.is_done) as done_activity_count,
        count(*) filter (where not activities.is_done) as open_activity_count,
        min(activities.done_at) filter (
            where activities.is_done and activities.done_at >= deals.created_at
        ) as first_activity_done_at,
        max(activities.due_at) as last_activity_due_at,
        max(activities.done_at) filter (
            where activities.is_done
        ) as last_activity_done_at,
        min(activities.due_at) filter (
            where not activities.is_done
        ) as next_activity_due_at
    from activities
    left join deals on activities.deal_id = deals.deal_id
    group by activities.deal_id
)

select * from final
