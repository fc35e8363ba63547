"""What the tap counts in addition to the SDK's metrics: METRIC log lines, written when a run ends."""

from collections import Counter
from enum import Enum
from logging import Logger
from typing import Literal

from singer_sdk import metrics

from tap_pipedrive.client import Client


class TapMetric(str, Enum):
    """Names of the tap's own metrics."""

    TOKEN_COST = "api_token_cost"  # noqa: S105
    TOKENS_LEFT = "api_tokens_left"
    RETRIES = "api_retries"
    BREAKER_OPEN = "api_breaker_open"
    REJECTED_ROWS = "rejected_rows"


def log_requests(logger: Logger, client: Client) -> None:
    """Log requests by endpoint and status, tokens and retries by endpoint, tokens left today, breaker openings."""
    for (endpoint, status), count in sorted(client.requests.items()):
        tags = {metrics.Tag.ENDPOINT.value: endpoint, metrics.Tag.HTTP_STATUS_CODE.value: status}
        metrics.log(logger, metrics.Point("counter", metrics.Metric.HTTP_REQUEST_COUNT, count, tags))
    tokens_by_endpoint: Counter[str] = Counter()
    for (_, endpoint), tokens in client.limits.tokens.items():
        tokens_by_endpoint[endpoint] += tokens
    for endpoint, tokens in sorted(tokens_by_endpoint.items()):
        _log(logger, "counter", TapMetric.TOKEN_COST, tokens, {metrics.Tag.ENDPOINT.value: endpoint})
    for endpoint, count in sorted(client.retries.items()):
        _log(logger, "counter", TapMetric.RETRIES, count, {metrics.Tag.ENDPOINT.value: endpoint})
    if client.limits.ledger.remaining is not None:
        _log(logger, "gauge", TapMetric.TOKENS_LEFT, client.limits.ledger.remaining, {})
    if client.limits.breaker_openings:
        _log(logger, "counter", TapMetric.BREAKER_OPEN, client.limits.breaker_openings, {})


def log_rejects(logger: Logger, rejected: Counter[str]) -> None:
    """Log the rows with values that do not fit their column, by stream."""
    for stream, count in sorted(rejected.items()):
        _log(logger, "counter", TapMetric.REJECTED_ROWS, count, {metrics.Tag.STREAM.value: stream})


def _log(
    logger: Logger, kind: Literal["counter", "gauge"], metric: TapMetric, value: int, tags: dict[str, str]
) -> None:
    metrics.log(logger, metrics.Point(kind, metric, value, tags))  # type: ignore[arg-type]  # an own name
