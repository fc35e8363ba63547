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

line_items as (
    select * from {{ ref('int_deal_products_summarized') }}
),

exchange_rates as (
    select * from {{ ref('int_exchange_rates') }}
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
        end as days_to_win,
        case
            when is_open then {{ reporting_date(run_time()) }}
            else coalesce(
                {{ reporting_date('closed_at') }},
                {{ reporting_date(run_time()) }}
            )
        end as exchange_date
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
        exchange_rates.rate,
        coalesce(line_items.line_item_count, 0) as line_item_count,
        coalesce(line_items.quantity, 0) as line_item_quantity,
        case
            when line_items.currency = deals_with_ages.currency
                then line_items.amount
        end as line_item_amount,
        coalesce(activities.activity_count, 0) as known_activity_count,
        coalesce(
            activities.done_activity_count, 0
        ) as known_done_activity_count,
        coalesce(
            activities.open_activity_count, 0
        ) as known_open_activity_count,
        (
            deals_with_ages.is_open
            and not deals_with_ages.is_archived
            and stages.has_rotting
            and greatest(
                deals_with_ages.created_at,
                deals_with_ages.updated_at,
                activities.last_activity_done_at
            ) + stages.days_to_rotten * interval '24 hours'
            < {{ run_time() }}
        ) as is_rotten,
        activities.first_activity_done_at,
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
    left join line_items on deals_with_ages.deal_id = line_items.deal_id
    left join exchange_rates
        on deals_with_ages.currency = exchange_rates.currency
        and deals_with_ages.exchange_date = exchange_rates.rate_date
),

deals_weighted as (
    select
        *,
        value * win_probability * 0.01 as weighted_value
    from deals_joined
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
        weighted_value,
        {{ in_reporting_currency('value', 'currency', 'rate') }}
            as reporting_value,
        {{ in_reporting_currency('weighted_value', 'currency', 'rate') }}
            as reporting_weighted_value,
        win_probability,
        annual_recurring_revenue,
        monthly_recurring_revenue,
        annual_contract_value,
        stage_position,
        days_open,
        days_to_win,
        case
            when is_open
                then {{ whole_days(
                    'coalesce(stage_changed_at, created_at)', run_time()
                ) }}
        end as days_in_stage,
        case
            when is_open
                then {{ whole_days('last_activity_done_at', run_time()) }}
        end as days_since_last_activity,
        round(
            extract(epoch from first_activity_done_at - created_at) / 3600, 2
        ) as hours_to_first_activity,
        product_count,
        line_item_count,
        line_item_quantity,
        line_item_amount,
        known_activity_count as activity_count,
        known_done_activity_count as done_activity_count,
        known_open_activity_count as open_activity_count,

        -- booleans
        is_open,
        is_won,
        is_lost,
        coalesce(
            is_open and expected_close_date < {{ reporting_date(run_time()) }},
            false
        ) as is_overdue,
        coalesce(is_rotten, false) as is_rotten,
        source_lead_id is not null as is_from_lead,
        is_archived,
        is_deleted,

        -- dates
        expected_close_date,
        exchange_date,
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
        first_activity_done_at,
        last_activity_due_at,
        last_activity_done_at,
        next_activity_due_at
    from deals_weighted
)

select * from final
