with

source as (
    select * from {{ raw_table('tasks') }}
),

renamed as (
    select
        -- ids
        id as task_id,
        project_id,
        parent_task_id,
        creator_id as creator_user_id,
        nullif(assignee_ids, 'null'::jsonb) as assignee_user_ids,

        -- strings
        title,
        description,

        -- numerics
        priority,

        -- booleans
        coalesce(is_done, false) as is_done,
        coalesce(is_milestone, false) as is_milestone,
        _sdc_deleted_at is not null as is_deleted,

        -- dates
        start_date,
        due_date,

        -- timestamps
        marked_as_done_time at time zone 'UTC' as done_at,
        add_time at time zone 'UTC' as created_at,
        update_time at time zone 'UTC' as updated_at,

        -- load
        _sdc_extracted_at at time zone 'UTC' as _sdc_extracted_at
    from source
)

select * from renamed
