with

leads as (
    select * from {{ ref('fct_leads') }}
),

first_deals as (
    select distinct on (source_lead_id) *
    from {{ ref('fct_deals') }}
    where source_lead_id is not null and not is_deleted
    order by source_lead_id, created_at, deal_id
),

leads_that_were_read as (
    select
        first_deals.deal_id,
        leads.origin,
        leads.channel,
        case
            when leads.created_at <= first_deals.created_at
                then {{ whole_days(
                    'leads.created_at', 'first_deals.created_at'
                ) }}
        end as days_to_convert,
        leads.is_archived,
        false as is_known_by_deal,
        leads.created_date
    from leads
    left join first_deals on leads.lead_id = first_deals.source_lead_id
    where not leads.is_deleted or first_deals.deal_id is not null
),

leads_known_by_their_deals as (
    select
        first_deals.deal_id,
        first_deals.origin,
        first_deals.channel,
        null::integer as days_to_convert,
        false as is_archived,
        true as is_known_by_deal,
        first_deals.created_date
    from first_deals
    left join leads on first_deals.source_lead_id = leads.lead_id
    where leads.lead_id is null
),

all_leads as (
    select * from leads_that_were_read
    union all
    select * from leads_known_by_their_deals
),

leads_joined_to_outcomes as (
    select
        all_leads.*,
        date_trunc('month', all_leads.created_date)::date as created_month,
        all_leads.deal_id is not null as is_converted,
        coalesce(first_deals.is_won, false) as is_won,
        case when first_deals.is_won then first_deals.currency end
            as won_currency,
        case when first_deals.is_won then first_deals.value else 0 end
            as won_value,
        case when first_deals.is_won then first_deals.reporting_value else 0 end
            as reporting_won_value
    from all_leads
    left join first_deals on all_leads.deal_id = first_deals.deal_id
),

leads_by_month_and_origin as (
    select
        origin,
        channel,
        created_month,
        count(*) as lead_count,
        count(*) filter (where is_known_by_deal) as known_by_deal_count,
        count(*) filter (where is_converted) as converted_count,
        count(*) filter (
            where is_archived and not is_converted
        ) as archived_count,
        count(*) filter (
            where not is_archived and not is_converted
        ) as open_count,
        count(*) filter (where is_won) as won_count,
        percentile_cont(0.5) within group (
            order by days_to_convert
        )::numeric as median_days_to_convert,
        case
            when
                min(won_currency) = max(won_currency)
                and count(won_currency) = count(*) filter (where is_won)
                then min(won_currency)
        end as won_currency,
        sum(won_value) as won_value,
        {{ sum_if_all_converted('reporting_won_value', 'won_value') }}
            as reporting_won_value,
        {{ unconverted_count('reporting_won_value', 'won_value') }}
            as unconverted_count
    from leads_joined_to_outcomes
    group by origin, channel, created_month
),

final as (
    select
        -- ids
        jsonb_build_array(
            created_month, origin, channel
        )::text as lead_conversion_id,

        -- strings
        origin,
        channel,
        won_currency,

        -- numerics
        lead_count,
        known_by_deal_count,
        converted_count,
        archived_count,
        open_count,
        won_count,
        round(converted_count * 1.0 / lead_count, 4) as conversion_rate,
        round(won_count * 1.0 / lead_count, 4) as win_rate,
        median_days_to_convert,
        case when won_currency is not null then won_value end as won_value,
        reporting_won_value,
        unconverted_count,

        -- dates
        created_month
    from leads_by_month_and_origin
)

select * from final
