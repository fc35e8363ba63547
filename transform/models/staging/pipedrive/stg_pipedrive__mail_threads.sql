with

source as (
    select * from {{ raw_table('mail_threads') }}
),

renamed as (
    select
        -- ids
        id as mail_thread_id,
        account_id as mail_account_id,
        user_id,
        deal_id,
        lead_id,

        -- strings
        subject,
        snippet,
        snippet_draft,
        snippet_sent,
        mail_tracking_status,
        deal_status,

        -- nested
        nullif(parties, 'null'::jsonb) as parties,
        nullif(drafts_parties, 'null'::jsonb) as drafts_parties,
        nullif(folders, 'null'::jsonb) as folders,

        -- numerics
        thread_version,
        message_count,

        -- booleans
        coalesce(read_flag, false) as is_read,
        coalesce(archived_flag, false) as is_archived,
        coalesce(shared_flag, false) as is_shared,
        coalesce(synced_flag, false) as is_synced,
        coalesce(smart_bcc_flag, false) as is_smart_bcc,
        coalesce(
            mail_link_tracking_enabled_flag, false
        ) as is_link_tracking_enabled,
        coalesce(first_message_to_me_flag, false) as is_first_message_to_me,
        coalesce(all_messages_sent_flag, false) as is_all_sent,
        coalesce(has_draft_flag, false) as has_draft,
        coalesce(has_sent_flag, false) as has_sent,
        coalesce(has_attachments_flag, false) as has_attachments,
        coalesce(has_inline_attachments_flag, false) as has_inline_attachments,
        coalesce(has_real_attachments_flag, false) as has_real_attachments,
        coalesce(external_deleted_flag, false) as is_deleted_externally,
        (
            coalesce(deleted_flag, false) or _sdc_deleted_at is not null
        ) as is_deleted,

        -- timestamps
        first_message_timestamp at time zone 'UTC' as first_message_at,
        last_message_timestamp at time zone 'UTC' as last_message_at,
        last_message_sent_timestamp at time zone 'UTC' as last_message_sent_at,
        last_message_received_timestamp
            at time zone 'UTC' as last_message_received_at,
        add_time at time zone 'UTC' as created_at,
        update_time at time zone 'UTC' as updated_at,

        -- load
        _sdc_extracted_at at time zone 'UTC' as _sdc_extracted_at
    from source
)

select * from renamed
