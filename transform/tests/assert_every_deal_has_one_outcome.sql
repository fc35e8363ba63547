{{ config(severity='warn') }}

select
    deal_id,
    status,
    is_open,
    is_won,
    is_lost,
    is_deleted
from {{ ref('fct_deals') }}
where
    is_open::integer + is_won::integer + is_lost::integer
    + is_deleted::integer != 1
