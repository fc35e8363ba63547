"""Trying again: which troubles may pass, how long to wait, and when to give up."""

import logging
import math
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

import requests
import tenacity

from tap_pipedrive.errors import TryAgain, Unavailable

ATTEMPTS = 5
CONNECT_SECONDS, READ_SECONDS = TIMEOUTS = 10, 60
LONGEST_WAIT_SECONDS = 60
"""A `Retry-After` beyond this is the daily budget's: nobody sleeps for hours."""

RETRIED_STATUSES = {408, 500, 502, 503, 504, 520, 521, 522, 523, 524}

T = TypeVar("T")

logger = logging.getLogger("tap-pipedrive")


def seconds_to_wait(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait: `Retry-After` is a number, or a moment by the server's clock."""
    header = headers.get("Retry-After")
    until, now = clock(header), clock(headers.get("Date"))
    return (until - now).total_seconds() if until and now else seconds_of(header)


def seconds_of(header: str | None) -> float | None:
    """A header's number of seconds, if it is one."""
    try:
        seconds = float(header or "nan")
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) else None


def without_url(error: requests.RequestException) -> str:
    """What happened, without the request: its text could hold what nobody should read in a log."""
    kinds = {
        requests.exceptions.ConnectTimeout: f"no connection within {CONNECT_SECONDS} s",
        requests.exceptions.Timeout: f"no answer within {READ_SECONDS} s",
        requests.exceptions.SSLError: "a broken TLS connection",
        requests.exceptions.ProxyError: "a proxy that does not answer",
        requests.exceptions.ChunkedEncodingError: "an answer cut off in the middle",
        requests.exceptions.ContentDecodingError: "an answer that cannot be unpacked",
        requests.exceptions.ConnectionError: "no connection",
    }
    return next((text for kind, text in kinds.items() if isinstance(error, kind)), type(error).__name__)


def retrying(request: str, url: str, call: Callable[[], T]) -> T:
    """What a call returns, tried again when it raises TryAgain. Raises Unavailable after the last try."""
    tries = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(TryAgain),
        stop=tenacity.stop_after_attempt(ATTEMPTS),
        wait=_wait,
        before_sleep=lambda attempt: _log_retry(request, attempt),
        sleep=time.sleep,
        reraise=True,
    )
    try:
        return tries(call)
    except TryAgain as problem:
        raise Unavailable(
            f"{request} failed {ATTEMPTS} times, at last with {problem}: check {url} and Pipedrive's status page, "
            "then run again; the next run goes on where this one stopped."
        ) from None


def _wait(attempt: tenacity.RetryCallState) -> float:
    """What the server asks for, else longer and longer with jitter."""
    problem = attempt.outcome.exception() if attempt.outcome else None
    asked = problem.wait if isinstance(problem, TryAgain) else None
    if asked is not None:
        return min(max(asked, 0.1), LONGEST_WAIT_SECONDS)
    return tenacity.wait_exponential_jitter(multiplier=0.5, max=30)(attempt)


def _log_retry(request: str, attempt: tenacity.RetryCallState) -> None:
    problem = attempt.outcome.exception() if attempt.outcome else None
    wait = attempt.next_action.sleep if attempt.next_action else 0
    logger.warning("%s: %s; trying again in %.1f s", request, problem, wait)


def clock(date: str | None) -> datetime | None:
    """A header's moment, if it is one."""
    try:
        return parsedate_to_datetime(date).astimezone(UTC) if date else None
    except (ValueError, OverflowError):
        return None
