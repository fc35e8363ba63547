with

statements as (
    select * from {{ ref('int_run_statements_latest') }}
),

tables as (
    select * from {{ ref('int_raw_tables_loaded') }}
),

differences as (
    select
        stream,
        string_agg(difference, '; ' order by asked_at desc, kind) as differences
    from {{ ref('int_source_differences') }}
    group by stream
),

compared as (
    select
        statements.*,
        tables.row_count,
        differences.differences,
        -- The last row may have been written again by a run that died later.
        coalesce(
            statements.last_row_at is null
            or tables.has_last_row
            or tables.last_row_at > greatest(
                statements.last_row_at,
                statements.earlier_last_row_at
            ),
            false
        ) as has_arrived
    from statements
    left join tables using (stream)
    left join differences using (stream)
),

judged as (
    select
        *,
        case
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
        greatest(
            case when has_arrived then read_up_to end,
            earlier_read_up_to
        ) as complete_as_of,
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
