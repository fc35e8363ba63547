with

activities as (
    select * from {{ ref('fct_activities') }}
    where not is_deleted
),

activities_by_week as (
    select
        *,
        {{ week_start('due_date') }} as week_start_date,
        true as is_of_due_week
    from activities
    where due_date is not null
    union all
    select
        *,
        {{ week_start('done_date') }} as week_start_date,
        false as is_of_due_week
    from activities
    where is_done and done_date is not null
),

activities_counted as (
    select
        owner_id,
        activity_type_key,
        week_start_date,
        max(owner_name) as owner_name,
        max(activity_type_name) as activity_type_name,
        count(*) filter (where not is_of_due_week) as done_count,
        count(distinct deal_id) filter (
            where not is_of_due_week
        ) as deal_count,
        count(*) filter (where is_of_due_week) as due_count,
        count(*) filter (where is_of_due_week and is_done) as due_done_count,
        count(*) filter (
            where is_of_due_week and is_done and done_date <= due_date
        ) as on_time_count,
        count(*) filter (where is_of_due_week and is_overdue) as overdue_count,
        percentile_cont(0.5) within group (
            order by
                case
                    when is_of_due_week and is_done then done_date - due_date
                end
        )::numeric as median_delay_days
    from activities_by_week
    group by owner_id, activity_type_key, week_start_date
),

final as (
    select
        -- ids
        jsonb_build_array(
            owner_id, activity_type_key, week_start_date
        )::text as activity_performance_id,
        owner_id,

        -- strings
        activity_type_key,
        owner_name,
        activity_type_name,

        -- numerics
        done_count,
        deal_count,
        due_count,
        due_done_count,
        on_time_count,
        overdue_count,
        round(
            on_time_count * 1.0 / nullif(due_done_count + overdue_count, 0), 4
        ) as on_time_rate,
        median_delay_days,

        -- dates
        week_start_date
    from activities_counted
)

select * from final
