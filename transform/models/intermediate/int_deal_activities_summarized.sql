with

activities as (
    select * from {{ ref('stg_pipedrive__activities') }}
),

activities_summarized as (
    select
        deal_id,
        count(*) as activity_count,
        count(*) filter (where is_done) as done_activity_count,
        count(*) filter (where not is_done) as open_activity_count,
        max(due_at) as last_activity_due_at,
        max(done_at) filter (where is_done) as last_activity_done_at,
        min(due_at) filter (where not is_done) as next_activity_due_at
    from activities
    where deal_id is not null and not is_deleted
    group by deal_id
)

select * from activities_summarized
