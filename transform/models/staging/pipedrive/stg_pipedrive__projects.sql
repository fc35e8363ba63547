with

source as (
    select * from {{ raw_table('projects') }}
),

renamed as (
    select
        -- ids
        id as project_id,
        board_id as project_board_id,
        phase_id as project_phase_id,
        owner_id,
        nullif(deal_ids, 'null'::jsonb) as deal_ids,
        nullif(person_ids, 'null'::jsonb) as person_ids,
        nullif(org_ids, 'null'::jsonb) as organization_ids,
        nullif(label_ids, 'null'::jsonb) as label_ids,

        -- strings
        title,
        description,
        status,

        -- numerics
        health_status,

        -- booleans
        archive_time is not null as is_archived,
        (
            status is not distinct from 'deleted' or _sdc_deleted_at is not null
        ) as is_deleted,

        -- dates
        start_date,
        end_date,

        -- timestamps
        add_time at time zone 'UTC' as created_at,
        update_time at time zone 'UTC' as updated_at,
        status_change_time at time zone 'UTC' as status_changed_at,
        archive_time at time zone 'UTC' as archived_at,

        -- load
        _sdc_extracted_at at time zone 'UTC' as _sdc_extracted_at
    from source
)

select * from renamed
