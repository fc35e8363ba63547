"""Retries: which failures may pass, how long to wait, and when to give up."""

import logging
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

import requests
import tenacity
import urllib3

from tap_pipedrive import bounds
from tap_pipedrive.errors import TryAgain, Unavailable

ATTEMPTS = 5
CONNECT_SECONDS, READ_SECONDS = TIMEOUTS = 10, 60
LONGEST_WAIT_SECONDS = 60
"""A longer `Retry-After` belongs to the daily budget, and is not waited for."""

MOST_SECONDS = 366 * 86_400
"""A header with more makes no sense."""

HEAVY_STATUSES = {408, 500, 502, 503, 504, 520, 524}
"""What a server or gateway answers when a page takes too long or too much memory, among other reasons."""

RETRIED_STATUSES = HEAVY_STATUSES | {521, 522, 523}

T = TypeVar("T")

logger = logging.getLogger("tap-pipedrive")


def seconds_to_wait(headers: Mapping[str, str]) -> float | None:
    """Return the seconds to wait by `Retry-After`, which is a number or a moment by the server's clock."""
    header = headers.get("Retry-After")
    until, now = clock(header), clock(headers.get("Date"))
    return (until - now).total_seconds() if until and now else seconds_of(header)


def seconds_of(header: str | None) -> float | None:
    """Return a header's number of seconds; None if it is no number, or one of years."""
    try:
        seconds = float(header or "nan")
    except ValueError:
        return None
    return seconds if abs(seconds) <= MOST_SECONDS else None


def without_url(error: requests.RequestException) -> str:
    """Return what happened, without the request, whose text could hold secrets."""
    if _is_late(error):
        return f"no complete answer within {bounds.EXCHANGE_SECONDS:g} s"
    kinds = {
        requests.exceptions.ConnectTimeout: f"no connection within {CONNECT_SECONDS} s",
        requests.exceptions.Timeout: f"no answer within {READ_SECONDS} s",
        requests.exceptions.SSLError: "a broken TLS connection",
        requests.exceptions.ProxyError: "a proxy that does not answer",
        requests.exceptions.ChunkedEncodingError: "an answer cut off in the middle",
        requests.exceptions.ContentDecodingError: "an answer that cannot be unpacked",
        requests.exceptions.ConnectionError: "a connection that broke off"
        if is_heavy(error)
        else "no connection",
    }
    return next((text for kind, text in kinds.items() if isinstance(error, kind)), type(error).__name__)


def _is_late(error: BaseException | None) -> bool:
    """Return whether the deadline of the exchange is the cause."""
    while error and not isinstance(error, bounds.Late):
        error = error.__cause__ or error.__context__
    return error is not None


def is_heavy(error: requests.RequestException) -> bool:
    """Return whether an answer began or was waited for, so that fewer rows may get one."""
    cause = error.args[0] if error.args else None
    broken = isinstance(cause, urllib3.exceptions.ProtocolError | urllib3.exceptions.ReadTimeoutError)
    return broken or isinstance(error, requests.exceptions.ReadTimeout)


def retrying(request: str, url: str, call: Callable[[], T]) -> T:
    """Return what a call returns; it is called again when it raises TryAgain. Raises Unavailable at the end."""
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
            "then run again; the next run continues where this one stopped.",
            is_of_content=problem.is_of_content,
        ) from None


def _wait(attempt: tenacity.RetryCallState) -> float:
    """Return the seconds that the server asks for, else an exponential wait with jitter."""
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
    """Return the moment in a header; None if it is no moment."""
    try:
        return parsedate_to_datetime(date).astimezone(UTC) if date else None
    except (ValueError, OverflowError):
        return None
