with

ledger as (
    select
        coalesce(pipeline_id, 0) as pipeline_id,
        coalesce(owner_id, 0) as owner_id,
        coalesce(currency, 'unknown') as currency,
        sum(deal_count) as deal_count,
        sum(value) as value
    from {{ ref('pipeline_movement') }}
    group by 1, 2, 3
),

open_deals as (
    select
        coalesce(pipeline_id, 0) as pipeline_id,
        coalesce(owner_id, 0) as owner_id,
        coalesce(currency, 'unknown') as currency,
        count(*) as deal_count,
        sum(coalesce(value, 0)) as value
    from {{ ref('fct_deals') }}
    where is_open and not is_archived
    group by 1, 2, 3
)

select
    pipeline_id,
    owner_id,
    currency,
    coalesce(ledger.deal_count, 0) as ledger_deal_count,
    coalesce(open_deals.deal_count, 0) as deal_count,
    coalesce(ledger.value, 0) as ledger_value,
    coalesce(open_deals.value, 0) as value
from ledger
full join open_deals using (pipeline_id, owner_id, currency)
where
    exists (select * from open_deals)
    and (
        coalesce(ledger.deal_count, 0) != coalesce(open_deals.deal_count, 0)
        or coalesce(ledger.value, 0) != coalesce(open_deals.value, 0)
    )
