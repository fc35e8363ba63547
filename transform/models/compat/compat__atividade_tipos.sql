with

activity_types as (
    select * from {{ ref('stg_pipedrive__activity_types') }}
),

final as (
    select
        activity_type_id as id,
        name,
        activity_type_key as key_string,
        icon_key,
        not is_deleted as active_flag,
        color,
        is_custom as is_custom_flag,
        position as order_nr,
        created_at as add_time,
        updated_at as update_time
    from activity_types
)

select * from final
