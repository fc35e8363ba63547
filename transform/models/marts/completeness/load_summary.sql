{{ config(materialized='view', post_hook=[]) }}

with

streams as (
    select * from {{ ref('load_completeness') }}
),

summarized as (
    select
        count(*) as stream_count,
        count(*) filter (where verdict = 'complete') as complete_count,
        min(complete_as_of) filter (
            where verdict = 'complete' and next_reading_due_at is null
        ) as complete_as_of,
        min(complete_as_of) filter (where verdict = 'complete')
            as all_complete_as_of,
        string_agg(stream, ', ' order by stream) filter (
            where verdict = 'complete' and next_reading_due_at is not null
        ) as kept,
        string_agg(
            format(
                '%s (%s%s)',
                stream,
                verdict,
                case
                    when verdict = 'unread'
                        then format(': %s records', undone_count)
                    when verdict = 'unfinished' and undone_count > 0
                        then format(
                            ': %s records, about %s more runs',
                            undone_count,
                            runs_left
                        )
                    when verdict = 'missing' then ': ' || undone_detail
                    when verdict = 'different' then ': ' || differences
                end
            ),
            ', '
            order by verdict, stream
        ) filter (where verdict != 'complete') as exceptions,
        coalesce(bool_or(verdict in ('missing', 'unloaded')), false)
            as has_missing
    from streams
),

final as (
    select
        -- strings
        case
            when stream_count = 0
                then 'How complete the tables are is unknown: no run has said it.'
            when complete_count = 0 then 'Nothing is complete: ' || exceptions
            else format(
                'Complete as of %s UTC',
                to_char(
                    coalesce(complete_as_of, all_complete_as_of) at time zone 'UTC',
                    'YYYY-MM-DD HH24:MI'
                )
            )
            || coalesce(', except ' || exceptions, '')
            -- The lists of one run are not read at the same moment either.
            || case
                when all_complete_as_of < complete_as_of - interval '1 hour'
                    then format(
                        '; what changes rarely (%s) as of %s',
                        kept,
                        to_char(all_complete_as_of at time zone 'UTC', 'YYYY-MM-DD HH24:MI')
                    )
                else ''
            end
            || case when exceptions is null then '.' else '' end
        end as sentence,

        -- numerics
        stream_count,
        complete_count,

        -- booleans
        has_missing,
        stream_count > 0 and complete_count = stream_count as is_complete,

        -- timestamps
        coalesce(complete_as_of, all_complete_as_of) as complete_as_of
    from summarized
)

select * from final
