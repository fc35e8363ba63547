{{ config(severity='warn') }}

with

last_day as (
    select
        coalesce(stage_id, 0) as stage_id,
        coalesce(currency, 'unknown') as currency,
        sum(deal_count) as deal_count,
        sum(value) as value
    from {{ ref('pipeline_snapshot') }}
    where
        snapshot_date
        = (select max(snapshot_date) from {{ ref('pipeline_snapshot') }})
    group by 1, 2
),

open_deals as (
    select
        coalesce(stage_id, 0) as stage_id,
        coalesce(currency, 'unknown') as currency,
        count(*) as deal_count,
        coalesce(sum(value), 0) as value
    from {{ ref('fct_deals') }}
    where is_open and not is_archived and created_date is not null
    group by 1, 2
),

{# A clock that is fast records days that are still in the future. #}
deals_of_the_future as (
    select * from {{ ref('fct_deals') }}
    where greatest(created_at, updated_at, closed_at) > {{ run_time() }}
)

select
    coalesce(last_day.stage_id, open_deals.stage_id) as stage_id,
    coalesce(last_day.currency, open_deals.currency) as currency,
    last_day.deal_count as snapshot_deal_count,
    open_deals.deal_count,
    last_day.value as snapshot_value,
    open_deals.value
from last_day
full join open_deals
    on last_day.stage_id = open_deals.stage_id
    and last_day.currency = open_deals.currency
where
    exists (select * from open_deals)
    and not exists (select * from deals_of_the_future)
    and (
        last_day.deal_count is distinct from open_deals.deal_count
        or round(last_day.value, 4) is distinct from round(open_deals.value, 4)
    )
