with

deals as (
    select * from {{ raw_table('deals') }}
),

line_items as (
    select
        deal_id,
        count(*) as row_count
    from {{ raw_table('deal_products') }}
    where _sdc_deleted_at is null
    group by deal_id
),

final as (
    select
        -- ids
        deals.id as deal_id,

        -- strings
        'deal_products' as stream,

        -- numerics
        deals.products_count as source_value,
        coalesce(line_items.row_count, 0) as table_value,

        -- timestamps
        deals._sdc_extracted_at at time zone 'UTC' as read_at
    from deals
    left join line_items on deals.id = line_items.deal_id
    where deals.products_count > coalesce(line_items.row_count, 0)
    and deals._sdc_deleted_at is null
    and not coalesce(deals.is_deleted, false)
    and not coalesce(deals.is_archived, false)
)

select * from final
