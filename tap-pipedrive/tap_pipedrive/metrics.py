"""What the tap counts beside the SDK's own metrics: METRIC log lines, made when a run ends."""

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
    """Requests by endpoint and status, tokens and retries by endpoint, tokens left today, breaker openings."""
    for (endpoint, status), count in sorted(client.requests.items()):
        tags = {metrics.Tag.ENDPOINT.value: endpoint, metrics.Tag.HTTP_STATUS_CODE.value: status}
        metrics.log(logger, metrics.Point("counter", metrics.Metric.HTTP_REQUEST_COUNT, count, tags))
    for endpoint, tokens in sorted(client.tokens_spent().items()):
        _log(logger, "counter", TapMetric.TOKEN_COST, tokens, {metrics.Tag.ENDPOINT.value: endpoint})
    for endpoint, count in sorted(client.retries.items()):
        _log(logger, "counter", TapMetric.RETRIES, count, {metrics.Tag.ENDPOINT.value: endpoint})
    if client.limits.ledger.left_told is not None:
        _log(logger, "gauge", TapMetric.TOKENS_LEFT, client.limits.ledger.left_told, {})
    if client.limits.breaker_openings:
        _log(logger, "counter", TapMetric.BREAKER_OPEN, client.limits.breaker_openings, {})


def log_rejects(logger: Logger, rejected: Counter[str]) -> None:
    """Rows with values that do not fit, by stream."""
    for stream, count in sorted(rejected.items()):
        _log(logger, "counter", TapMetric.REJECTED_ROWS, count, {metrics.Tag.STREAM.value: stream})


def _log(
    logger: Logger, kind: Literal["counter", "gauge"], metric: TapMetric, value: int, tags: dict[str, str]
) -> None:
    metrics.log(logger, metrics.Point(kind, metric, value, tags))  # type: ignore[arg-type]  # an own name
