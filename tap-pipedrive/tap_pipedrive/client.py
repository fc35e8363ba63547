"""HTTP: one `Client` serves all streams of a run. It knows URLs and status codes, no entities."""

import itertools
import re
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

import requests

from tap_pipedrive.answers import Answer, error_text, read
from tap_pipedrive.errors import (
    Blocked,
    BudgetSpent,
    NotAllowed,
    PipedriveError,
    Refused,
    TryAgain,
    Unauthorized,
)
from tap_pipedrive.limits import Limits
from tap_pipedrive.prices import TOKEN_PRICES
from tap_pipedrive.retries import (
    LONGEST_WAIT_SECONDS,
    RETRIED_STATUSES,
    TIMEOUTS,
    clock,
    retrying,
    seconds_of,
    seconds_to_wait,
    without_url,
)


@dataclass(frozen=True, slots=True)
class Access:
    """Where the API answers, and the header that lets a request in: an `auth` of requests.

    As an `auth`, since a `~/.netrc` would overrule a header.
    """

    url: str
    header: str
    value: str = field(repr=False)

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Let a request in."""
        request.headers[self.header] = self.value
        return request


class Auth(Protocol):
    """A way in; safe to share between threads."""

    when_refused: str
    """What to tell the user after a 401."""

    def access(self) -> Access:
        """What is good now."""

    def renewed(self, refused: Access) -> Access | None:
        """Another access after a 401, or None where there is no other."""


class Client:
    """Pipedrive's API for one account. Raises the errors of `errors.py`; safe to share between threads."""

    def __init__(self, auth: Auth, limits: Limits | None = None) -> None:
        self._auth = auth
        self.limits = limits or Limits()
        self.requests: Counter[tuple[str, int]] = Counter()
        """Requests sent, by endpoint and status (0: no answer)."""
        self.retries: Counter[str] = Counter()
        """Requests that were tried again, by endpoint."""
        self._over: PipedriveError | None = None
        self._lock = threading.Lock()
        self._sessions = threading.local()  # requests' sessions are not made for sharing between threads

    def tokens_spent(self) -> dict[str, int]:
        """API tokens spent so far, by endpoint."""
        spent: Counter[str] = Counter()
        with self._lock:
            sent = self.requests.copy()
        for (endpoint, _), count in sent.items():
            spent[endpoint] += count * TOKEN_PRICES[endpoint]
        return dict(spent)

    def get(self, endpoint: str, params: Mapping[str, str | int], **ids: Any) -> Answer:
        """GET an endpoint such as `/api/v1/deals/{id}/changelog`, trying again where that may help.

        `ids` fill the template; prices, counts and messages go by the template.
        """
        tries = itertools.count()

        def attempt() -> Answer:
            if next(tries):
                with self._lock:
                    self.retries[endpoint] += 1
            return self._try(endpoint, params, ids)

        return retrying(f"GET {endpoint}", self._auth.access().url, attempt)

    def _try(self, endpoint: str, params: Mapping[str, str | int], ids: Mapping[str, Any]) -> Answer:
        try:
            access = self._auth.access()
            try:
                return self._ask(access, endpoint, params, ids)
            except Unauthorized:
                if not (other := self._auth.renewed(access)):
                    raise
                return self._ask(other, endpoint, params, ids)
        except (Unauthorized, Blocked, BudgetSpent) as problem:
            self._over = problem  # what other threads would still send makes it worse
            raise

    def _ask(
        self, access: Access, endpoint: str, params: Mapping[str, str | int], ids: Mapping[str, Any]
    ) -> Answer:
        self._check_that_it_goes_on()
        with self.limits.request(endpoint) as exchange:
            self._check_that_it_goes_on()
            response = self._send(access, endpoint, params, ids)
            exchange.answered(response.status_code, response.headers)
            if response.status_code == 200:
                return read(response.content, clock(response.headers.get("Date")))
            problem = _problem(endpoint, response, self._auth.when_refused)
            if isinstance(problem, Blocked | BudgetSpent):
                self._over = problem  # before the limits let another request go
            raise problem

    def _check_that_it_goes_on(self) -> None:
        if self._over:
            raise self._over

    def _send(
        self, access: Access, endpoint: str, params: Mapping[str, str | int], ids: Mapping[str, Any]
    ) -> requests.Response:
        status = 0
        try:
            response = self._session().get(
                _address(access.url, endpoint, ids),
                params=params,
                auth=access,
                timeout=TIMEOUTS,
                allow_redirects=False,  # a redirect would carry the token to another host
            )
            status = response.status_code
        except requests.RequestException as error:
            raise TryAgain(without_url(error)) from None
        except ValueError:  # requests looks at a redirect's target even when it is not to follow it
            raise PipedriveError(
                f"GET {endpoint} answered a redirect to nowhere: set api_url right."
            ) from None
        finally:
            with self._lock:
                self.requests[endpoint, status] += 1
        return response

    def _session(self) -> requests.Session:
        if not hasattr(self._sessions, "session"):
            self._sessions.session = requests.Session()
        session: requests.Session = self._sessions.session
        return session


def _address(url: str, endpoint: str, ids: Mapping[str, Any]) -> str:
    """The shared host api.pipedrive.com knows v1 as `/v1` only; company hosts know `/api/v1`."""
    if urlsplit(url).hostname == "api.pipedrive.com" and endpoint.startswith("/api/v1/"):
        endpoint = endpoint.removeprefix("/api")
    return url + endpoint.format_map({name: quote(str(value), safe="") for name, value in ids.items()})


def _problem(endpoint: str, response: requests.Response, when_refused: str) -> Exception:
    """What to raise for an answer that is no success."""
    status, headers = response.status_code, response.headers
    text = error_text(response.content)
    answered = f"{status} ({text or response.reason or 'no text'})"
    said = f"GET {endpoint} answered {answered}"
    problem: Exception
    if status == 401:
        problem = Unauthorized(f"{said}: {when_refused}")
    elif status == 429:
        problem = _too_many(answered, said, text or "", headers)
    elif status == 403 and text is None:
        problem = Blocked(
            f"{said}, a web page from Pipedrive's firewall: too many requests were sent with this token; "
            "wait some minutes, and look for another tool that uses it."
        )
    elif status in (400, 422):
        problem = Refused(f"{said}: if this goes on, report it with this line.")
    elif status in (402, 403, 404, 405, 410, 415):
        problem = NotAllowed(f"{said}: the plan, its add-ons or the token's rights do not cover it.", status)
    elif status in RETRIED_STATUSES:
        problem = TryAgain(answered, seconds_to_wait(headers))
    elif 300 <= status < 400:
        host = re.match("https?://([A-Za-z0-9.:-]+)", headers.get("Location", ""))
        problem = PipedriveError(
            f"{said}, a redirect to {host[1] if host else 'elsewhere'}: set api_url to the right address."
        )
    else:
        problem = PipedriveError(f"{said}, which the tap does not know: report it with this line.")
    return problem


def _too_many(answered: str, said: str, text: str, headers: Mapping[str, str]) -> Exception:
    """A 429: the burst window's is slept through, the daily budget's is not.

    The two look alike: the daily one says so or asks for a long wait. A burst 429 has no documented body.
    """
    wait = seconds_to_wait(headers)
    if (
        "daily" in text.lower()
        or (wait or 0) > LONGEST_WAIT_SECONDS
        or seconds_of(headers.get("x-daily-ratelimit-token-remaining")) == 0
    ):
        when = f"new ones come in {wait / 3600:.1f} hours" if wait else "new ones come tomorrow"
        return BudgetSpent(f"{said}: the company's API tokens for today are used up, {when}.")
    return TryAgain(answered, wait or seconds_of(headers.get("x-ratelimit-reset")) or 2)
