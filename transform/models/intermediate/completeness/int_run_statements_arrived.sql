{# Keeps its rows between builds: a later run writes rows again, after which
   nobody can tell whether they had arrived before. #}
{{ config(
    materialized='incremental',
    unique_key='run_statement_id',
    full_refresh=false,
    on_schema_change='append_new_columns'
) }}

with

statements as (
    select * from {{ ref('stg_pipedrive__run_statements') }}
),

loaded as (
    select * from {{ ref('int_raw_rows_by_time') }}
),

final as (
    select
        -- ids
        statements.run_statement_id,

        -- strings
        statements.stream,

        -- timestamps
        coalesce(statements.ended_at, statements._sdc_extracted_at) as stated_at,
        statements.read_up_to
    from statements
    left join loaded
        on statements.stream = loaded.stream
        and statements.last_row_at = loaded.read_at
    where statements.last_row_at is null or loaded.read_at is not null
)

select * from final
