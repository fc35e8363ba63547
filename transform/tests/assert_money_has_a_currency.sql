{{ config(severity='warn') }}

select
    deal_id,
    value
from {{ ref('fct_deals') }}
where value != 0 and currency is null
