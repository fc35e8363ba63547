"""What the tap counts in addition to the SDK's metrics: METRIC log lines, written when a run ends.

Each line is a sum over the run, by endpoint or by stream; none is about a single record or request.
"""

from collections import Counter
from collections.abc import Mapping
from enum import Enum
from logging import Logger
from typing import Any, Literal

from singer_sdk import metrics

from tap_pipedrive.cache import Cache
from tap_pipedrive.client import DURATION_BOUNDS, Client

ENDPOINT, STREAM, STATUS = (
    metrics.Tag.ENDPOINT.value,
    metrics.Tag.STREAM.value,
    metrics.Tag.HTTP_STATUS_CODE.value,
)

SOURCE = "source"
"""Tag: where a list was kept, `redis` or `file`."""


class TapMetric(str, Enum):
    """Names of the tap's own metrics."""

    REQUEST_DURATION = "api_request_duration"
    CURSOR_PAGES = "api_cursor_pages"
    CACHE_HITS = "api_cache_hits"
    CACHE_MISSES = "api_cache_misses"
    RETRIES = "api_retries"
    GIVEN_UP = "api_given_up"
    BREAKER_OPEN = "api_breaker_open"
    TOKEN_COST = "api_token_cost"  # noqa: S105
    TOKENS_LEFT = "api_tokens_left"
    TOKENS_LIMIT = "api_tokens_limit"
    BURST_LIMIT = "api_burst_limit"
    BURST_REMAINING = "api_burst_remaining"
    BURST_RESET = "api_burst_reset"
    REJECTED_ROWS = "rejected_rows"
    UNREAD = "unread_parents"
    RECONCILE_REFUSED = "reconcile_refused"
    PARENTS_LEFT = "parents_left"
    TOKENS_TO_FINISH = "tokens_to_finish"


def log_requests(logger: Logger, client: Client) -> None:
    """Log how many requests were sent, how long they took, what they cost, and what is left of the limits.

    Of the burst window, the limit, the remaining requests and the seconds until it is empty are those of the
    answer with the fewest remaining.
    """
    for (endpoint, status), count in sorted(client.requests.items()):
        tags = {ENDPOINT: endpoint, STATUS: status}
        metrics.log(logger, metrics.Point("counter", metrics.Metric.HTTP_REQUEST_COUNT, count, tags))
        durations = client.durations[endpoint, status]
        buckets = dict(zip(map(str, DURATION_BOUNDS), durations.below, strict=True)) | {"+Inf": count}
        value = {"sum": round(durations.seconds, 3), "buckets": buckets}
        _log(logger, "histogram", TapMetric.REQUEST_DURATION, value, tags)
    limits = client.limits
    for (stream, endpoint), tokens in sorted(limits.tokens.items()):
        _log(logger, "counter", TapMetric.TOKEN_COST, tokens, {STREAM: stream, ENDPOINT: endpoint})
    for metric, counted in {
        TapMetric.CURSOR_PAGES: client.cursor_pages,
        TapMetric.RETRIES: client.retries,
        TapMetric.GIVEN_UP: client.given_up,
    }.items():
        for endpoint, count in sorted((+counted).items()):
            _log(logger, "counter", metric, count, {ENDPOINT: endpoint})
    if limits.breaker_openings:
        _log(logger, "counter", TapMetric.BREAKER_OPEN, limits.breaker_openings, {})
    for metric, known in {
        TapMetric.TOKENS_LEFT: limits.ledger.remaining,
        TapMetric.TOKENS_LIMIT: limits.ledger.limit,
        TapMetric.BURST_LIMIT: limits.fullest_window.burst,
        TapMetric.BURST_REMAINING: limits.fullest_window.burst_remaining,
        TapMetric.BURST_RESET: limits.fullest_window.burst_reset,
    }.items():
        if known is not None:
            _log(logger, "gauge", metric, known, {})


def log_cache(logger: Logger, cache: Cache) -> None:
    """Log how many lists an earlier process had kept, and how many had to be asked for."""
    for metric, counted in {TapMetric.CACHE_HITS: cache.hits, TapMetric.CACHE_MISSES: cache.misses}.items():
        for endpoint, count in sorted(counted.items()):
            _log(logger, "counter", metric, count, {ENDPOINT: endpoint, SOURCE: cache.name})


def log_rejects(logger: Logger, rejected: Counter[str]) -> None:
    """Log the rows with values that do not fit their column, by stream."""
    for stream, count in sorted(rejected.items()):
        _log(logger, "counter", TapMetric.REJECTED_ROWS, count, {STREAM: stream})


def log_passes(logger: Logger, are_refused: Mapping[str, bool | None]) -> None:
    """Log which complete passes were not believed (1), and which were (0), by stream."""
    for stream, is_refused in sorted(are_refused.items()):
        if is_refused is not None:
            _log(logger, "gauge", TapMetric.RECONCILE_REFUSED, int(is_refused), {STREAM: stream})


def log_gaps(logger: Logger, unread: Mapping[str, int], left: Mapping[str, tuple[int, int]]) -> None:
    """Log what is not read: parents that the API refuses, and those whose turn has not come, by stream."""
    for stream, parents in sorted(unread.items()):
        if parents:
            _log(logger, "gauge", TapMetric.UNREAD, parents, {STREAM: stream})
    for stream, (parents_left, tokens) in sorted(left.items()):
        _log(logger, "gauge", TapMetric.PARENTS_LEFT, parents_left, {STREAM: stream})
        _log(logger, "gauge", TapMetric.TOKENS_TO_FINISH, tokens, {STREAM: stream})


def _log(
    logger: Logger,
    kind: Literal["counter", "gauge", "histogram"],
    metric: TapMetric,
    value: Any,
    tags: dict[str, Any],
) -> None:
    metrics.log(logger, metrics.Point(kind, metric, value, tags))  # type: ignore[arg-type]  # an own name
