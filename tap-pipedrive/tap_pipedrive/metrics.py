"""What the tap counts beside the SDK's own metrics: METRIC log lines, made when a run ends."""

from collections import Counter
from enum import Enum
from logging import Logger

from singer_sdk import metrics

from tap_pipedrive.client import Client


class TapMetric(str, Enum):
    """Names of the tap's own metrics."""

    TOKEN_COST = "api_token_cost"  # noqa: S105
    REJECTED_ROWS = "rejected_rows"


def log_requests(logger: Logger, client: Client) -> None:
    """Requests by endpoint and status, and API tokens by endpoint."""
    for (endpoint, status), count in sorted(client.requests.items()):
        tags = {metrics.Tag.ENDPOINT.value: endpoint, metrics.Tag.HTTP_STATUS_CODE.value: status}
        metrics.log(logger, metrics.Point("counter", metrics.Metric.HTTP_REQUEST_COUNT, count, tags))
    for endpoint, tokens in sorted(client.tokens_spent().items()):
        tags = {metrics.Tag.ENDPOINT.value: endpoint}
        metrics.log(logger, metrics.Point("counter", TapMetric.TOKEN_COST, tokens, tags))  # type: ignore[arg-type]


def log_rejects(logger: Logger, rejected: Counter[str]) -> None:
    """Rows with values that do not fit, by stream."""
    for stream, count in sorted(rejected.items()):
        tags = {metrics.Tag.STREAM.value: stream}
        metrics.log(logger, metrics.Point("counter", TapMetric.REJECTED_ROWS, count, tags))  # type: ignore[arg-type]
