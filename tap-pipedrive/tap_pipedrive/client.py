"""HTTP: one `Client` sends the requests of all streams of a run. It knows URLs and status codes, no entities."""

import itertools
import logging
import re
import threading
import time
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

import requests

from tap_pipedrive import errors, retries
from tap_pipedrive.answers import Answer, error_text, read
from tap_pipedrive.bounds import body_of, bounded_session
from tap_pipedrive.clocks import RunClock
from tap_pipedrive.errors import (
    Blocked,
    BudgetSpent,
    Down,
    PipedriveError,
    TryAgain,
    Unauthorized,
    Unavailable,
)
from tap_pipedrive.limits import Limits
from tap_pipedrive.retries import (
    TIMEOUTS,
    clock,
    is_heavy,
    retrying,
    seconds_of,
    seconds_to_wait,
    without_url,
)

SMALLEST_PAGE = 25
"""Rows; a smaller page would cost more tokens than it may save."""

DURATION_BOUNDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
"""Seconds; durations of requests are counted between these bounds."""

FAILURES_TO_HALVE = 2
"""How often a page has to fail, as a page that is too large may, before a smaller one is asked for."""

logger = logging.getLogger("tap-pipedrive")


@dataclass(frozen=True, slots=True)
class Access:
    """The API's address and the header with the credentials, as an `auth` of requests. A header of the session
    would not do, as an entry in `~/.netrc` overrides it."""

    url: str
    header: str
    value: str = field(repr=False)

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the credentials to a request."""
        request.headers[self.header] = self.value
        return request


class Auth(Protocol):
    """Credentials; safe to share between threads."""

    when_refused: str
    """What to tell the user after a 401."""

    def access(self) -> Access:
        """Return the access that is valid now."""

    def renewed(self, refused: Access) -> Access | None:
        """Return another access after a 401; None where there is none."""


@dataclass(slots=True)
class PageSize:
    """How many rows the pages of one walk have; it shrinks where larger pages fail, and stays so."""

    rows: int
    _usual: int = 0
    _suspects: int = 0

    def halve(self, endpoint: str) -> None:
        """Halve the pages to come, down to SMALLEST_PAGE."""
        if self.rows // 2 >= SMALLEST_PAGE:
            self.rows //= 2
            logger.warning(
                "GET %s fails with large pages; the next ones have %d rows and cost more tokens.",
                endpoint,
                self.rows,
            )

    def shrink(self) -> bool:
        """Make the pages to come smaller than they are worth, to find a row that fails; return False if they have
        one row."""
        self._usual = self._usual or self.rows
        self._suspects = self.rows
        self.rows = max(self.rows // 5, 1)
        return self._suspects > 1

    def note_good(self) -> None:
        """Note that a page was answered: when none of the rows that failed together is left, go on as before."""
        self._suspects = max(self._suspects - self.rows, 0)
        if self._usual and not self._suspects:
            self.rows, self._usual = self._usual, 0


@dataclass(slots=True)
class Durations:
    """How long requests took, from the first byte sent to the last one read, as a histogram."""

    below: list[int] = field(default_factory=lambda: [0] * len(DURATION_BOUNDS))
    """Requests that took no longer than each of DURATION_BOUNDS."""

    seconds: float = 0.0
    """Their sum."""

    def add(self, seconds: float) -> None:
        """Count one request."""
        self.seconds += seconds
        for position in range(bisect_left(DURATION_BOUNDS, seconds), len(DURATION_BOUNDS)):
            self.below[position] += 1


@dataclass(frozen=True, slots=True)
class Request:
    """A GET request. Counts and messages name its endpoint as it stands here, a template."""

    endpoint: str
    """Such as `/api/v1/deals/{id}/changelog`."""

    params: Mapping[str, str | int]
    ids: Mapping[str, Any]
    """What fills the template."""

    price: int
    """API tokens, which are charged to the stream."""

    stream: str
    page: PageSize | None = None
    """Sent as `limit`; None for what is not read in pages of a chosen size."""

    fault: Callable[[Answer, Mapping[str, str | int]], str | None] | None = None
    """Returns what is wrong with a well-formed answer to these parameters, by the rules of its list."""

    @property
    def query(self) -> Mapping[str, str | int]:
        """All parameters as they are sent now."""
        return {**self.params, "limit": self.page.rows} if self.page else self.params


class Client:
    """Pipedrive's API for one account. Raises the errors of `errors.py`; safe to share between threads."""

    def __init__(self, auth: Auth, limits: Limits | None = None) -> None:
        self._auth = auth
        self.limits = limits or Limits()
        self.clock = RunClock()
        self.requests: Counter[tuple[str, int]] = Counter()
        """Requests sent, by endpoint and status (0: without an answer)."""
        self.retries: Counter[str] = Counter()
        """Requests that were sent again, by endpoint."""
        self.first_served_at: datetime | None = None
        """Pipedrive's clock at the first answer of the run; None before it, or if no answer says it."""
        self.last_served_at: datetime | None = None
        """The same at the latest answer."""
        self._good: dict[str, Request] = {}  # the last request that was answered, by endpoint
        self._good_count = 0
        self._unavailable: set[str] = set()  # endpoints that failed before the first good answer
        self.given_up: Counter[str] = Counter()
        """Requests that failed as often as they are tried, by endpoint."""
        self.cursor_pages: Counter[str] = Counter()
        """Requests for a page that the page before named by a cursor, by endpoint."""
        self.durations: defaultdict[tuple[str, int], Durations] = defaultdict(Durations)
        """How long requests took, by endpoint and status (0: without an answer)."""
        self._fatal: PipedriveError | None = None
        self._lock = threading.Lock()
        self._sessions = threading.local()  # requests' sessions are not made for sharing between threads

    def get(self, request: Request) -> Answer:
        """GET a page, again where that may help, and with fewer rows where that may.

        Raises Unavailable when this endpoint gives no answer, and Down when no other one does either.
        """
        good_before = self._good_count
        try:
            answer = self._get(request)
        except Unavailable as error:
            if self._good_count == good_before:
                self._raise_if_down(request, error)
            raise
        with self._lock:
            self._good[request.endpoint] = request
            self._good_count += 1
        return answer

    def _raise_if_down(self, request: Request, error: Unavailable) -> None:
        """Ask again what costs least of all that has been answered before, by another endpoint."""
        with self._lock:
            others = [good for endpoint, good in self._good.items() if endpoint != request.endpoint]
            self._unavailable.add(request.endpoint)
            is_first = not self._good and len(self._unavailable) == 1
        try:
            if others:
                self._get(min(others, key=lambda good: good.price))
                return
        except Unavailable:
            pass
        except PipedriveError:
            return  # also a refusal is an answer
        if others or not (is_first or self._good):
            self._fatal = Down(str(error))
            raise self._fatal from None

    def _get(self, request: Request) -> Answer:
        tries, heavy_failures = itertools.count(), itertools.count(1)

        def attempt() -> Answer:
            if next(tries):
                with self._lock:
                    self.retries[request.endpoint] += 1
            try:
                return self._try(request)
            except TryAgain as problem:
                if problem.is_heavy and next(heavy_failures) >= FAILURES_TO_HALVE and request.page:
                    request.page.halve(request.endpoint)
                raise

        try:
            return retrying(f"GET {request.endpoint}", self._auth.access().url, attempt)
        except Unavailable:
            with self._lock:
                self.given_up[request.endpoint] += 1
            raise

    def _try(self, request: Request) -> Answer:
        try:
            access = self._auth.access()
            try:
                return self._ask(access, request)
            except Unauthorized:
                if not (other := self._auth.renewed(access)):
                    raise
                return self._ask(other, request)
        except (Unauthorized, Blocked, BudgetSpent) as problem:
            self._fatal = problem  # further requests of other threads would make it worse
            raise

    def _ask(self, access: Access, request: Request) -> Answer:
        self._raise_if_stopped()
        with self.limits.request(request.price, request.stream, request.endpoint) as exchange:
            self._raise_if_stopped()
            response, body = self._send(access, request)
            exchange.answered(response.status_code, response.headers)
            if served_at := clock(response.headers.get("Date")):
                self.first_served_at = self.first_served_at or served_at
                self.last_served_at = served_at
            if response.status_code == 200:
                self.clock.start(served_at)
                answer = read(body, served_at)
                if request.fault and (fault := request.fault(answer, request.query)):
                    raise TryAgain(fault, is_of_content=True)
                return answer
            problem = _problem(request.endpoint, response, body, self._auth.when_refused)
            if isinstance(problem, Blocked | BudgetSpent):
                self._fatal = problem  # before the limits admit another request
            raise problem

    def _raise_if_stopped(self) -> None:
        if self._fatal:
            raise self._fatal

    def _send(self, access: Access, request: Request) -> tuple[requests.Response, bytes]:
        status, started = 0, time.monotonic()
        try:
            response = self._session().get(
                _address(access.url, request.endpoint, request.ids),
                params=request.query,
                auth=access,
                timeout=TIMEOUTS,
                allow_redirects=False,  # a redirect would carry the token to another host
                stream=True,
            )
            body = body_of(response)
            status = response.status_code
        except requests.RequestException as error:
            raise TryAgain(without_url(error), is_heavy=is_heavy(error)) from None
        except ValueError:  # requests parses the target of a redirect even if it does not follow it
            raise PipedriveError(
                f"GET {request.endpoint} answered a redirect to nowhere: correct api_url."
            ) from None
        finally:
            with self._lock:
                self.requests[request.endpoint, status] += 1
                self.durations[request.endpoint, status].add(time.monotonic() - started)
                self.cursor_pages[request.endpoint] += "cursor" in request.params
        return response, body

    def _session(self) -> requests.Session:
        if not hasattr(self._sessions, "session"):
            self._sessions.session = bounded_session()
        session: requests.Session = self._sessions.session
        return session


def _address(url: str, endpoint: str, ids: Mapping[str, Any]) -> str:
    """Return the URL. The shared host api.pipedrive.com has v1 under `/v1` only, company hosts under `/api/v1`."""
    if urlsplit(url).hostname == "api.pipedrive.com" and endpoint.startswith("/api/v1/"):
        endpoint = endpoint.removeprefix("/api")
    return url + endpoint.format_map({name: quote(str(value), safe="") for name, value in ids.items()})


def _problem(endpoint: str, response: requests.Response, body: bytes, when_refused: str) -> Exception:
    """Return the error to raise for an answer that is no success."""
    status, headers = response.status_code, response.headers
    text = error_text(body)
    answered = f"{status} ({text or response.reason or 'no text'})"
    said = f"GET {endpoint} answered {answered}"
    problem: Exception
    if status == 401:
        problem = Unauthorized(f"{said}: {when_refused}")
    elif status == 429:
        problem = _too_many(answered, said, text or "", headers)
    elif status == 403 and text is None:
        problem = Blocked(
            f"{said} without JSON, as the firewall in front of Pipedrive does when too many requests were sent "
            "with one token: wait some minutes, and look for another tool that uses it."
        )
    elif status in (400, 422):
        problem = errors.Refused(f"{said}: if this goes on, report it with this line.")
    elif status in (402, 403, 404, 405, 410, 415):
        problem = errors.NotAllowed(said, status)
    elif status in retries.RETRIED_STATUSES:
        problem = TryAgain(answered, seconds_to_wait(headers), is_heavy=status in retries.HEAVY_STATUSES)
    elif 300 <= status < 400:
        host = re.match("https?://([A-Za-z0-9.:-]+)", headers.get("Location", ""))
        problem = PipedriveError(
            f"{said}, a redirect to {host[1] if host else 'elsewhere'}: set api_url to the right address."
        )
    else:
        problem = PipedriveError(f"{said}, which the tap does not know: report it with this line.")
    return problem


def _too_many(answered: str, said: str, text: str, headers: Mapping[str, str]) -> Exception:
    """Return the error for a 429: one of the burst window is waited for, one of the daily budget ends the run.
    The two look alike: the daily one says so or asks for a long wait. A burst 429 has no documented body."""
    wait = seconds_to_wait(headers)
    if (
        "daily" in text.lower()
        or (wait or 0) > retries.LONGEST_WAIT_SECONDS
        or seconds_of(headers.get("x-daily-ratelimit-token-remaining")) == 0
    ):
        when = f"new ones come in {wait / 3600:.1f} hours" if wait else "new ones come tomorrow"
        return BudgetSpent(f"{said}: the company's API tokens for today are used up, {when}.")
    return TryAgain(answered, wait or seconds_of(headers.get("x-ratelimit-reset")) or 2)
