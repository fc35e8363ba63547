with

deals as (
    select * from {{ ref('int_customer_deals') }}
),

records as (
    select * from {{ ref('int_customer_records') }}
),

deals_summarized as (
    select
        customer_id,
        (array_agg(crm order by created_at, crm, deal_id))[1] as first_crm,
        count(*) as deal_count,
        count(*) filter (where is_open) as open_deal_count,
        count(*) filter (where is_won) as won_deal_count,
        min(created_at) as first_deal_at,
        max(won_at) as last_won_at
    from deals
    group by customer_id
),

first_won_deals as (
    select distinct on (customer_id)
        customer_id,
        deal_id,
        crm,
        channel,
        currency,
        won_month,
        won_at
    from deals
    where is_won
    order by customer_id, won_at, created_at, deal_id
),

records_merged as (
    select
        customer_id,
        string_agg(
            record_id, ', ' order by length(record_id), record_id
        ) as record_ids,
        max(name) filter (where customer_record_id = customer_id) as name,
        count(*) as record_count
    from records
    group by customer_id
),

final as (
    select
        -- ids
        deals_summarized.customer_id,
        first_won_deals.deal_id as first_won_deal_id,
        records_merged.record_ids,

        -- strings
        coalesce(first_won_deals.crm, deals_summarized.first_crm) as crm,
        split_part(deals_summarized.customer_id, '-', 2) as kind,
        records_merged.name,
        first_won_deals.channel,
        first_won_deals.currency as first_won_currency,

        -- numerics
        coalesce(records_merged.record_count, 0) as record_count,
        deals_summarized.deal_count,
        deals_summarized.open_deal_count,
        deals_summarized.won_deal_count,

        -- dates
        first_won_deals.won_month as first_won_month,

        -- timestamps
        deals_summarized.first_deal_at,
        first_won_deals.won_at as first_won_at,
        deals_summarized.last_won_at
    from deals_summarized
    left join first_won_deals
        on deals_summarized.customer_id = first_won_deals.customer_id
    left join records_merged
        on deals_summarized.customer_id = records_merged.customer_id
)

select * from final
