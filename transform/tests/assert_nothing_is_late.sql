{{ config(severity=var('when_late', 'warn')) }}

-- Waits for load_summary, so that all marts are built when it fails.
select
    stream,
    verdict,
    complete_as_of
from {{ ref('load_summary') }}
cross join {{ ref('load_completeness') }}
where load_completeness.lag_hours > {{ var('max_lag_hours', env_var('MAX_LAG_HOURS', '24')) }}
