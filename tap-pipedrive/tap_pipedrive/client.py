"""HTTP: authentication, the burst window, retries, and errors in words.

One `Client` serves all streams of a run. It knows URLs and status codes, no entities.
"""

import itertools
import json
import logging
import math
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any, Protocol, TypeVar
from urllib.parse import quote, urlsplit

import msgspec
import requests
import tenacity

from tap_pipedrive.errors import (
    Blocked,
    BudgetSpent,
    NotAllowed,
    PipedriveError,
    Refused,
    TryAgain,
    Unauthorized,
    Unavailable,
)
from tap_pipedrive.limits import Limits
from tap_pipedrive.prices import TOKEN_PRICES
from tap_pipedrive.values import MAX_MAGNITUDE

ATTEMPTS = 5
CONNECT_SECONDS, READ_SECONDS = TIMEOUTS = 10, 60
LONGEST_WAIT_SECONDS = 60
"""A `Retry-After` beyond this is the daily budget's: nobody sleeps for hours."""

RETRIED_STATUSES = {408, 500, 502, 503, 504, 520, 521, 522, 523, 524}


def _decimal(text: str) -> Decimal | str:
    """A number with all its digits; one that nothing can store stays text, and fits no column of numbers."""
    try:
        number = Decimal(text)
    except ArithmeticError:
        return text
    return number if len(text) <= MAX_MAGNITUDE and abs(number.adjusted()) <= MAX_MAGNITUDE else text


def _integer(text: str) -> int | str:
    """The same for a whole number; Python refuses to read thousands of digits."""
    return int(text) if len(text) <= MAX_MAGNITUDE else text


class _Envelope(msgspec.Struct):
    """What every answer has around its data."""

    data: msgspec.Raw = msgspec.Raw(b"")
    additional_data: Any = None
    success: Any = None
    error: Any = None
    error_info: Any = None


_open = msgspec.json.Decoder(_Envelope, float_hook=_decimal).decode
_decode = msgspec.json.Decoder(float_hook=_decimal).decode
_encode = msgspec.json.Encoder(decimal_format="number").encode
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")

T = TypeVar("T")

logger = logging.getLogger("tap-pipedrive")


@dataclass(frozen=True, slots=True)
class Answer:
    """A good answer. Its data are decoded where they are needed: a page that waits its turn stays small."""

    raw: bytes | msgspec.Raw
    """The data as JSON, known to be well-formed."""

    additional_data: Any
    """What comes beside the data: where the next page is."""

    served_at: datetime | None
    """The server's clock then; None if it did not say."""

    @property
    def data(self) -> Any:
        """The data, decoded: numbers with all their digits."""
        try:
            return _decode(self.raw)
        except msgspec.DecodeError:  # a whole number of thousands of digits
            return _loads(bytes(self.raw))


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
                return _read(response.content, _clock(response.headers.get("Date")))
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


def _read(content: bytes, served_at: datetime | None) -> Answer:
    """Check a body, and keep its data: numbers with all their digits; what no database can store is replaced."""
    try:
        content.decode()
        envelope = _open(content)
        if rb"\u0000" in content:
            envelope = _open(_repaired(content))
    except msgspec.ValidationError:
        raise TryAgain("a body that is no JSON object") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # lone surrogates, for one
        try:
            envelope = _open(_repaired(content))
        except (ValueError, RecursionError):
            raise TryAgain("a body that is not JSON or cut off") from None
    if envelope.success is False or not bytes(envelope.data):
        text = _text({"error": envelope.error, "error_info": envelope.error_info})
        raise TryAgain(f"an answer without data: {text or 'no error text'}")
    return Answer(envelope.data, envelope.additional_data, served_at)


def _repaired(content: bytes) -> bytes:
    """The same JSON without characters that cannot be stored."""
    return _encode(_storable(_loads(content)))


def _loads(content: bytes) -> Any:
    """What msgspec does not read: lone surrogates, monstrous numbers."""
    return json.loads(content, parse_float=_decimal, parse_int=_integer, parse_constant=str)


def _storable(value: Any) -> Any:
    """NUL characters and lone surrogates (half an emoji, cut off at a length limit) become U+FFFD."""
    if isinstance(value, str):
        return _UNSTORABLE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_storable(item) for item in value]
    if isinstance(value, dict):
        return {_storable(key): _storable(item) for key, item in value.items()}
    return value


def _clock(date: str | None) -> datetime | None:
    try:
        return parsedate_to_datetime(date).astimezone(UTC) if date else None
    except (ValueError, OverflowError):
        return None


def _problem(endpoint: str, response: requests.Response, when_refused: str) -> Exception:
    """What to raise for an answer that is no success."""
    status, headers = response.status_code, response.headers
    try:
        body = _decode(response.content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        body = None
    answered = f"{status} ({_text(body) or response.reason or 'no text'})"
    said = f"GET {endpoint} answered {answered}"
    problem: Exception
    if status == 401:
        problem = Unauthorized(f"{said}: {when_refused}")
    elif status == 429:
        problem = _too_many(answered, said, _text(body), headers)
    elif status == 403 and body is None:
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
        or _seconds(headers.get("x-daily-ratelimit-token-remaining")) == 0
    ):
        when = f"new ones come in {wait / 3600:.1f} hours" if wait else "new ones come tomorrow"
        return BudgetSpent(f"{said}: the company's API tokens for today are used up, {when}.")
    return TryAgain(answered, wait or _seconds(headers.get("x-ratelimit-reset")) or 2)


def _text(body: Any) -> str:
    """Pipedrive's own words for an error."""
    if not isinstance(body, dict):
        return ""
    words = [body.get("error"), body.get("error_info")]
    return "; ".join(" ".join(str(word).split())[:300] for word in words if word)


def seconds_to_wait(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait: `Retry-After` is a number, or a moment by the server's clock."""
    header = headers.get("Retry-After")
    until, now = _clock(header), _clock(headers.get("Date"))
    return (until - now).total_seconds() if until and now else _seconds(header)


def _seconds(header: str | None) -> float | None:
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
