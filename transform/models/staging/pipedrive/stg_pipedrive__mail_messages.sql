with

source as (
    select * from {{ raw_table('mail_messages') }}
),

renamed as (
    select
        -- ids
        id as mail_message_id,
        mail_thread_id,
        account_id as mail_account_id,
        user_id,

        -- strings
        subject,
        snippet,
        draft,
        body_url,
        mail_tracking_status,

        -- nested
        nullif(from_parties, 'null'::jsonb) as from_parties,
        nullif(to_parties, 'null'::jsonb) as to_parties,
        nullif(cc_parties, 'null'::jsonb) as cc_parties,
        nullif(bcc_parties, 'null'::jsonb) as bcc_parties,

        -- booleans
        coalesce(read_flag, false) as is_read,
        coalesce(draft_flag, false) as is_draft,
        coalesce(sent_flag, false) as is_sent,
        coalesce(sent_from_pipedrive_flag, false) as is_sent_from_pipedrive,
        coalesce(synced_flag, false) as is_synced,
        coalesce(smart_bcc_flag, false) as is_smart_bcc,
        coalesce(
            mail_link_tracking_enabled_flag, false
        ) as is_link_tracking_enabled,
        coalesce(has_body_flag, false) as has_body,
        coalesce(has_attachments_flag, false) as has_attachments,
        coalesce(has_inline_attachments_flag, false) as has_inline_attachments,
        coalesce(has_real_attachments_flag, false) as has_real_attachments,
        (
            coalesce(deleted_flag, false) or _sdc_deleted_at is not null
        ) as is_deleted,

        -- timestamps
        message_time at time zone 'UTC' as messaged_at,
        add_time at time zone 'UTC' as created_at,
        update_time at time zone 'UTC' as updated_at,

        -- load
        _sdc_extracted_at at time zone 'UTC' as _sdc_extracted_at
    from source
)

select * from renamed
