with

products as (
    select * from {{ ref('stg_pipedrive__products') }}
),

users as (
    select * from {{ ref('stg_pipedrive__users') }}
),

categories as (
    select
        option_id,
        label
    from {{ ref('stg_pipedrive__field_options') }}
    where entity = 'product' and field_code = 'category'
),

products_joined as (
    select
        -- ids
        products.product_id,
        products.owner_id,

        -- strings
        products.name,
        products.code,
        products.description,
        products.unit,
        coalesce(categories.label, products.category) as category,
        products.billing_frequency,
        users.name as owner_name,

        -- nested
        products.prices,

        -- numerics
        {{ scaled('products.tax_percent') }} as tax_percent,
        products.billing_cycle_count,

        -- booleans
        products.is_linkable,
        products.is_deleted,

        -- timestamps
        products.created_at,
        products.updated_at
    from products
    left join users on products.owner_id = users.user_id
    left join categories on products.category = categories.option_id
)

select * from products_joined
