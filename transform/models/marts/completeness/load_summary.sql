{{ config(materialized='view', post_hook=[]) }}

with

streams as (
    select * from {{ ref('load_completeness') }}
),

worded as (
    select
        stream,
        verdict,
        complete_as_of,
        next_reading_due_at,
        case
            when verdict not in ('unfinished', 'unread') or coalesce(undone_count, 0) = 0 then stream
            when stream like '%\_changes' then format(
                'the history of %s %s%s',
                to_char(undone_count, 'FM999,999,999,999'),
                replace(regexp_replace(stream, '_changes$', ''), '_', ' '),
                case when undone_count > 1 then 's' end
            )
            else format(
                '%s record%s of %s',
                to_char(undone_count, 'FM999,999,999,999'),
                case when undone_count > 1 then 's' end,
                stream
            )
        end as subject,
        case
            when verdict = 'missing' then ': ' || undone_detail
            when verdict = 'different' then ': ' || differences
            when days_left is not null
                then format(', done in about %s day%s', days_left, case when days_left > 1 then 's' end)
            when runs_left is not null
                then format(', done in about %s more run%s', runs_left, case when runs_left > 1 then 's' end)
        end as detail
    from streams
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
            format('%s (%s%s)', subject, verdict, detail),
            ', '
            order by verdict, stream
        ) filter (where verdict != 'complete') as exceptions,
        coalesce(bool_or(verdict in ('missing', 'unloaded')), false)
            as has_missing
    from worded
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
            -- Even the lists of one run are not read at the same moment.
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
