with

source as (
    select * from {{ raw_table('persons') }}
),

renamed as (
    select
        -- ids
        id as person_id,
        owner_id,
        org_id as organization_id,
        picture_id,
        next_activity_id,
        last_activity_id,
        nullif(label_ids, 'null'::jsonb) as label_ids,

        -- strings
        name,
        first_name,
        last_name,
        primary_email,
        primary_phone,
        job_title,
        notes,
        smart_bcc_email,

        -- nested
        nullif(emails, 'null'::jsonb) as emails,
        nullif(phones, 'null'::jsonb) as phones,
        nullif(im, 'null'::jsonb) as messengers,
        nullif(postal_address, 'null'::jsonb) as postal_address,

        -- numerics
        visible_to as visibility,
        open_deals_count as open_deal_count,
        related_open_deals_count as related_open_deal_count,
        closed_deals_count as closed_deal_count,
        related_closed_deals_count as related_closed_deal_count,
        participant_open_deals_count as participant_open_deal_count,
        participant_closed_deals_count as participant_closed_deal_count,
        won_deals_count as won_deal_count,
        related_won_deals_count as related_won_deal_count,
        lost_deals_count as lost_deal_count,
        related_lost_deals_count as related_lost_deal_count,
        email_messages_count as email_message_count,
        activities_count as activity_count,
        done_activities_count as done_activity_count,
        undone_activities_count as undone_activity_count,
        files_count as file_count,
        notes_count as note_count,
        followers_count as follower_count,

        -- booleans
        (
            coalesce(is_deleted, false) or _sdc_deleted_at is not null
        ) as is_deleted,

        -- dates
        birthday as birth_date,

        -- timestamps
        add_time at time zone 'UTC' as created_at,
        update_time at time zone 'UTC' as updated_at,
        last_incoming_mail_time at time zone 'UTC' as last_incoming_mail_at,
        last_outgoing_mail_time at time zone 'UTC' as last_outgoing_mail_at,

        -- load
        _sdc_extracted_at at time zone 'UTC' as _sdc_extracted_at
    from source
)

select * from renamed
