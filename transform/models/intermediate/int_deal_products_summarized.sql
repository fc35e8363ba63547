with

line_items as (
    select * from {{ ref('stg_pipedrive__deal_products') }}
    where is_enabled and not is_deleted
),

line_items_added_up as (
    select
        deal_id,
        case
            when
                count(currency) = count(*) and min(currency) = max(currency)
                then min(currency)
        end as currency,
        count(*) as line_item_count,
        sum(quantity) as quantity,
        sum(amount) as amount
    from line_items
    group by deal_id
),

final as (
    select
        deal_id,
        currency,
        line_item_count,
        quantity,
        case when currency is not null then amount end as amount
    from line_items_added_up
)

select * from final
