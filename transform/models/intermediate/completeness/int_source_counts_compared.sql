{# Keeps its rows between builds: figures can only be compared while the table
   is as the run that requested them left it. #}
{{ config(
    materialized='incremental',
    unique_key='source_count_id',
    full_refresh=false,
    on_schema_change='append_new_columns'
) }}

with

counts as (
    select * from {{ ref('stg_pipedrive__source_counts') }}
),

statements as (
    select * from {{ ref('int_run_statements_latest') }}
),

arrived as (
    select * from {{ ref('int_run_statements_arrived') }}
),

tables as (
    select
        stream,
        max(read_at) as last_row_at
    from {{ ref('int_raw_rows_by_time') }}
    group by stream
),

deals as (
    select
        currency,
        value
    from {{ ref('stg_pipedrive__deals') }}
    where status in ('open', 'won', 'lost') and not is_archived and not is_deleted
),

figures as (
    select
        'count' as figure,
        'all' as currency,
        count(*) as value
    from deals

    union all

    select
        'count',
        currency,
        count(*)
    from deals
    where currency is not null
    group by currency

    union all

    select
        'value',
        currency,
        coalesce(sum(value), 0)
    from deals
    where currency is not null
    group by currency
),

final as (
    select
        -- ids
        counts.source_count_id,
        counts.run_id,

        -- strings
        counts.stream,
        counts.figure,
        counts.currency,

        -- numerics
        counts.value as source_value,
        coalesce(figures.value, 0) as table_value,
        changed.value as changed_count,

        -- timestamps
        counts.asked_at
    from counts
    inner join statements
        on counts.stream = statements.stream
        and counts.run_id = statements.run_id
    inner join arrived using (run_statement_id)
    left join tables on counts.stream = tables.stream
    left join figures
        on counts.figure = figures.figure
        and counts.currency = figures.currency
    left join counts as changed
        on counts.run_id = changed.run_id
        and counts.stream = changed.stream
        and changed.figure = 'changed'
    where counts.stream = 'deals' and counts.figure in ('count', 'value')
    -- A later run that died may have written rows as well.
    and coalesce(tables.last_row_at, '-infinity') <= coalesce(
        greatest(statements.last_row_at, statements.earlier_last_row_at),
        '-infinity'
    )
)

select * from final
