with

source as (
    select * from {{ raw_table('run_statements') }}
),

renamed as (
    select
        -- ids
        run_id || '.' || stream as run_statement_id,
        run_id,
        company_id,

        -- strings
        stream,
        company_name,
        method,
        undone_reason,
        undone_detail,
        unread_ids,
        tap_version,
        api_version,

        -- numerics
        rows_sent,
        values_rejected,
        left_count,
        runs_left,
        days_left,
        unread_count,
        tokens_spent,
        run_tokens_spent,
        tokens_left,

        -- booleans
        is_missing,
        is_mapped,
        previous_run_died as has_previous_run_died,

        -- timestamps
        began_at at time zone 'UTC' as began_at,
        ended_at at time zone 'UTC' as ended_at,
        read_up_to at time zone 'UTC' as read_up_to,
        due_at at time zone 'UTC' as due_at,
        last_row_at at time zone 'UTC' as last_row_at,
        last_complete_pass at time zone 'UTC' as last_complete_pass_at,

        -- load
        _sdc_extracted_at at time zone 'UTC' as _sdc_extracted_at
    from source
)

select * from renamed
