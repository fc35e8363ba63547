"""A logging handler for Meltano's `logging.yaml` that turns a run's log into Prometheus metrics.

Meltano logs dictionaries: one for each METRIC line of a tap or target that can log JSON, one at the end of
each block, and one at the end of the run. They are added up by state ID, and published at the beginning of
the run, every half minute, and at the end. A run never fails because of its metrics: a failure to publish is
one warning.
"""

import atexit
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg

from run_metrics.completeness import read_completeness
from run_metrics.dbt import read_results
from run_metrics.processes import Processes
from run_metrics.series import COMPANY, Additions
from run_metrics.store import Store, StoreError

PUBLISH_SECONDS = 30
"""Seconds between two heartbeats of a run."""

FAILURES = {
    "extractors": "etl_extract_failures",
    "loaders": "etl_load_failures",
    "utilities": "etl_transform_failures",
    "transformers": "etl_transform_failures",
}
"""The counter of failures by the type of plugin."""

ZERO_AT_FIRST = (
    "pipedrive_etl_failures",
    "pipedrive_api_breaker_open",
    *dict.fromkeys(FAILURES.values()),
)
"""Counters that Prometheus should know before their first increase."""

COUNTERS = {
    "api_token_cost": "pipedrive_api_token_cost",
    "api_cursor_pages": "pipedrive_api_cursor_advance",
    "api_retries": "pipedrive_api_retries",
    "api_given_up": "pipedrive_api_retry_failures",
    "api_cache_hits": "pipedrive_api_cache_hit",
    "api_cache_misses": "pipedrive_api_cache_miss",
    "api_breaker_open": "pipedrive_api_breaker_open",
    "rejected_rows": "pipedrive_etl_batch_validation_errors",
}
GAUGES = {
    "api_tokens_left": "pipedrive_api_tokens_left",
    "api_tokens_limit": "pipedrive_api_tokens_limit",
    "api_burst_limit": "pipedrive_api_rate_limit",
    "api_burst_remaining": "pipedrive_api_rate_limit_remaining",
    "api_burst_reset": "pipedrive_api_rate_limit_reset_seconds",
    "unread_parents": "pipedrive_unread_parents",
    "reconcile_refused": "pipedrive_reconcile_refused",
    "parents_left": "pipedrive_backfill_deals_remaining_estimated",
    "tokens_to_finish": "pipedrive_backfill_tokens_remaining_estimated",
    "rejected_rows": "etl_last_run_rejected_rows",
}
"""The published metric for each METRIC of the Pipedrive tap."""

logger = logging.getLogger("run_metrics")


class RunMetrics(logging.Handler):
    """The metrics of one run of Meltano.

    Args:
        state_ids: the state IDs of the run's blocks; the first one has the metrics of dbt.
        folder: the folder for files of metrics.
        gateway: URL of a Pushgateway, or none.
        dbt_results: dbt's `run_results.json`.
        environment: the variables with the connection of the warehouse.
    """

    def __init__(
        self,
        state_ids: Sequence[str],
        *,
        folder: Path,
        gateway: str | None,
        dbt_results: Path,
        environment: Mapping[str, str],
    ) -> None:
        super().__init__()
        self._began = time.time()
        self._dbt_results = dbt_results
        self._environment = environment
        self._additions = {each: Additions() for each in state_ids}
        self._stores = {each: Store(each, folder, gateway) for each in state_ids}
        self._held = {each: store.hold() for each, store in self._stores.items()}
        self._has_warned = self._has_ended = False
        self._lock = threading.RLock()
        self._processes = Processes(PUBLISH_SECONDS, self._give_sign_of_life)
        self._begin()
        self._processes.start()
        atexit.register(self._end, is_good=False)

    def emit(self, record: logging.LogRecord) -> None:
        """Process one message of Meltano's log."""
        entry = record.msg
        if isinstance(entry, dict) and not self._has_ended:
            with self._lock:
                self._safely(lambda: self._take(entry))

    def _begin(self) -> None:
        for state_id, additions in self._additions.items():
            additions.add("pipedrive_etl_runs")
            for name in ZERO_AT_FIRST:
                additions.add(name, 0)
            if self._held[state_id]:
                published = self._stores[state_id].read().values
                if 1 in published["etl_run_in_progress"].values():  # the last run was killed
                    additions.add("pipedrive_etl_failures")
                additions.put("etl_run_in_progress", 1)
        self._safely(self._publish)

    def _take(self, entry: Mapping[str, Any]) -> None:
        """Process an entry of the log."""
        event = entry.get("event")
        additions = self._additions.get(str(entry.get("job_name")), self._first)
        if "company_id" in entry:
            additions.company = {name: str(entry.get(name) or "") for name in COMPANY}
        if event == "METRIC" and isinstance(entry.get("metric_info"), dict):
            _add_point(additions, entry["metric_info"], is_target=bool(entry.get("consumer")))
        elif event == "Block run completed" and not entry.get("success"):
            for additions in self._additions.values():
                for kind in _failed(entry):
                    additions.add(FAILURES[kind])
        elif event == "Run completed":
            self._end(is_good=entry.get("status") == "success")

    @property
    def _first(self) -> Additions:
        return next(iter(self._additions.values()))

    def _end(self, *, is_good: bool) -> None:
        with self._lock:
            if self._has_ended:
                return
            self._has_ended = True
        self._processes.stop()
        self._safely(lambda: self._take_stock(is_good=is_good))
        self._safely(self._publish)

    def _take_stock(self, *, is_good: bool) -> None:
        now = time.time()
        self._processes.look()
        has_built = read_results(self._dbt_results, self._began, self._first)
        for state_id, additions in self._additions.items():
            additions.observe("pipedrive_etl_duration_seconds", now - self._began)
            if not is_good:
                additions.add("pipedrive_etl_failures")
            if self._held[state_id]:
                additions.put("etl_run_in_progress", 0)
                additions.put("etl_last_run_success", is_good)
                additions.put("etl_last_run_duration_seconds", now - self._began)
                if is_good:
                    additions.put("etl_last_successful_run_timestamp", now)
            _add_rates(additions)
        for kind, figures in self._processes.figures.items():
            self._first.add("pipedrive_etl_process_cpu_seconds", figures.cpu_seconds, process=kind)
        if has_built:
            try:
                read_completeness(self._environment, self._first)
            except psycopg.Error as error:
                self._warn(
                    f"The completeness of the load is unknown to the metrics: {str(error).split(chr(10))[0]}"
                )

    def _give_sign_of_life(self) -> None:
        with self._lock:  # an unreachable gateway would delay the run repeatedly
            if not (self._has_ended or self._has_warned):
                self._safely(self._publish)

    def _publish(self) -> None:
        now = time.time()
        for kind, figures in self._processes.figures.items():
            self._first.put("pipedrive_etl_process_memory_bytes", figures.memory, process=kind)
            self._first.put("pipedrive_etl_process_duration_seconds", figures.seconds, process=kind)
            self._first.put("etl_thread_count", figures.threads, process=kind)
        for state_id, additions in self._additions.items():
            additions.put("etl_heartbeat", now)
            try:
                self._stores[state_id].publish(additions)
            except StoreError as error:
                self._warn(str(error))

    def _warn(self, sentence: str) -> None:
        if not self._has_warned:
            self._has_warned = True
            logger.warning("%s The run goes on without.", sentence)

    def _safely(self, function: Callable[[], None]) -> None:
        """Call a function, and keep its errors from the run."""
        try:
            function()
        except Exception as error:  # noqa: BLE001 (a defect here is worth no failed run)
            self._warn(f"Metrics are incomplete: {type(error).__name__}: {error}.")


def _add_point(additions: Additions, point: Mapping[str, Any], *, is_target: bool) -> None:
    """Add the values of one METRIC line."""
    metric, value, tags = point["metric"], point["value"], point["tags"]
    stream, endpoint = str(tags.get("stream", "")), str(tags.get("endpoint", ""))
    if metric == "record_count" and is_target:
        additions.add("pipedrive_etl_records_processed", value, stream=stream)
    elif metric == "batch_processing_time" and is_target:
        additions.observe("pipedrive_etl_batch_duration_seconds", value, stream=stream)
    elif metric == "sync_duration":
        additions.observe("etl_extract_seconds", value, stream=stream)
        additions.add("pipedrive_etl_batch_validation_errors", 0, stream=stream)
        for name in ("etl_last_run_rejected_rows", "pipedrive_unread_parents"):
            additions.start_at_zero(name, stream=stream)
    elif metric == "api_request_duration":
        *below, count = value["buckets"].values()
        labels = {"endpoint": endpoint, "status_code": str(tags["http_status_code"])}
        name = "pipedrive_api_request_duration_seconds"
        additions.observe_many(name, value["sum"], count, below, **labels)
        additions.add("pipedrive_api_call", count, **labels)
        for name in ("pipedrive_api_retries", "pipedrive_api_retry_failures", "pipedrive_api_cursor_advance"):
            additions.add(name, 0, endpoint=endpoint)
    if counter := COUNTERS.get(metric):
        source = str(tags.get("source", ""))
        additions.add(counter, value, stream=stream, endpoint=endpoint, source=source)
    if gauge := GAUGES.get(metric):
        additions.put(gauge, value, stream=stream)


def _add_rates(additions: Additions) -> None:
    """Add rates computed from the rows and batches of this run."""
    batches, rows = "pipedrive_etl_batch_duration_seconds", "pipedrive_etl_records_processed"
    for stream in additions.label_values(batches, "stream"):
        written = additions.total(rows, "_total", stream=stream)
        seconds = additions.total(batches, "_sum", stream=stream)
        additions.put(
            "pipedrive_etl_batch_size",
            written / additions.total(batches, "_count", stream=stream),
            stream=stream,
        )
        if seconds:
            additions.put("pipedrive_etl_throughput_rows_per_second", written / seconds, stream=stream)


def _failed(entry: Mapping[str, Any]) -> list[str]:
    """Return the types of plugins that failed in a block."""
    if entry.get("block_type") == "InvokerCommand":
        return ["utilities"]
    return [str(kind) for kind in entry.get("exit_codes") or () if str(kind) in FAILURES]
