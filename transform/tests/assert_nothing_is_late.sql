{{ config(severity=var('when_late', 'warn')) }}

-- Depends on load_summary, so that all marts are built before it fails.
select
    streams.stream,
    streams.verdict,
    streams.complete_as_of
from {{ ref('load_completeness') }} as streams
cross join {{ ref('load_summary') }}
where extract(
    epoch from {{ run_time() }}
        - greatest(streams.complete_as_of, streams.next_reading_due_at)
) / 3600 > {{ var('max_lag_hours', env_var('MAX_LAG_HOURS', '24')) }}
