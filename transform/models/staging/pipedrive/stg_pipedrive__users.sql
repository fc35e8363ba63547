with

source as (
    select * from {{ raw_table('users') }}
),

renamed as (
    select
        -- ids
        id as user_id,
        role_id,

        -- strings
        name,
        email,
        phone,
        default_currency,
        locale,
        timezone_name,
        timezone_offset,
        icon_url,

        -- nested
        nullif(access, 'null'::jsonb) as access,

        -- numerics
        lang as language_id,

        -- booleans
        coalesce(is_admin, false) as is_admin,
        coalesce(is_you, false) as is_token_owner,
        coalesce(activated, false) as is_activated,
        coalesce(active_flag, false) as is_active,
        coalesce(has_created_company, false) as has_created_company,
        (
            coalesce(is_deleted, false) or _sdc_deleted_at is not null
        ) as is_deleted,

        -- timestamps
        last_login at time zone 'UTC' as last_logged_in_at,
        created at time zone 'UTC' as created_at,
        modified at time zone 'UTC' as updated_at,

        -- load
        _sdc_extracted_at at time zone 'UTC' as _sdc_extracted_at
    from source
)

select * from renamed
