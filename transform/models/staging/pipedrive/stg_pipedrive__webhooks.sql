with

source as (
    select * from {{ raw_table('webhooks') }}
),

renamed as (
    select
        -- ids
        id as webhook_id,
        owner_id,
        user_id,
        admin_id as admin_user_id,

        -- strings
        name,
        subscription_url,
        event_action,
        event_object,
        webhook_version,
        type as webhook_type,
        remove_reason,

        -- numerics
        last_http_status,

        -- booleans
        coalesce(is_active, false) as is_active,
        _sdc_deleted_at is not null as is_deleted,

        -- timestamps
        last_delivery_time at time zone 'UTC' as last_delivered_at,
        add_time at time zone 'UTC' as created_at,
        remove_time at time zone 'UTC' as removed_at,

        -- load
        _sdc_extracted_at at time zone 'UTC' as _sdc_extracted_at
    from source
)

select * from renamed
