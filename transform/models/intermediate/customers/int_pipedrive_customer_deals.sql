{% set channel_column = acquisition_channel_column_name() %}
{% set channel = 'deals.present_acquisition_channel'
    if channel_column else 'channels.label' %}

with

options as (
    select jsonb_object_agg(option_id, label) as labels
    from {{ ref('stg_pipedrive__field_options') }}
    where field_id in (
        select field_id
        from {{ ref('stg_pipedrive__fields') }}
        where
            entity = 'deal'
            and is_custom
            and not is_deleted
            and column_name = '{{ channel_column }}'
    )
),

deals as (
    select
        deals.*,
        case jsonb_typeof(deals.acquisition_channel_ids)
            when 'array' then {{ present_labels(
                'deals.acquisition_channel::jsonb',
                'deals.acquisition_channel_ids', 'options.labels'
            ) }} #>> '{}'
            else {{ present_label(
                'deals.acquisition_channel',
                "(deals.acquisition_channel_ids #>> '{}')", 'options.labels'
            ) }}
        end as present_acquisition_channel
    from {{ ref('stg_pipedrive__deals') }} as deals
    cross join options
    where not deals.is_deleted
),

persons as (
    select * from {{ ref('stg_pipedrive__persons') }}
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
            'pipedrive-organization-' || persons.organization_id,
            'pipedrive-person-' || deals.person_id
        ) as customer_record_id,

        -- strings
        {{ channel_named(channel) }} as channel,
        deals.currency,

        -- numerics
        deals.value,

        -- booleans
        (
            deals.status is not distinct from 'open' and not deals.is_archived
        ) as is_open,
        deals.status is not distinct from 'won' as is_won,

        -- timestamps
        deals.created_at,
        coalesce(
            {{ plausible('deals.won_at') }},
            {{ plausible('deals.closed_at') }},
            {{ plausible('deals.created_at') }}
        ) as won_at
    from deals
    left join persons on deals.person_id = persons.person_id
    left join channels on deals.channel_id::text = channels.option_id
)

select * from final
