"""HTTP: every kind of answer, bounded retries, the rate limit, and tokens that stay secret."""

from __future__ import annotations

import io
import logging
import time
from datetime import UTC, datetime
from typing import Any

import pytest
import requests
from pipedrive_sandbox.testing import Sandbox
from tap_pipedrive import errors
from tap_pipedrive.auth import ApiToken
from tap_pipedrive.client import Client
from tap_pipedrive.retries import ATTEMPTS
from tap_pipedrive.settings import Settings

from .harness import RESET, Fake, Say, account, discover, fake, request, run, say, select

CONCURRENCY = Settings.model_fields["concurrency"].default
SECRET = "c0ffee5ecret70ken"
GOOD = say({"success": True, "data": [{"id": 1}]})
HTML = b"<html><body>nginx</body></html>"

pytestmark = pytest.mark.usefixtures("sleeps")


def client(url: str) -> Client:
    return Client(ApiToken(url, SECRET))


def ask(server: Fake) -> Any:
    return client(server.url).get(request("/api/v2/deals", {"limit": 500})).data


# Errors that are retried

PASSING = {
    **{
        f"{status} JSON": say({"success": False, "error": "Oops"}, status)
        for status in (408, 500, 502, 503, 504)
    },
    **{f"{status} HTML": Say(status, HTML) for status in (500, 502, 503, 520, 521, 522, 523, 524)},
    "reset": RESET,
    "truncated": Say(body=b'{"success":true,"data":[', claimed_length=500),
    "cut off JSON": Say(body=b'{"success":true,"data":['),
    "HTML": Say(body=HTML),
    "empty": Say(body=b""),
    "null": Say(body=b"null"),
    "a list": Say(body=b"[]"),
    "text": Say(body=b'"ok"'),
    "no UTF-8": Say(body=b'{"success":true,"data":["\xff"]}'),
    "no success": say({"success": False, "error": "Something went wrong", "data": None}),
    "no data": say({"success": True}),
    "nested beyond reason": Say(body=b'{"success":true,"data":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "nested and an error": Say(503, b"[" * 100_000),
    "a lie about its encoding": Say(body=b"no gzip", headers={"Content-Encoding": "gzip"}),
    "429 burst": say({"success": False, "error": "request over limit"}, 429, x_ratelimit_remaining="0"),
    "429 without a word": Say(429, b""),
    "429 HTML": Say(429, HTML),
}


@pytest.mark.parametrize("answer", PASSING.values(), ids=PASSING)
def test_temporary_errors_are_retried(answer: Say | str, sleeps: list[float]) -> None:
    with fake([answer, answer, GOOD]) as server:
        assert ask(server) == [{"id": 1}]
    assert len(server.asked) == 3
    assert len(sleeps) == 2
    assert all(0 <= seconds <= 60 for seconds in sleeps)


@pytest.mark.parametrize("answer", PASSING.values(), ids=PASSING)
def test_lasting_errors_are_one_sentence_after_five_attempts(answer: Say | str, sleeps: list[float]) -> None:
    with fake([answer]) as server, pytest.raises(errors.Unavailable) as caught:
        ask(server)
    assert len(server.asked) == ATTEMPTS == 5
    assert len(sleeps) == 4
    text = str(caught.value)
    assert text.startswith("GET /api/v2/deals failed 5 times, at last with ")
    assert "\n" not in text
    assert server.url in text


def test_a_refused_connection_is_reported(sleeps: list[float]) -> None:
    with fake([GOOD]) as server:
        pass
    with pytest.raises(errors.Unavailable, match="no connection"):
        ask(server)
    assert len(sleeps) == 4


def test_waits_between_retries_grow_and_vary() -> None:
    slept: list[list[float]] = []
    for _ in range(3):
        with pytest.MonkeyPatch.context() as patch, fake([Say(500)]) as server:
            waits: list[float] = []
            patch.setattr(time, "sleep", waits.append)
            with pytest.raises(errors.Unavailable):
                ask(server)
            slept.append(waits)
    assert all(waits[3] > waits[0] for waits in slept)
    assert len({tuple(waits) for waits in slept}) == 3


# Waiting


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("seconds", ["0.5", "1", "2", "60"])
def test_retry_after_is_obeyed_up_to_a_minute(status: int, seconds: str, sleeps: list[float]) -> None:
    with fake([say({}, status, Retry_After=seconds), GOOD]) as server:
        ask(server)
    assert sleeps == [float(seconds)]


@pytest.mark.parametrize("status", [429, 500, 503])
@pytest.mark.parametrize(
    "after", ["soon", "", "-5", "nan", "inf", "-inf", "1e999", "0", "Sun, 22 Nov 2026 01:00:05 GMT", "3600"]
)
def test_no_retry_after_value_causes_a_long_sleep_or_a_crash(
    status: int, after: str, sleeps: list[float]
) -> None:
    with fake([say({}, status, Retry_After=after), GOOD]) as server:
        try:
            ask(server)
        except errors.BudgetSpent:
            assert status == 429
    assert all(0 <= seconds <= 60 for seconds in sleeps)


def test_a_429_of_the_burst_limit_waits_for_the_window(sleeps: list[float]) -> None:
    with fake([say({}, 429, x_ratelimit_reset="2", x_ratelimit_remaining="0"), GOOD]) as server:
        ask(server)
    assert sleeps == [2.0]


DAILY = {
    "its words": say({"success": False, "error": "daily request budget exceeded"}, 429),
    "its words and a wait": say({"error": "daily request budget exceeded"}, 429, Retry_After="3939"),
    "a long wait": say({"error": "?"}, 429, Retry_After="3939"),
    "no tokens left": say({"error": "?"}, 429, x_daily_ratelimit_token_remaining="0"),
}


@pytest.mark.parametrize("answer", DAILY.values(), ids=DAILY)
def test_a_429_of_the_daily_limit_ends_the_run_without_waiting(answer: Say, sleeps: list[float]) -> None:
    with fake([answer]) as server, pytest.raises(errors.BudgetSpent, match="tokens for today are used up"):
        ask(server)
    assert (len(server.asked), sleeps) == (1, [])


# Errors that are not retried

FINAL: dict[str, tuple[Say, type[errors.PipedriveError], str]] = {
    "400": (say({"error": "cursor is not valid"}, 400), errors.Refused, "cursor is not valid"),
    "422": (say({}, 422), errors.Refused, "422"),
    "401": (say({"success": False, "error": "unauthorized access"}, 401), errors.Unauthorized, "API token"),
    "401 HTML": (Say(401, HTML), errors.Unauthorized, "API token"),
    "403 JSON": (say({"error": "Scope and URL mismatch"}, 403), errors.NotAllowed, "Scope and URL mismatch"),
    "403 HTML": (Say(403, HTML), errors.Blocked, "firewall"),
    "403 empty": (Say(403, b""), errors.Blocked, "firewall"),
    **{
        str(status): (say({"error": "No"}, status), errors.NotAllowed, "rights")
        for status in (402, 404, 405, 410, 415)
    },
    **{
        str(status): (Say(status, b""), errors.PipedriveError, str(status))
        for status in (201, 204, 418, 501, 999)
    },
}


@pytest.mark.parametrize(("answer", "error", "words"), FINAL.values(), ids=FINAL)
def test_permanent_errors_are_one_sentence_at_once(
    answer: Say, error: type[Exception], words: str, sleeps: list[float]
) -> None:
    with fake([answer]) as server, pytest.raises(errors.PipedriveError) as caught:
        ask(server)
    assert type(caught.value) is error
    assert (len(server.asked), sleeps) == (1, [])
    assert words in str(caught.value)
    assert "GET /api/v2/deals" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("location", ["https://evil.example/api", "/login", ""])
def test_a_redirect_is_not_followed(status: int, location: str) -> None:
    with fake([Say(status, headers={"Location": location})]) as server:
        with pytest.raises(errors.PipedriveError, match="redirect") as caught:
            ask(server)
        assert len(server.asked) == 1
    if "evil" in location:
        assert "evil.example" in str(caught.value)


@pytest.mark.parametrize("location", ["http://[::1", "//evil.example:99999999/", "\x80\xff"])
def test_a_redirect_to_an_invalid_address_is_reported(location: str) -> None:
    with fake([Say(302, headers={"Location": location})]) as server, pytest.raises(errors.PipedriveError):
        ask(server)


@pytest.mark.parametrize(
    "body",
    [
        b'{"error": {"deep": ["x"]}, "error_info": 5}',
        b'{"error": "a\\nb"}',
        b"[]",
        b"null",
        b"5",
        b'{"error":"' + b"x" * 9_999 + b'"}',
    ],
)
@pytest.mark.parametrize("status", [400, 401, 402, 429])
def test_malformed_error_bodies_are_shortened_to_a_sentence(status: int, body: bytes) -> None:
    with fake([Say(status, body)]) as server, pytest.raises(errors.PipedriveError) as caught:
        ask(server)
    assert len(str(caught.value)) < 1_000
    assert "\n" not in str(caught.value)


# Pipedrive's clock


@pytest.mark.parametrize(
    ("date", "clock"),
    [
        ("Sun, 22 Nov 2026 01:00:00 GMT", datetime(2026, 11, 22, 1, tzinfo=UTC)),
        ("Sun, 22 Nov 2026 01:00:00 +0100", datetime(2026, 11, 22, 0, tzinfo=UTC)),
        ("Sun, 22 Nov 2026 01:00:00 -0000", datetime(2026, 11, 22, 1, tzinfo=UTC)),
        (None, None),
        ("", None),
        ("yesterday", None),
        ("Sun, 99 Nov 2026 01:00:00 GMT", None),
        ("1795309200", None),
        ("Fri, 31 Dec 9999 23:59:59 -0100", None),
    ],
)  # fmt: skip
def test_the_date_header_is_used_as_clock_if_it_is_valid(date: str | None, clock: datetime | None) -> None:
    with fake([Say(date=date)]) as server:
        assert client(server.url).get(request("/api/v2/deals")).served_at == clock


@pytest.mark.parametrize("size", ["", "0", "-1", "many", "20.5", "\xb2", "9" * 5_000])
def test_malformed_rate_limit_headers_do_no_harm(size: str) -> None:
    with fake([say({"data": []}, x_ratelimit_limit=size)]) as server:
        assert ask(server) == []


# Addresses


@pytest.mark.parametrize(
    ("base", "endpoint", "url"),
    [
        ("https://api.pipedrive.com", "/api/v2/deals", "https://api.pipedrive.com/api/v2/deals?limit=1"),
        ("https://api.pipedrive.com", "/api/v1/notes", "https://api.pipedrive.com/v1/notes?limit=1"),
        ("https://API.pipedrive.com", "/api/v1/notes", "https://api.pipedrive.com/v1/notes?limit=1"),
        ("https://acme.pipedrive.com", "/api/v1/notes", "https://acme.pipedrive.com/api/v1/notes?limit=1"),
        ("https://acme.pipedrive.com", "/api/v2/deals", "https://acme.pipedrive.com/api/v2/deals?limit=1"),
    ],
)
def test_v1_has_another_address_on_the_shared_host(
    base: str, endpoint: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[requests.PreparedRequest] = []

    def send(_self: Any, request: requests.PreparedRequest, **_: Any) -> requests.Response:
        seen.append(request)
        response = requests.Response()
        response.status_code, response.raw = 200, io.BytesIO(b'{"data": []}')
        return response

    monkeypatch.setattr(requests.Session, "send", send)
    client(base).get(request(endpoint, {"limit": 1}))
    assert [request.url and request.url.replace("API.", "api.") for request in seen] == [url]
    assert seen[0].headers["x-api-token"] == SECRET


# Secrecy of the token


@pytest.mark.parametrize(
    "answer", [*PASSING.values(), *DAILY.values(), *(final[0] for final in FINAL.values())]
)
def test_the_token_is_sent_in_the_header_only(answer: Say | str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    text = ""
    with fake([answer]) as server:
        try:
            ask(server)
        except errors.PipedriveError as error:
            text, problem = str(error), error
            while problem := problem.__cause__ or problem.__context__:  # type: ignore[assignment]
                text += f"{problem!r}"
    assert {asked.headers["x-api-token"] for asked in server.asked} == {SECRET}
    assert not any(SECRET in asked.line for asked in server.asked)
    assert SECRET not in text
    assert all(SECRET not in record.getMessage() for record in caplog.records)
    assert any(record.name.startswith("urllib3") for record in caplog.records), (
        "DEBUG lines have to be captured"
    )


@pytest.mark.parametrize(
    "spoilt", [None, RESET, Say(401, b'{"error":"unauthorized access"}'), Say(500, HTML)]
)
def test_a_whole_run_logs_no_token(spoilt: Say | str | None, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    script = account(
        {"/api/v2/deals": [{"id": 1}]}, spoil=lambda asked: spoilt if "deals" in asked.path else None
    )
    with fake(script) as server:
        done = run(server.url, token=SECRET)
    assert server.asked
    assert SECRET not in caplog.text
    assert SECRET not in repr(done.error)
    assert SECRET not in repr(done.messages)
    assert not any(SECRET in asked.line for asked in server.asked)


# Runs


def test_one_fault_of_each_kind_changes_no_row(living: Sandbox) -> None:
    catalog = select(discover(living.url), "deals", "persons", "notes", "leads", "users")
    plain = run(living.url, catalog=catalog).good()
    for number, kind in enumerate(["reset", "truncate", "html", "null", "empty", "burst429", "status"]):
        living.post("/sandbox/faults", {"kind": kind, "path": "/api/", "at": [2 + 2 * number]})
    spoilt = run(living.url, catalog=catalog).good()
    for stream in ("deals", "persons", "notes", "leads", "users"):
        assert spoilt.records(stream) == plain.records(stream)
    assert len([fault for fault in living.get("/sandbox/faults") if fault["hits"]]) == 7


@pytest.mark.parametrize("status", [402, 403, 404, 410, 415])
def test_a_stream_without_permission_ends_empty_with_a_warning(
    living: Sandbox, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    script = account(
        {"/api/v1/users": [{"id": 1}]},
        spoil=lambda asked: say({"error": "No"}, status) if "leads" in asked.path else None,
    )
    with fake(script) as server:
        done = run(server.url).good()
    assert (done.records("leads"), len(done.records("users"))) == ([], 1)
    warnings = [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]
    assert any(f"answered {status}" in text and "leads" in text for text in warnings)


def test_a_refusal_of_all_streams_is_an_error() -> None:
    with fake([say({"error": "No"}, 403)]) as server:
        done = run(server.url)
    assert isinstance(done.error, errors.PipedriveError)


@pytest.mark.parametrize("streams", [("deals", "notes"), ("users",)])
def test_a_spent_daily_budget_ends_the_run_cleanly(
    living: Sandbox, streams: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    catalog = select(discover(living.url), *streams)
    living.post("/sandbox/faults", {"kind": "daily429", "path": "/deals|/users"})
    done = run(living.url, catalog=catalog).good()
    assert not done.records(streams[0])
    said = [one.getMessage() for one in caplog.records if "used up" in one.getMessage()]
    assert len(said) == 1
    for stream in streams:  # requests in flight are paid for, so their rows are kept
        assert stream in said[0] or len(done.records(stream)) == len(living.truth(stream))
    assert sum(seen["status"] == 429 for seen in living.requests("/")) <= CONCURRENCY


def test_a_block_by_the_firewall_ends_the_run() -> None:
    script = account({}, spoil=lambda asked: Say(403, HTML) if "persons" in asked.path else None)
    with fake(script) as server:
        done = run(server.url)
    assert isinstance(done.error, errors.Blocked)
    after = [asked.path for asked in server.asked].index("/api/v2/persons")
    assert len(server.asked[after:]) <= 2 * CONCURRENCY, (
        "requests in flight, and those sent before the block was known"
    )


def test_metrics_count_requests_and_tokens_as_the_server_does(living: Sandbox) -> None:
    living.post("/sandbox/faults", {"kind": "status", "path": "/deals", "at": [1]})
    done = run(living.url).good()
    assert done.tap
    stats = living.stats()
    counted: dict[str, int] = {}
    for (endpoint, _), number in done.tap.run.client.requests.items():
        counted[f"GET {endpoint}"] = counted.get(f"GET {endpoint}", 0) + number
    assert counted == {name: line["requests"] for name, line in stats["endpoints"].items()}
