with

visits as (
    select * from {{ ref('fct_deal_stage_history') }}
),

final as (
    select
        deal_id,
        stage_id,
        entered_at as change_time,
        moved_by_user_id as user_id
    from visits
    where not is_deleted
)

select * from final
