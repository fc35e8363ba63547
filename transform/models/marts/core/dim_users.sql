with

users as (
    select * from {{ ref('stg_pipedrive__users') }}
),

final as (
    select
        -- ids
        user_id,
        role_id,

        -- strings
        name,
        email,
        phone,
        default_currency,
        locale,
        timezone_name,

        -- booleans
        is_admin,
        is_active,
        is_deleted,

        -- timestamps
        created_at,
        updated_at,
        last_logged_in_at
    from users
)

select * from final
