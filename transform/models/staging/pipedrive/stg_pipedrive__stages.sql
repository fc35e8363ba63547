with

source as (
    select * from {{ raw_table('stages') }}
),

renamed as (
    select
        -- ids
        id as stage_id,
        pipeline_id,

        -- strings
        name,

        -- numerics
        order_nr as position,
        deal_probability as probability,
        days_to_rotten,

        -- booleans
        coalesce(is_deal_rot_enabled, false) as has_rotting,
        (
            coalesce(is_deleted, false) or _sdc_deleted_at is not null
        ) as is_deleted,

        -- timestamps
        add_time at time zone 'UTC' as created_at,
        update_time at time zone 'UTC' as updated_at,

        -- load
        _sdc_extracted_at at time zone 'UTC' as _sdc_extracted_at
    from source
)

select * from renamed
