with

leads as (
    select * from {{ ref('stg_pipedrive__leads') }}
),

names as (
    select * from {{ ref('fct_leads') }}
),

final as (
    select
        leads.lead_id as id,
        leads.title,
        leads.owner_id,
        leads.creator_user_id as creator_id,
        leads.label_ids,
        leads.person_id,
        leads.organization_id,
        leads.source_name,
        leads.origin,
        leads.origin_id,
        leads.channel_id as channel,
        leads.channel_reference as channel_id,
        leads.source_deal_id,
        leads.is_archived,
        leads.is_seen as was_seen,
        leads.value,
        leads.currency,
        leads.expected_close_date,
        leads.next_activity_id,
        leads.created_at as add_time,
        leads.updated_at as update_time,
        leads.visibility as visible_to,
        leads.cc_email,
        names.owner_name,
        names.person_name,
        names.organization_name
    from leads
    inner join names on leads.lead_id = names.lead_id
    where not leads.is_deleted
)

select * from final
