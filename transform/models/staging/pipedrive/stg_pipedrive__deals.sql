with

source as (
    select * from {{ raw_table('deals') }}
),

renamed as (
    select
        -- ids
        id as deal_id,
        owner_id,
        creator_user_id,
        person_id,
        org_id as organization_id,
        pipeline_id,
        stage_id,
        source_lead_id,
        lost_reason_id,
        origin_id,
        channel as channel_id,
        channel_id as channel_reference,
        next_activity_id,
        last_activity_id,
        nullif(label_ids, 'null'::jsonb) as label_ids,

        -- strings
        title,
        status,
        currency,
        lost_reason,
        origin,
        {{ acquisition_channel_column() }} as acquisition_channel,
        smart_bcc_email,

        -- nested
        {{ acquisition_channel_option_ids() }} as acquisition_channel_ids,

        -- numerics
        value,
        probability,
        arr as annual_recurring_revenue,
        mrr as monthly_recurring_revenue,
        acv as annual_contract_value,
        visible_to as visibility,
        products_count as product_count,
        files_count as file_count,
        notes_count as note_count,
        followers_count as follower_count,
        participants_count as participant_count,
        email_messages_count as email_message_count,
        activities_count as activity_count,
        done_activities_count as done_activity_count,
        undone_activities_count as undone_activity_count,

        -- booleans
        coalesce(is_archived, false) as is_archived,
        (
            coalesce(is_deleted, false)
            or status is not distinct from 'deleted'
            or _sdc_deleted_at is not null
        ) as is_deleted,

        -- dates
        expected_close_date,
        local_won_date,
        local_lost_date,
        local_close_date,

        -- timestamps
        add_time at time zone 'UTC' as created_at,
        update_time at time zone 'UTC' as updated_at,
        stage_change_time at time zone 'UTC' as stage_changed_at,
        close_time at time zone 'UTC' as closed_at,
        won_time at time zone 'UTC' as won_at,
        first_won_time at time zone 'UTC' as first_won_at,
        lost_time at time zone 'UTC' as lost_at,
        archive_time at time zone 'UTC' as archived_at,
        last_incoming_mail_time at time zone 'UTC' as last_incoming_mail_at,
        last_outgoing_mail_time at time zone 'UTC' as last_outgoing_mail_at,

        -- load
        _sdc_extracted_at at time zone 'UTC' as _sdc_extracted_at
    from source
)

select * from renamed
