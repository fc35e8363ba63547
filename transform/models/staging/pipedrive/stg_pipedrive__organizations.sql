with

source as (
    select * from {{ raw_table('organizations') }}
),

renamed as (
    select
        -- ids
        id as organization_id,
        owner_id,
        industry as industry_id,
        next_activity_id,
        last_activity_id,
        nullif(label_ids, 'null'::jsonb) as label_ids,

        -- strings
        name,
        website,
        linkedin,
        smart_bcc_email,

        -- nested
        nullif(address, 'null'::jsonb) as address,

        -- numerics
        annual_revenue,
        employee_count,
        visible_to as visibility,
        open_deals_count as open_deal_count,
        related_open_deals_count as related_open_deal_count,
        closed_deals_count as closed_deal_count,
        related_closed_deals_count as related_closed_deal_count,
        won_deals_count as won_deal_count,
        related_won_deals_count as related_won_deal_count,
        lost_deals_count as lost_deal_count,
        related_lost_deals_count as related_lost_deal_count,
        people_count as person_count,
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

        -- timestamps
        add_time at time zone 'UTC' as created_at,
        update_time at time zone 'UTC' as updated_at,

        -- load
        _sdc_extracted_at at time zone 'UTC' as _sdc_extracted_at
    from source
)

select * from renamed
