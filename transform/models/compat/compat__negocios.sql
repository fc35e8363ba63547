with

deals as (
    select * from {{ ref('fct_deals') }}
),

staged_deals as (
    select * from {{ ref('stg_pipedrive__deals') }}
),

users as (
    select * from {{ ref('stg_pipedrive__users') }}
),

final as (
    select
        deals.deal_id as id,
        deals.title,
        deals.creator_user_id,
        deals.status::varchar(50) as status,
        deals.value,
        deals.currency::varchar(10) as currency,
        deals.created_at as add_time,
        deals.updated_at as update_time,
        deals.closed_at as close_time,
        deals.expected_close_date,
        deals.owner_id as user_id,
        deals.owner_id,
        deals.person_id,
        deals.organization_id as org_id,
        deals.pipeline_id,
        deals.stage_id,
        deals.label_ids,
        deals.lost_reason,
        deals.won_at as won_time,
        deals.lost_at as lost_time,
        deals.stage_changed_at as stage_change_time,
        deals.archived_at as archive_time,
        deals.is_archived,
        staged_deals.probability,
        staged_deals.visibility as visible_to,
        staged_deals.origin,
        staged_deals.origin_id,
        staged_deals.channel_id as channel,
        staged_deals.channel_reference as channel_id,
        deals.owner_name,
        users.name as creator_user_name,
        deals.person_name,
        deals.stage_name,
        deals.pipeline_name
    from deals
    inner join staged_deals on deals.deal_id = staged_deals.deal_id
    left join users on deals.creator_user_id = users.user_id
    where not deals.is_deleted
)

select * from final
