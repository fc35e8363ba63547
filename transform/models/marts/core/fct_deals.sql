with

deals as (
    select * from {{ ref('stg_pipedrive__deals') }}
),

deal_values as (
    select * from {{ ref('int_deals_valued') }}
),

deal_times as (
    select * from {{ ref('int_deals_timed') }}
),

users as (
    select * from {{ ref('stg_pipedrive__users') }}
),

persons as (
    select * from {{ ref('stg_pipedrive__persons') }}
),

organizations as (
    select * from {{ ref('stg_pipedrive__organizations') }}
),

pipelines as (
    select * from {{ ref('stg_pipedrive__pipelines') }}
),

stages as (
    select * from {{ ref('stg_pipedrive__stages') }}
),

activities as (
    select * from {{ ref('int_deal_activities_summarized') }}
),

line_items as (
    select * from {{ ref('int_deal_products_summarized') }}
),

labels as (
    select
        record_id,
        labels
    from {{ ref('int_labels_listed') }}
    where entity = 'deal'
),

channels as (
    select
        option_id,
        label
    from {{ ref('stg_pipedrive__field_options') }}
    where entity = 'deal' and field_code = 'channel'
),

lost_reasons as (
    select
        option_id,
        label
    from {{ ref('stg_pipedrive__field_options') }}
    where entity = 'deal' and field_code = 'lost_reason'
),

customer_deals as (
    select
        deal_id,
        customer_id
    from {{ ref('int_customer_deals') }}
    where crm = 'pipedrive'
),

final as (
    select
        -- ids
        deals.deal_id,
        deals.owner_id,
        deals.creator_user_id,
        deals.person_id,
        deals.organization_id,
        customer_deals.customer_id,
        deals.pipeline_id,
        deals.stage_id,
        deals.source_lead_id,
        deals.label_ids,

        -- strings
        deals.title,
        deals.status,
        deals.currency,
        users.name as owner_name,
        persons.name as person_name,
        organizations.name as organization_name,
        pipelines.name as pipeline_name,
        stages.name as stage_name,
        labels.labels,
        coalesce(lost_reasons.label, deals.lost_reason) as lost_reason,
        deals.origin,
        channels.label as channel,

        -- numerics
        {{ scaled('deals.value') }} as value,
        {{ scaled('deal_values.weighted_value') }} as weighted_value,
        {{ scaled('deal_values.reporting_value') }} as reporting_value,
        {{ scaled('deal_values.reporting_weighted_value') }}
            as reporting_weighted_value,
        {{ scaled('deal_values.win_probability') }} as win_probability,
        {{ scaled('deals.annual_recurring_revenue') }}
            as annual_recurring_revenue,
        {{ scaled('deals.monthly_recurring_revenue') }}
            as monthly_recurring_revenue,
        {{ scaled('deals.annual_contract_value') }} as annual_contract_value,
        stages.position as stage_position,
        deal_times.days_open,
        deal_times.days_to_win,
        deal_times.days_in_stage,
        deal_times.days_since_last_activity,
        {{ scaled('deal_times.hours_to_first_activity') }}
            as hours_to_first_activity,
        deals.product_count,
        coalesce(line_items.line_item_count, 0) as line_item_count,
        {{ scaled('coalesce(line_items.quantity, 0)') }}
            as line_item_quantity,
        case
            when line_items.currency = deals.currency
                then {{ scaled('line_items.amount') }}
        end as line_item_amount,
        coalesce(activities.activity_count, 0) as activity_count,
        coalesce(activities.done_activity_count, 0) as done_activity_count,
        coalesce(activities.open_activity_count, 0) as open_activity_count,

        -- booleans
        deal_values.is_open,
        deal_values.is_won,
        deal_values.is_lost,
        deal_times.is_overdue,
        deal_times.is_rotten,
        deals.source_lead_id is not null as is_from_lead,
        deals.is_archived,
        deals.is_deleted,

        -- dates
        deals.expected_close_date,
        deal_values.exchange_date,
        {{ reporting_date('deals.created_at') }} as created_date,
        {{ reporting_date('deals.closed_at') }} as closed_date,
        {{ reporting_date('deals.won_at') }} as won_date,
        {{ reporting_date('deals.lost_at') }} as lost_date,

        -- timestamps
        deals.created_at,
        deals.updated_at,
        deals.stage_changed_at,
        deals.closed_at,
        deals.won_at,
        deals.first_won_at,
        deals.lost_at,
        deals.archived_at,
        activities.first_activity_done_at,
        activities.last_activity_due_at,
        activities.last_activity_done_at,
        activities.next_activity_due_at
    from deals
    inner join deal_values on deals.deal_id = deal_values.deal_id
    inner join deal_times on deals.deal_id = deal_times.deal_id
    left join users on deals.owner_id = users.user_id
    left join persons on deals.person_id = persons.person_id
    left join organizations
        on deals.organization_id = organizations.organization_id
    left join pipelines on deals.pipeline_id = pipelines.pipeline_id
    left join stages on deals.stage_id = stages.stage_id
    left join channels on deals.channel_id::text = channels.option_id
    left join lost_reasons
        on deals.lost_reason_id::text = lost_reasons.option_id
    left join labels on deals.deal_id::text = labels.record_id
    left join activities on deals.deal_id = activities.deal_id
    left join line_items on deals.deal_id = line_items.deal_id
    left join customer_deals on deals.deal_id::text = customer_deals.deal_id
)

select * from final
