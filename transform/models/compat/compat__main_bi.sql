with

main_bi as (
    select * from {{ ref('main_bi') }}
),

final as (
    select
        deal_id,
        title,
        status,
        value,
        currency,
        add_time,
        update_time,
        close_time,
        expected_close_date,
        lost_time,
        won_time,
        stage_change_time,
        creator_user_id,
        user_id,
        pipeline_id,
        stage_id,
        label_ids,
        contact_name,
        contact_email,
        contact_phone,
        company_name,
        activity_count,
        last_activity_due_date,
        deal_duration_days,
        value_per_day
    from main_bi
)

select * from final
