with

source as (
    select * from {{ raw_table('organization_followers') }}
),

renamed as (
    select
        -- ids
        organization_id || '.' || user_id as organization_follower_id,
        organization_id,
        user_id,

        -- booleans
        _sdc_deleted_at is not null as is_deleted,

        -- timestamps
        add_time at time zone 'UTC' as followed_at,

        -- load
        _sdc_extracted_at at time zone 'UTC' as _sdc_extracted_at
    from source
)

select * from renamed
