with

leads as (
    select * from {{ ref('stg_pipedrive__leads') }}
),

first_deals as (
    select distinct on (source_lead_id)
        source_lead_id as lead_id,
        deal_id,
        created_at
    from {{ ref('stg_pipedrive__deals') }}
    where source_lead_id is not null
    order by source_lead_id, created_at, deal_id
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

channels as (
    select
        option_id,
        label
    from {{ ref('stg_pipedrive__field_options') }}
    where entity = 'deal' and field_code = 'channel'
),

exchange_rates as (
    select * from {{ ref('int_exchange_rates') }}
),

labels as (
    select
        record_id,
        labels
    from {{ ref('int_labels_listed') }}
    where entity = 'lead'
),

leads_joined as (
    select
        -- ids
        leads.lead_id,
        leads.owner_id,
        leads.creator_user_id,
        leads.person_id,
        leads.organization_id,
        first_deals.deal_id,

        -- strings
        leads.title,
        leads.currency,
        users.name as owner_name,
        persons.name as person_name,
        organizations.name as organization_name,
        labels.labels,
        leads.source_name,
        leads.origin,
        channels.label as channel,

        -- numerics
        leads.value,
        {{ in_reporting_currency(
            'leads.value', 'leads.currency', 'exchange_rates.rate'
        ) }} as reporting_value,
        case
            when leads.created_at <= first_deals.created_at
                then {{ whole_days(
                    'leads.created_at', 'first_deals.created_at'
                ) }}
        end as days_to_convert,

        -- booleans
        first_deals.deal_id is not null as is_converted,
        leads.is_seen,
        leads.is_archived,
        leads.is_deleted,

        -- dates
        leads.expected_close_date,
        {{ reporting_date('leads.created_at') }} as created_date,
        {{ reporting_date('first_deals.created_at') }} as converted_date,

        -- timestamps
        leads.created_at,
        leads.updated_at,
        first_deals.created_at as converted_at
    from leads
    left join first_deals on leads.lead_id = first_deals.lead_id
    left join users on leads.owner_id = users.user_id
    left join persons on leads.person_id = persons.person_id
    left join organizations
        on leads.organization_id = organizations.organization_id
    left join channels on leads.channel_id::text = channels.option_id
    left join labels on leads.lead_id = labels.record_id
    left join exchange_rates
        on leads.currency = exchange_rates.currency
        and exchange_rates.rate_date = coalesce(
            {{ reporting_date('first_deals.created_at') }},
            {{ reporting_date(run_time()) }}
        )
)

select * from leads_joined
