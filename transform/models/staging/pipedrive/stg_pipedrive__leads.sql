with

source as (
    select * from {{ raw_table('leads') }}
),

renamed as (
    select
        -- ids
        id as lead_id,
        owner_id,
        creator_id as creator_user_id,
        person_id,
        organization_id,
        source_deal_id,
        origin_id,
        channel as channel_id,
        channel_id as channel_reference,
        next_activity_id,
        nullif(label_ids, 'null'::jsonb) as label_ids,

        -- strings
        title,
        currency,
        source_name,
        origin,
        cc_email,

        -- numerics
        value,
        visible_to as visibility,

        -- booleans
        coalesce(was_seen, false) as is_seen,
        coalesce(is_archived, false) as is_archived,
        _sdc_deleted_at is not null as is_deleted,

        -- dates
        expected_close_date,

        -- timestamps
        add_time at time zone 'UTC' as created_at,
        update_time at time zone 'UTC' as updated_at,

        -- load
        _sdc_extracted_at at time zone 'UTC' as _sdc_extracted_at
    from source
)

select * from renamed
