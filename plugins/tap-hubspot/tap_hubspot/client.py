"""HTTP: one `Client` serves all streams of a run. It knows addresses and status codes, but not objects."""

import itertools
import json
import logging
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import requests
import tenacity
import urllib3

from tap_hubspot import bounds
from tap_hubspot.auth import Auth
from tap_hubspot.bounds import body_of, bounded_session
from tap_hubspot.errors import Forbidden, HubspotError, NotFound, Refused, TryAgain, Unreadable

ATTEMPTS = 6
TIMEOUTS = 10, 60
"""Seconds to connect, and seconds without a byte."""
LONGEST_WAIT_SECONDS = 60

HEAVY_STATUSES = {408, 477, 500, 502, 503, 504, 520, 524}
"""Statuses with which a server may answer if a page takes too long."""

SMALLEST_PAGE, FAILURES_TO_HALVE = 10, 2
"""The smallest page size, and how often a page has to fail before its size is halved."""

MOST_VALUES = 2**21
"""The most objects and lists in an answer; 64 MB of empty ones would take 1.5 GB of memory."""

SEARCH_SECONDS = 0.25
"""Seconds between two searches: HubSpot allows an account five in a second, whoever asks.

https://developers.hubspot.com/docs/api-reference/2026-03/crm/search-the-crm, "Rate limits"
"""

WAITS = {"SECONDLY": 1.0, "TEN_SECONDLY_ROLLING": 10.0}
"""Seconds after which a limit lets requests in again, by the `policyName` of its 429.

https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines
"""

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")

logger = logging.getLogger("tap-hubspot")


class Client:
    """HubSpot's API for one account.

    Raises Unreadable for a request that is refused or remains unanswered, and HubspotError for problems of
    all requests.
    """

    def __init__(self, url: str, auth: Auth) -> None:
        self._url = url.rstrip("/")
        self._auth = auth
        self._session = bounded_session()
        self._sizes: dict[str, int] = {}  # page size by path, if larger pages fail
        self._last_search = 0.0
        self.requests: Counter[str] = Counter()
        """Requests sent, by path."""

    def get(self, path: str, params: Mapping[str, str | int]) -> dict[str, Any]:
        """GET a path such as `/crm/v3/owners`, and return the JSON object of the answer."""
        most = params.get("limit")
        return self._retrying(
            "GET",
            path,
            lambda size: {"params": {**params, "limit": size} if most else params},
            most if isinstance(most, int) else 0,
        )

    def post(self, path: str, body: Mapping[str, Any], **params: str) -> dict[str, Any]:
        """POST a JSON body to a path that only reads, and return the JSON object of the answer."""
        most = body.get("limit")
        return self._retrying(
            "POST",
            path,
            lambda size: {"json": {**body, "limit": size} if most else body, "params": params},
            most if isinstance(most, int) else 0,
        )

    def post_some(
        self, path: str, inputs: Sequence[Any], body: Mapping[str, Any], **params: str
    ) -> tuple[dict[str, Any], int]:
        """POST as many of the inputs as the server accepts; return its answer, and their number."""
        answer = self._retrying(
            "POST",
            path,
            lambda size: {"json": {**body, "inputs": list(inputs[:size])}, "params": params},
            len(inputs),
        )
        return answer, min(len(inputs), self._sizes.get(path, len(inputs)))

    def _retrying(
        self, method: str, path: str, content: Callable[[int], Mapping[str, Any]], most: int
    ) -> dict[str, Any]:
        """Send until there is a good answer; `content` returns the request for a page size of at most `most`."""
        heavy_failures = itertools.count(1)

        def attempt() -> dict[str, Any]:
            size = min(most, self._sizes.get(path, most))
            try:
                return self._try(method, path, content(size))
            except TryAgain as problem:
                is_often = problem.is_heavy and next(heavy_failures) >= FAILURES_TO_HALVE
                if is_often and (half := size // 2) >= SMALLEST_PAGE:
                    self._sizes[path] = half
                    logger.warning(
                        "%s %s fails with large pages; the next have %d records.", method, path, half
                    )
                raise

        tries = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(TryAgain),
            stop=tenacity.stop_after_attempt(ATTEMPTS),
            wait=_wait,
            before_sleep=lambda attempt: _log_retry(f"{method} {path}", attempt),
            reraise=True,
        )
        try:
            return tries(attempt)
        except TryAgain as problem:
            raise Unreadable(
                f"{method} {path} failed {ATTEMPTS} times, at last with {problem}: look at HubSpot's status page, "
                "then run again."
            ) from None

    def _try(self, method: str, path: str, content: Mapping[str, Any]) -> dict[str, Any]:
        response, body = self._send(method, path, content)
        if response.status_code == 401 and self._auth.renew():
            response, body = self._send(method, path, content)
        return self._read(f"{method} {path}", response, body)

    def _send(self, method: str, path: str, content: Mapping[str, Any]) -> tuple[requests.Response, bytes]:
        if path.endswith("/search"):
            time.sleep(max(0.0, self._last_search + SEARCH_SECONDS - time.monotonic()))
            self._last_search = time.monotonic()
        self.requests[path] += 1
        try:
            response = self._session.request(
                method,
                self._url + path,
                auth=self._auth,
                timeout=TIMEOUTS,
                allow_redirects=False,  # following a redirect would send the token to another host
                stream=True,
                **content,
            )
            return response, body_of(response)
        except ValueError:  # requests parses also the target of a redirect that it does not follow
            raise HubspotError(
                f"{method} {path} has no address to go to, or a redirect to none: set api_url right, "
                "and a proxy of the environment, too."
            ) from None
        except requests.RequestException as error:
            raise TryAgain(_without_address(error), is_heavy=_is_heavy(error)) from None

    def _read(self, asked: str, response: requests.Response, content: bytes) -> dict[str, Any]:
        if content.count(b"{") + content.count(b"[") > MOST_VALUES:
            raise TryAgain(f"an answer of more than {MOST_VALUES:,} objects and lists", is_heavy=True)
        try:
            body = _storable(json.loads(content))
        except (ValueError, RecursionError):
            body = None
        if response.status_code in (200, 207):  # 207: some inputs of a batch failed
            if not isinstance(body, dict):
                raise TryAgain("an answer that is not a JSON object", is_heavy=True)
            return body
        raise self._problem(asked, response, body if isinstance(body, dict) else {})

    def _problem(self, asked: str, response: requests.Response, body: Mapping[str, Any]) -> Exception:
        """Return the error for an unsuccessful answer."""
        status = response.status_code
        words = " ".join(str(body.get("message") or response.reason or "no text").split())
        answered = f"{status} ({self._auth.masked(words)[:300]})"
        said = f"{asked} answered {answered}"
        is_of_today = body.get("policyName") == "DAILY"
        if status in (408, 423, 429, 477) or status >= 500:
            if status != 429 or not is_of_today:
                wait = _seconds(response) or WAITS.get(str(body.get("policyName")))
                return TryAgain(answered, wait, is_heavy=status in HEAVY_STATUSES)
            problem: Exception = HubspotError(
                f"{said}: the account's requests of today are used up; new ones come at midnight of its time zone."
            )
        elif status == 401:
            problem = HubspotError(f"{said}: {self._auth.when_refused}")
        elif status == 403:
            scopes = _scopes(body)
            problem = Forbidden(
                f"{said}: grant the token "
                f"{'the scope ' + ' or '.join(scopes) if scopes else 'the scopes that the README lists'}, "
                "or deselect what needs it."
            )
        elif 300 <= status < 400:
            problem = HubspotError(f"{said}, a redirect: set api_url to the right address.")
        else:
            kind = NotFound if status == 404 and body.get("category") == "OBJECT_NOT_FOUND" else Refused
            problem = kind(f"{said}: if this goes on, report it with this line.")
        return problem


def _storable(value: Any) -> Any:
    """Return a JSON value with texts that Postgres can store: NUL and unpaired surrogates become U+FFFD."""
    if isinstance(value, str):
        return _UNSTORABLE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_storable(each) for each in value]
    if isinstance(value, dict):
        return {_storable(name): _storable(each) for name, each in value.items()}
    return value


def _scopes(body: Mapping[str, Any]) -> list[str]:
    """Return the scopes of which one is missing, from a 403 of the category MISSING_SCOPES."""
    found: dict[str, None] = {}
    for error in body.get("errors") or ():
        context = error.get("context") if isinstance(error, dict) else None
        for key in ("requiredGranularScopes", "requiredScopes"):
            names = context.get(key) if isinstance(context, dict) else None
            found |= dict.fromkeys(map(str, names if isinstance(names, list) else ()))
    return list(found)


def _seconds(response: requests.Response) -> float | None:
    """Return the seconds in `Retry-After`."""
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isdecimal() else None


def _without_address(error: requests.RequestException) -> str:
    """Describe what happened without the request, whose text could contain secrets or personal data."""
    if _is_late(error):
        return f"no complete answer within {bounds.EXCHANGE_SECONDS:g} s"
    kinds = {
        requests.exceptions.ConnectTimeout: f"no connection within {TIMEOUTS[0]} s",
        requests.exceptions.Timeout: f"no answer within {TIMEOUTS[1]} s",
        requests.exceptions.SSLError: "a broken TLS connection",
        requests.exceptions.ProxyError: "a proxy that does not answer",
        requests.exceptions.ChunkedEncodingError: "an answer cut off in the middle",
        requests.exceptions.ContentDecodingError: "an answer that cannot be unpacked",
        requests.exceptions.ConnectionError: "a connection that broke off"
        if _is_heavy(error)
        else "no connection",
    }
    return next((text for kind, text in kinds.items() if isinstance(error, kind)), type(error).__name__)


def _is_late(error: BaseException | None) -> bool:
    """Return whether the deadline of the exchange is the cause."""
    while error and not isinstance(error, bounds.Late):
        error = error.__cause__ or error.__context__
    return error is not None


def _is_heavy(error: requests.RequestException) -> bool:
    """Return whether an answer began or was waited for, so that fewer records may get one."""
    cause = error.args[0] if error.args else None
    broken = isinstance(cause, urllib3.exceptions.ProtocolError | urllib3.exceptions.ReadTimeoutError)
    return broken or isinstance(error, requests.exceptions.ReadTimeout)


def _wait(attempt: tenacity.RetryCallState) -> float:
    """Return the seconds that the server asks for, or otherwise an increasing time with jitter."""
    problem = attempt.outcome.exception() if attempt.outcome else None
    asked = problem.wait if isinstance(problem, TryAgain) else None
    if asked is not None:
        return min(asked, LONGEST_WAIT_SECONDS)
    return tenacity.wait_exponential_jitter(multiplier=0.5, max=30)(attempt)


def _log_retry(request: str, attempt: tenacity.RetryCallState) -> None:
    problem = attempt.outcome.exception() if attempt.outcome else None
    wait = attempt.next_action.sleep if attempt.next_action else 0
    logger.warning("%s: %s; trying again in %.1f s", request, problem, wait)
