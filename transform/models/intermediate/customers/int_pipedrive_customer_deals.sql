{% set channel = 'deals.acquisition_channel'
    if acquisition_channel_column_name() else 'channels.label' %}

with

deals as (
    select * from {{ ref('stg_pipedrive__deals') }}
    where not is_deleted
),

channels as (
    select
        option_id,
        label
    from {{ ref('stg_pipedrive__field_options') }}
    where entity = 'deal' and field_code = 'channel'
),

final as (
    select
        -- ids
        deals.deal_id::text as deal_id,
        coalesce(
            'pipedrive-organization-' || deals.organization_id,
            'pipedrive-person-' || deals.person_id
        ) as customer_record_id,

        -- strings
        {{ channel_named(channel) }} as channel,
        deals.currency,

        -- numerics
        deals.value,

        -- booleans
        deals.status is not distinct from 'open' as is_open,
        deals.status is not distinct from 'won' as is_won,

        -- timestamps
        deals.created_at,
        coalesce(
            deals.won_at, deals.closed_at, deals.created_at
        ) as won_at
    from deals
    left join channels on deals.channel_id::text = channels.option_id
)

select * from final
