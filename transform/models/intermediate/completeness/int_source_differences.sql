with

statements as (
    select * from {{ ref('stg_pipedrive__run_statements') }}
),

counts as (
    select * from {{ ref('stg_pipedrive__source_counts') }}
),

compared as (
    select * from {{ ref('int_source_counts_compared') }}
),

counters as (
    select * from {{ ref('int_source_counters_compared') }}
),

latest_statements as (
    select * from {{ ref('int_run_statements_latest') }}
),

samples as (
    select * from {{ ref('int_source_samples_compared') }}
),

loaded as (
    select * from {{ ref('int_raw_ids_highest') }}
),

-- A complete reading loads rows that were missing, and rows that it does not
-- load are gone. A check in the second in which it began is its own.
passes as (
    select
        stream,
        max(last_complete_pass_at) as began_at
    from statements
    group by stream
),

latest_check as (
    select run_id
    from compared
    order by asked_at desc
    limit 1
),

counted as (
    select
        'counts' as kind,
        compared.stream,
        compared.run_id,
        string_agg(
            format(
                '%s%s is %s in Pipedrive and %s in the table',
                compared.figure,
                case compared.currency when 'all' then '' else ' in ' || compared.currency end,
                compared.source_value,
                compared.table_value
            ),
            ', '
            order by compared.figure, compared.currency
        ) as difference,
        max(compared.asked_at) as asked_at
    from compared
    inner join latest_check using (run_id)
    left join passes using (stream)
    where compared.changed_count = 0
    and compared.asked_at >= coalesce(passes.began_at, '-infinity')
    and abs(compared.source_value - compared.table_value) >= 0.01
    group by compared.stream, compared.run_id
),

newest as (
    select
        'newest' as kind,
        counts.stream,
        counts.run_id,
        format('the newest record, %s, is not in the table', counts.value) as difference,
        counts.asked_at
    from counts
    inner join statements
        on counts.stream = statements.stream
        and counts.run_id = statements.run_id
    inner join loaded on counts.stream = loaded.stream
    left join passes on counts.stream = passes.stream
    where counts.figure = 'highest_id'
    and counts.asked_at >= coalesce(passes.began_at, '-infinity')
    and counts.value > loaded.highest_id
    and counts.moment < statements.read_up_to
),

sampled as (
    select
        'sample' as kind,
        samples.stream,
        max(samples.run_id) as run_id,
        concat_ws(
            ', ',
            case
                when bool_or(samples.is_absent) then format(
                    '%s records that were read again are not in the table, e.g. %s',
                    count(*) filter (where samples.is_absent),
                    min(samples.record_id) filter (where samples.is_absent)
                )
            end,
            case
                when bool_or(samples.different_columns is not null) then format(
                    '%s records that were read again have other values (%s), e.g. %s',
                    count(*) filter (where samples.different_columns is not null),
                    max(samples.different_columns),
                    min(samples.record_id) filter (where samples.different_columns is not null)
                )
            end
        ) as difference,
        max(samples.asked_at) as asked_at
    from samples
    inner join statements
        on samples.stream = statements.stream
        and samples.run_id = statements.run_id
    left join passes on samples.stream = passes.stream
    where (samples.is_absent or samples.different_columns is not null)
    and samples.asked_at >= coalesce(passes.began_at, '-infinity')
    -- The next run reads later changes.
    and (samples.updated_at is null or samples.updated_at < statements.read_up_to)
    group by samples.stream
),

-- A deal's counter is read before its line items. The next run, or the check
-- whether any deal has changed, finds changes in between.
counted_by_records as (
    select
        'counters' as kind,
        counters.stream,
        items.run_id,
        format(
            'deals that count more line items than the table has: %s, e.g. %s (a merged one does so until a run reconciles)',
            count(*),
            min(counters.deal_id)
        ) as difference,
        max(items.stated_at) as asked_at
    from counters
    inner join latest_statements as items on counters.stream = items.stream
    inner join latest_statements as deals
        on items.run_id = deals.run_id
        and deals.stream = 'deals'
    where deals.read_up_to is not null
    and not deals.is_mapped
    and not items.is_mapped
    and (
        counters.read_at <= deals.earlier_last_row_at
        or exists (
            select 1
            from counts
            where counts.run_id = deals.run_id
            and counts.stream = 'deals'
            and counts.figure = 'changed'
            and counts.value = 0
        )
    )
    group by counters.stream, items.run_id
),

final as (
    select * from counted
    union all
    select * from newest
    union all
    select * from sampled
    union all
    select * from counted_by_records
)

select
    stream || '.' || kind || '.' || run_id as source_difference_id,
    *
from final
