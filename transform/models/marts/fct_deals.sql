with

deals as (
    select * from {{ ref('stg_pipedrive__deals') }}
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

deals_with_outcome as (
    select
        *,
        status is not distinct from 'open' and not is_deleted as is_open,
        status is not distinct from 'won' and not is_deleted as is_won,
        status is not distinct from 'lost' and not is_deleted as is_lost
    from deals
),

deals_with_ages as (
    select
        *,
        case
            when is_open and created_at <= {{ run_time() }}
                then {{ whole_days('created_at', run_time()) }}
            when (is_won or is_lost) and created_at <= closed_at
                then {{ whole_days('created_at', 'closed_at') }}
        end as days_open,
        case
            when is_won and created_at <= won_at
                then {{ whole_days('created_at', 'won_at') }}
        end as days_to_win
    from deals_with_outcome
),

deals_joined as (
    select
        deals_with_ages.*,
        users.name as owner_name,
        persons.name as person_name,
        organizations.name as organization_name,
        pipelines.name as pipeline_name,
        stages.name as stage_name,
        channels.label as channel,
        labels.labels,
        stages.position as stage_position,
        case
            when deals_with_ages.is_won then 100
            when deals_with_ages.is_lost then 0
            when deals_with_ages.is_open
                then coalesce(
                    deals_with_ages.probability,
                    case
                        when pipelines.has_probabilities
                            then stages.probability
                    end,
                    100
                )
        end as win_probability,
        coalesce(activities.activity_count, 0) as known_activity_count,
        coalesce(
            activities.done_activity_count, 0
        ) as known_done_activity_count,
        coalesce(
            activities.open_activity_count, 0
        ) as known_open_activity_count,
        activities.last_activity_due_at,
        activities.last_activity_done_at,
        activities.next_activity_due_at
    from deals_with_ages
    left join users on deals_with_ages.owner_id = users.user_id
    left join persons on deals_with_ages.person_id = persons.person_id
    left join organizations
        on deals_with_ages.organization_id = organizations.organization_id
    left join pipelines
        on deals_with_ages.pipeline_id = pipelines.pipeline_id
    left join stages on deals_with_ages.stage_id = stages.stage_id
    left join channels on deals_with_ages.channel_id::text = channels.option_id
    left join labels on deals_with_ages.deal_id::text = labels.record_id
    left join activities on deals_with_ages.deal_id = activities.deal_id
),

final as (
    select
        -- ids
        deal_id,
        owner_id,
        creator_user_id,
        person_id,
        organization_id,
        pipeline_id,
        stage_id,
        source_lead_id,
        label_ids,

        -- strings
        title,
        status,
        currency,
        owner_name,
        person_name,
        organization_name,
        pipeline_name,
        stage_name,
        labels,
        lost_reason,
        origin,
        channel,

        -- numerics
        value,
        value * win_probability * 0.01 as weighted_value,
        win_probability,
        annual_recurring_revenue,
        monthly_recurring_revenue,
        annual_contract_value,
        stage_position,
        days_open,
        days_to_win,
        product_count,
        known_activity_count as activity_count,
        known_done_activity_count as done_activity_count,
        known_open_activity_count as open_activity_count,

        -- booleans
        is_open,
        is_won,
        is_lost,
        is_archived,
        is_deleted,

        -- dates
        expected_close_date,
        {{ reporting_date('created_at') }} as created_date,
        {{ reporting_date('closed_at') }} as closed_date,
        {{ reporting_date('won_at') }} as won_date,
        {{ reporting_date('lost_at') }} as lost_date,

        -- timestamps
        created_at,
        updated_at,
        stage_changed_at,
        closed_at,
        won_at,
        first_won_at,
        lost_at,
        archived_at,
        last_activity_due_at,
        last_activity_done_at,
        next_activity_due_at
    from deals_joined
)

select * from final
