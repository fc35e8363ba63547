with

users as (
    select * from {{ ref('stg_pipedrive__users') }}
),

final as (
    select
        user_id,
        name as user_name,
        is_active and not is_deleted as is_active,
        _sdc_extracted_at as last_synced_at
    from users
)

select * from final
