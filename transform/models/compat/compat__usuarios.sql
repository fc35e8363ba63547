with

users as (
    select * from {{ ref('stg_pipedrive__users') }}
),

final as (
    select
        user_id as id,
        name,
        email,
        language_id::text as lang,
        locale,
        timezone_name,
        timezone_offset,
        is_admin,
        role_id,
        phone,
        last_logged_in_at as last_login,
        created_at as created,
        updated_at as modified,
        icon_url,
        default_currency,
        has_created_company,
        is_deleted,
        is_token_owner as is_you,
        is_active as active_flag,
        is_activated as activated,
        access
    from users
)

select * from final
