with

source as (
    select * from {{ raw_table('files') }}
),

renamed as (
    select
        -- ids
        id as file_id,
        user_id,
        deal_id,
        lead_id,
        person_id,
        org_id as organization_id,
        product_id,
        activity_id,
        project_id,
        log_id,
        mail_message_id,
        mail_template_id,
        remote_id,
        cid as content_id,

        -- strings
        name,
        file_name,
        file_type,
        description,
        url,
        remote_location,
        s3_bucket,

        -- numerics
        file_size as byte_count,

        -- booleans
        coalesce(inline_flag, false) as is_inline,
        (
            not coalesce(active_flag, true) or _sdc_deleted_at is not null
        ) as is_deleted,

        -- timestamps
        add_time at time zone 'UTC' as created_at,
        update_time at time zone 'UTC' as updated_at,

        -- load
        _sdc_extracted_at at time zone 'UTC' as _sdc_extracted_at
    from source
)

select * from renamed
