with

deals as (
    select * from {{ ref('fct_deals') }}
    where not is_deleted
),

persons as (
    select * from {{ ref('dim_persons') }}
),

deals_with_duration as (
    select
        *,
        {{ whole_days('created_at', 'closed_at') }} as duration_days
    from deals
),

{# A deal that exceeds the promised types must not stop the others. #}
deals_that_fit as (
    select
        *,
        case when abs(round(value, 4)) < 1e14 then value end as storable_value,
        case
            when abs(duration_days) <= 32767 then duration_days
        end as storable_days
    from deals_with_duration
),

final as (
    select
        deals.deal_id,
        deals.title,
        deals.status::varchar(50) as status,
        deals.storable_value::numeric(18, 4) as value,
        deals.currency::varchar(10) as currency,
        deals.created_at as add_time,
        deals.updated_at as update_time,
        deals.closed_at as close_time,
        deals.expected_close_date,
        deals.lost_at as lost_time,
        deals.won_at as won_time,
        deals.stage_changed_at as stage_change_time,
        deals.creator_user_id,
        deals.owner_id as user_id,
        deals.pipeline_id,
        deals.stage_id,
        deals.label_ids,
        deals.person_name as contact_name,
        persons.primary_email as contact_email,
        persons.primary_phone as contact_phone,
        deals.organization_name as company_name,
        least(deals.activity_count, 32767)::smallint as activity_count,
        deals.last_activity_due_at as last_activity_due_date,
        deals.storable_days::smallint as deal_duration_days,
        (
            deals.storable_value / nullif(deals.duration_days, 0)
        )::numeric(18, 4) as value_per_day,
        deals.owner_name,
        deals.pipeline_name,
        deals.stage_name,
        deals.person_id,
        deals.organization_id,
        deals.is_archived
    from deals_that_fit as deals
    left join persons on deals.person_id = persons.person_id
)

select * from final
