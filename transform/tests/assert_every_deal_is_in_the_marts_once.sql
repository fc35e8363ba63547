with

staged as (
    select count(*) as deals from {{ ref('stg_pipedrive__deals') }}
),

facts as (
    select count(*) as deals from {{ ref('fct_deals') }}
),

wide as (
    select count(*) as deals from {{ ref('deals_wide') }}
),

not_deleted as (
    select count(*) as deals from {{ ref('fct_deals') }}
    where not is_deleted
),

main_bi as (
    select count(*) as deals from {{ ref('main_bi') }}
)

select
    staged.deals as staged,
    facts.deals as facts,
    wide.deals as wide,
    not_deleted.deals as not_deleted,
    main_bi.deals as main_bi
from staged
cross join facts
cross join wide
cross join not_deleted
cross join main_bi
where
    facts.deals != staged.deals
    or wide.deals != staged.deals
    or main_bi.deals != not_deleted.deals
