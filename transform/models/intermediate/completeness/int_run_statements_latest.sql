with

statements as (
    select
        *,
        coalesce(ended_at, _sdc_extracted_at) as stated_at
    from {{ ref('stg_pipedrive__run_statements') }}
),

latest as (
    select distinct on (stream) *
    from statements
    order by stream, stated_at desc, run_id desc
),

first_loads as (
    select
        stream,
        max(stated_at) as first_load_at
    from statements
    where method = 'first_load'
    group by stream
),

earlier as (
    select
        stream,
        max(last_row_at) as last_row_at,
        bool_or(is_mapped) as is_mapped
    from statements
    where not exists (
        select 1
        from latest
        where latest.run_statement_id = statements.run_statement_id
    )
    group by stream
),

final as (
    select
        -- ids
        latest.stream,
        latest.run_statement_id,
        latest.run_id,
        latest.company_id,

        -- strings
        latest.company_name,
        latest.undone_reason,
        latest.undone_detail,

        -- numerics
        latest.left_count,
        latest.runs_left,
        latest.days_left,
        latest.unread_count,

        -- booleans
        latest.is_missing,
        coalesce(latest.is_mapped or earlier.is_mapped, false) as is_mapped,

        -- timestamps
        latest.stated_at,
        latest.read_up_to,
        latest.due_at,
        latest.last_row_at,
        first_loads.first_load_at,
        earlier.last_row_at as earlier_last_row_at
    from latest
    left join earlier using (stream)
    left join first_loads using (stream)
)

select * from final
