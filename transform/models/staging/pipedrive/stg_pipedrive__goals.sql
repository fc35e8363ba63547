with

source as (
    select * from {{ raw_table('goals') }}
),

renamed as (
    select
        -- ids
        id as goal_id,
        owner_id,
        assignee_id,
        expected_outcome_currency_id as currency_id,
        nullif(report_ids, 'null'::jsonb) as report_ids,

        -- strings
        title,
        type_name as goal_type,
        assignee_type,
        interval as goal_interval,
        expected_outcome_tracking_metric as tracking_metric,

        -- nested
        nullif(type_params, 'null'::jsonb) as goal_parameters,

        -- numerics
        expected_outcome_target as target,

        -- booleans
        coalesce(is_active, false) as is_active,
        _sdc_deleted_at is not null as is_deleted,

        -- dates
        duration_start as start_date,
        duration_end as end_date,

        -- load
        _sdc_extracted_at at time zone 'UTC' as _sdc_extracted_at
    from source
)

select * from renamed
