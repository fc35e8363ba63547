"""Every metric of a run, with its type, labels and meaning; docs/observe.md has the same list."""

from typing import Literal, NamedTuple

Kind = Literal["counter", "gauge", "histogram", "summary"]


class Family(NamedTuple):
    """A metric. Units are part of its name (seconds, bytes); times are seconds since 1970."""

    kind: Kind
    labels: tuple[str, ...]
    """Labels besides those of every series, which are the state ID and the company."""
    meaning: str
    bounds: tuple[float, ...] = ()
    """The upper bounds of a histogram's buckets, without the infinite one."""


RUN_BOUNDS = (10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 10800)
BATCH_BOUNDS = (0.1, 0.5, 1, 2, 5, 10, 30, 60)

STREAM, ENDPOINT, PROCESS = ("stream",), ("endpoint",), ("process",)
ANSWER = ("endpoint", "status_code")
CACHED = ("endpoint", "source")

FAMILIES: dict[str, Family] = {
    # runs
    "pipedrive_etl_runs": Family("counter", (), "Runs that began"),
    "pipedrive_etl_failures": Family("counter", (), "Runs that failed or were killed"),
    "pipedrive_etl_duration_seconds": Family("histogram", (), "How long runs took", RUN_BOUNDS),
    "etl_run_in_progress": Family("gauge", (), "1 from the beginning to the end of a run"),
    "etl_last_run_success": Family("gauge", (), "1 if the last run ended well, 0 if it failed"),
    "etl_last_run_duration_seconds": Family("gauge", (), "How long the last run took"),
    "etl_last_successful_run_timestamp": Family("gauge", (), "When the last good run ended"),
    "etl_heartbeat": Family("gauge", (), "When a run last gave a sign of life"),
    "etl_extract_failures": Family("counter", (), "Runs whose extractor failed"),
    "etl_load_failures": Family("counter", (), "Runs whose loader failed"),
    "etl_transform_failures": Family("counter", (), "Runs whose dbt failed"),
    # streams
    "pipedrive_etl_records_processed": Family("counter", STREAM, "Rows that the target has written"),
    "etl_extract_seconds": Family("summary", STREAM, "How long the tap took for a stream"),
    "pipedrive_etl_batch_duration_seconds": Family(
        "histogram", STREAM, "How long the target took for a batch", BATCH_BOUNDS
    ),
    "pipedrive_etl_batch_size": Family("gauge", STREAM, "Rows per batch in the last run, on average"),
    "pipedrive_etl_throughput_rows_per_second": Family(
        "gauge", STREAM, "Rows that the target wrote per second of work in the last run"
    ),
    "pipedrive_etl_batch_validation_errors": Family(
        "counter", STREAM, "Rows with values that do not fit their column"
    ),
    "etl_last_run_rejected_rows": Family("gauge", STREAM, "The same, of the last run alone"),
    "pipedrive_unread_parents": Family("gauge", STREAM, "Parents that the API refuses to list rows of"),
    "pipedrive_reconcile_refused": Family(
        "gauge", STREAM, "1 if the last complete pass saw too few rows to mark the others as deleted"
    ),
    "pipedrive_backfill_deals_remaining_estimated": Family(
        "gauge", STREAM, "Parents, such as deals, that a stream has still to ask about"
    ),
    "pipedrive_backfill_tokens_remaining_estimated": Family(
        "gauge", STREAM, "API tokens that this takes at least"
    ),
    # the API
    "pipedrive_api_call": Family("counter", ANSWER, "Requests, by status (0: without an answer)"),
    "pipedrive_api_request_duration_seconds": Family(
        "histogram",
        ANSWER,
        "How long requests took",
        (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
    ),
    "pipedrive_api_token_cost": Family("counter", ("stream", "endpoint"), "API tokens spent"),
    "pipedrive_api_cursor_advance": Family("counter", ENDPOINT, "Pages after the first one, by cursor"),
    "pipedrive_api_retries": Family("counter", ENDPOINT, "Requests that were sent again"),
    "pipedrive_api_retry_failures": Family("counter", ENDPOINT, "Requests that failed at the last try, too"),
    "pipedrive_api_cache_hit": Family("counter", CACHED, "Lists that an earlier process had kept"),
    "pipedrive_api_cache_miss": Family(
        "counter", CACHED, "Lists that could be kept, and had to be asked for"
    ),
    "pipedrive_api_breaker_open": Family("counter", (), "Times that the circuit breaker opened"),
    "pipedrive_api_tokens_left": Family("gauge", (), "The company's API tokens left today, by Pipedrive"),
    "pipedrive_api_tokens_limit": Family("gauge", (), "The company's API tokens a day, by Pipedrive"),
    "pipedrive_api_rate_limit": Family("gauge", (), "Requests that the burst window allows"),
    "pipedrive_api_rate_limit_remaining": Family(
        "gauge", (), "Requests that remained in the burst window when it was fullest"
    ),
    "pipedrive_api_rate_limit_reset_seconds": Family(
        "gauge", (), "How long that window had to go until it was empty"
    ),
    # processes
    "pipedrive_etl_process_memory_bytes": Family("gauge", PROCESS, "Most memory in use, resident set"),
    "pipedrive_etl_process_cpu_seconds": Family("counter", PROCESS, "CPU time, user and system"),
    "pipedrive_etl_process_duration_seconds": Family("gauge", PROCESS, "How long the process lived"),
    "etl_thread_count": Family("gauge", PROCESS, "Most threads at a time"),
    # dbt
    "etl_transform_seconds": Family("summary", (), "How long builds took"),
    "dbt_results": Family("gauge", ("resource_type", "status"), "Models, tests and seeds of the last build"),
    "dbt_model_duration_seconds": Family("gauge", ("model",), "How long a model took in the last build"),
    "dbt_test_failures": Family(
        "gauge", ("test", "status"), "Rows that a test of the last build complains about"
    ),
    "dbt_build_timestamp_seconds": Family("gauge", (), "When the last build ended"),
    # completeness
    "pipedrive_load_complete": Family("gauge", STREAM, "1 if all that the source had is in the warehouse"),
    "pipedrive_load_verdict": Family("gauge", ("stream", "verdict"), "1 for the verdict on a stream"),
    "pipedrive_load_complete_as_of_timestamp_seconds": Family(
        "gauge", STREAM, "Up to which moment a stream is complete"
    ),
    "pipedrive_load_due_timestamp_seconds": Family(
        "gauge", STREAM, "The same, or when a stream that is not read in each run is to be read again"
    ),
    "pipedrive_load_undone": Family("gauge", ("stream", "reason"), "What is left undone, and why"),
    "pipedrive_load_differences": Family("gauge", STREAM, "1 if Pipedrive's own counters disagree"),
}
"""Counters stand here without their suffix `_total`. The names are those of the systems that this one replaces,
where the meaning is the same."""
