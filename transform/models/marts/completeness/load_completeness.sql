with

statements as (
    select * from {{ ref('int_run_statements_latest') }}
),

arrived as (
    select * from {{ ref('int_run_statements_arrived') }}
),

tables as (
    select
        stream,
        sum(row_count) as row_count,
        max(read_at) as last_row_at
    from {{ ref('int_raw_rows_by_time') }}
    group by stream
),

differences as (
    select
        stream,
        string_agg(difference, '; ' order by asked_at desc, kind) as differences
    from {{ ref('int_source_differences') }}
    group by stream
),

-- Only statements since the first load count, because the table may have been
-- dropped before it.
proven as (
    select
        statements.stream,
        max(arrived.read_up_to) as read_up_to
    from statements
    inner join arrived
        on statements.stream = arrived.stream
        and arrived.stated_at >= coalesce(statements.first_load_at, '-infinity')
    group by statements.stream
),

matched as (
    select
        statements.*,
        differences.differences,
        coalesce(tables.row_count, 0) as row_count,
        arrived.run_statement_id is not null as is_arrived,
        proven.read_up_to as proven_up_to,
        -- Rows are never deleted, so an empty table means that it was dropped.
        tables.row_count is null and coalesce(
            statements.last_row_at,
            statements.earlier_last_row_at
        ) is not null as is_gone,
        coalesce(
            tables.last_row_at > greatest(
                statements.last_row_at,
                statements.earlier_last_row_at
            ),
            false
        ) as is_written_again
    from statements
    left join tables using (stream)
    left join differences using (stream)
    left join proven using (stream)
    left join arrived using (run_statement_id)
),

compared as (
    select
        *,
        -- Rows up to the time that another run has read were loaded by that
        -- run.
        not is_gone
        and (is_arrived or coalesce(proven_up_to >= read_up_to, false))
            as has_arrived
    from matched
),

judged as (
    select
        *,
        case
            -- They may have been loaded by a run that died and left no
            -- statement.
            when not has_arrived and is_written_again then 'unknown'
            when not has_arrived then 'unloaded'
            when is_missing then 'missing'
            when undone_reason in ('plan', 'rights') and row_count > 0
                then 'missing'
            when undone_reason in ('plan', 'rights') then 'unavailable'
            when undone_reason = 'budget' then 'unfinished'
            when undone_reason is not null then undone_reason
            when differences is not null then 'different'
            when read_up_to is null then 'unknown'
            else 'complete'
        end as verdict,
        case when not is_gone then proven_up_to end as complete_as_of,
        case when has_arrived and undone_reason is null then due_at end
            as next_reading_due_at
    from compared
),

final as (
    select
        -- ids
        stream,
        run_id as last_run_id,
        company_id,

        -- strings
        verdict,
        company_name,
        undone_reason,
        undone_detail,
        differences,

        -- numerics
        coalesce(nullif(unread_count, 0), left_count) as undone_count,
        runs_left,
        days_left,
        round(
            extract(epoch from {{ run_time() }} - complete_as_of)::numeric / 3600,
            1
        ) as lag_hours,

        -- timestamps
        complete_as_of,
        next_reading_due_at,
        stated_at as last_run_at
    from judged
)

select * from final
