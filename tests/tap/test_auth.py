# Over 400 lines: one server that grants and withdraws tokens serves all tests of authentication.
"""Authentication: settings, access tokens that expire, misbehaving servers, and the account that a token
belongs to.
"""

from __future__ import annotations

import io
import logging
import threading
import time
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from pipedrive_sandbox.server.oauth import App
from pipedrive_sandbox.testing import Sandbox
from pydantic import ValidationError
from tap_pipedrive import errors
from tap_pipedrive.auth import ApiToken, OAuth, auth_of, read_owner
from tap_pipedrive.client import Client
from tap_pipedrive.settings import Settings, sentences

from .harness import RESET, TOKEN, Asked, Fake, Run, Say, account, discover, fake, request, run, say, select

CLIENT, SECRET, REFRESH, ACCESS = "cl13nt", "c0ffee5ecret", "r3fre5htoken", "acce55token"
BASIC = b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
APP: dict[str, Any] = {"client_id": CLIENT, "client_secret": SECRET, "refresh_token": REFRESH}
SANDBOX_APP: dict[str, Any] = {
    "client_id": App.client_id,
    "client_secret": App.client_secret,
    "refresh_token": App.refresh_token,
}
GOOD = say({"success": True, "data": [{"id": 1}]})

pytestmark = pytest.mark.usefixtures("sleeps")


# Settings


def problems_of(**settings: Any) -> str:
    """Return the problems of these settings, an empty text if there is none."""
    try:
        Settings.model_validate(settings)
    except ValidationError as error:
        return " ".join(sentences(error))
    return ""


@pytest.mark.parametrize("settings", [{"api_token": TOKEN}, APP, {**APP, "api_token": ""}], ids=str)
def test_one_set_of_credentials_is_enough(settings: dict[str, str]) -> None:
    assert problems_of(**settings) == ""


def test_missing_credentials_name_both_kinds() -> None:
    text = problems_of()
    assert all(name in text for name in ("TAP_PIPEDRIVE_API_TOKEN", *APP))


@pytest.mark.parametrize("names", [("client_id",), ("refresh_token",), tuple(APP)], ids=str)
def test_two_sets_of_credentials_are_rejected(names: tuple[str, ...]) -> None:
    text = problems_of(api_token=TOKEN, **{name: APP[name] for name in names})
    assert (
        text
        == f"Settings api_token and {names[0]} exclude each other: set either api_token or the OAuth settings."
    )


@pytest.mark.parametrize("missing", [*[(name,) for name in APP], ("client_id", "refresh_token")], ids=str)
def test_incomplete_oauth_settings_name_the_missing_ones(missing: tuple[str, ...]) -> None:
    text = problems_of(**{name: value for name, value in APP.items() if name not in missing})
    assert [name for name in APP if f"{name} (" in text] == list(missing)
    assert not any(secret in text for secret in APP.values())


@pytest.mark.parametrize("name", APP)
@pytest.mark.parametrize("value", ["two words", "line\nbreak", "tökén"], ids=repr)
def test_a_wrong_secret_is_reported_in_one_sentence_without_the_secret(name: str, value: str) -> None:
    text = problems_of(**{**APP, name: value})
    assert text.startswith(f"Setting {name}: ")
    assert text.count("etting") == 1
    assert value not in text


# Access tokens from the sandbox


def run_app(sandbox: Sandbox, **settings: Any) -> Run:
    """Run the tap with OAuth; the authorization server's answer names the API's address."""
    app = {**SANDBOX_APP, "oauth_url": sandbox.url, **settings}
    return run("http://127.0.0.1:1", token="", **app)


def test_oauth_reads_the_same_rows_as_an_api_token(shared: Sandbox) -> None:
    by_token, by_app = run(shared.url).good(), run_app(shared).good()
    for stream in ("deals", "persons", "leads", "users", "fields"):
        assert by_app.records(stream) == by_token.records(stream) != []


def test_an_access_token_that_expires_during_a_run_is_renewed(living: Sandbox) -> None:
    plain = run_app(living).good()
    asked = len(living.requests("/oauth/token"))
    later = {"method": "POST", "path": "/sandbox/clock", "json": {"advance_seconds": 3600}}
    living.post("/sandbox/faults", {"kind": "change", "path": "/api/v2/persons", "times": 1, "call": later})
    living.post("/sandbox/stats/reset")
    done = run_app(living).good()
    assert len(living.requests("/oauth/token")) == asked + 1
    assert [seen["status"] for seen in living.requests("/api/v2/persons")][:2] == [401, 200]
    for stream in ("persons", "products", "notes"):
        assert done.records(stream) == plain.records(stream)


def test_a_run_whose_app_is_uninstalled_ends_and_keeps_what_was_read(living: Sandbox) -> None:
    gone = {"method": "DELETE", "path": "/sandbox/oauth"}
    living.post("/sandbox/faults", {"kind": "change", "path": "/api/v2/persons", "times": 1, "call": gone})
    done = run_app(living)
    assert isinstance(done.error, errors.Unauthorized)
    assert "install the app again" in str(done.error)
    assert "Invalid grant: refresh_token is invalid" in str(done.error)
    assert done.records("users")
    assert not done.records("persons")
    assert done.of("STATE")


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("client_id", "TAP_PIPEDRIVE_CLIENT_ID"),
        ("client_secret", "TAP_PIPEDRIVE_CLIENT_SECRET"),
        ("refresh_token", "install the app again"),
    ],
)
def test_wrong_oauth_credentials_are_reported_at_once_in_one_sentence(
    living: Sandbox, sleeps: list[float], name: str, advice: str
) -> None:
    done = run_app(living, **{name: "wr0ng"})
    assert isinstance(done.error, errors.Unauthorized)
    assert advice in str(done.error)
    assert "wr0ng" not in str(done.error)
    assert len(living.requests()) == 1
    assert sleeps == []


@pytest.mark.parametrize("kind", ["status", "reset", "truncate", "html", "null", "empty"])
def test_temporary_faults_of_the_authorization_server_are_retried(
    living: Sandbox, sleeps: list[float], kind: str
) -> None:
    catalog = select(discover(living.url), "users")
    living.post("/sandbox/faults", {"kind": kind, "path": "/oauth/token", "times": 2})
    app = {**SANDBOX_APP, "oauth_url": living.url}
    assert run(living.url, token="", catalog=catalog, **app).good().records("users")
    assert len(living.requests("/oauth/token")) == 3
    assert len(sleeps) == 2


def test_access_tokens_use_their_larger_rate_limit(sleeps: list[float]) -> None:
    with Sandbox(burst=20) as sandbox:
        settings = Settings.model_validate({**SANDBOX_APP, "oauth_url": sandbox.url})
        client = Client(auth_of(settings))
        for _ in range(76):
            client.get(request("/api/v2/stages"))
        assert [seen["status"] for seen in sandbox.requests("stages")] == [200] * 76
    assert sleeps == []


# Access tokens from a scripted server


def granted(**changes: Any) -> Say:
    """The authorization server's answer to a granted request."""
    return say({"access_token": ACCESS, "expires_in": 3599, "refresh_token": REFRESH, **changes})


def client(server: Fake) -> Client:
    return Client(OAuth(server.url, server.url, *APP.values()))


def ask(server: Fake) -> Any:
    return client(server).get(request("/api/v2/deals")).data


def paths(server: Fake) -> list[str]:
    return [asked.path for asked in server.asked]


def test_each_server_receives_only_its_own_credentials() -> None:
    with fake([granted(), GOOD]) as server:
        assert ask(server) == [{"id": 1}]
    grant, deals = server.asked
    assert grant.line == "POST /oauth/token HTTP/1.1"
    assert grant.headers["authorization"] == f"Basic {BASIC}"
    assert grant.headers["content-type"] == "application/x-www-form-urlencoded"
    assert grant.body == f"grant_type=refresh_token&refresh_token={REFRESH}"
    assert deals.headers["authorization"] == f"Bearer {ACCESS}"
    assert "x-api-token" not in deals.headers


@pytest.mark.parametrize(
    ("settings", "header", "value"),
    [({"api_token": TOKEN}, "x-api-token", TOKEN), (APP, "authorization", f"Bearer {ACCESS}")],
    ids=["token", "app"],
)
def test_a_netrc_file_does_not_replace_the_access_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], header: str, value: str
) -> None:
    (tmp_path / "netrc").write_text("default login somebody password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with fake(lambda asked: granted() if "oauth" in asked.path else GOOD) as server:
        addresses = {"oauth_url": server.url, "api_url": server.url}
        auth = auth_of(Settings.model_validate({**settings, **addresses}))
        Client(auth).get(request("/api/v2/deals"))
    assert server.asked[-1].headers[header] == value


@pytest.mark.parametrize(
    ("expires_in", "good_for"),
    [
        *((3599, 3539), (100, 90), (10, 9), (0.5, 0.45), (10**300, 86_340), (None, 86_340)),
        *(("soon", 86_340), (0, 86_340), (-1, 86_340), ([], 86_340), ({}, 86_340)),
    ],
)
def test_an_access_token_is_renewed_before_it_expires(
    monkeypatch: pytest.MonkeyPatch, expires_in: Any, good_for: float
) -> None:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with fake(lambda asked: granted(expires_in=expires_in) if "oauth" in asked.path else GOOD) as server:
        auth = OAuth(server.url, server.url, *APP.values())
        first = auth.access()
        now[0] += good_for - 0.01
        assert auth.access() is first
        now[0] += 0.02
        assert auth.access() is not first
    assert paths(server) == ["/oauth/token"] * 2


def test_many_threads_that_get_a_401_at_once_refresh_the_token_once() -> None:
    """All threads have their access token refused before any of them may go on."""
    threads = 4
    together = threading.Barrier(threads)
    grants: list[Asked] = []

    def script(asked: Asked) -> Say:
        if asked.path == "/oauth/token":
            grants.append(asked)
            return granted(access_token=f"{ACCESS}{len(grants)}")
        if asked.headers["authorization"] == f"Bearer {ACCESS}1" and asked.path == "/api/v2/deals":
            together.wait(timeout=20)
            return say({"error": "unauthorized access"}, 401)
        return GOOD

    with fake(script) as server, ThreadPoolExecutor(threads) as pool:
        one = client(server)
        one.get(request("/api/v2/stages"))
        answers = list(pool.map(lambda _: one.get(request("/api/v2/deals")).data, range(threads)))
    assert answers == [[{"id": 1}]] * threads
    assert len(grants) == 2


@pytest.mark.parametrize(("answer", "asked"), [(Say(400, b""), 1), (Say(503, b""), 5)])
def test_many_threads_ask_only_once_for_a_token_that_is_not_granted(answer: Say, asked: int) -> None:
    with fake([answer]) as server, ThreadPoolExecutor(8) as pool:
        one = client(server)
        for attempt in [pool.submit(one.get, request("/api/v2/deals")) for _ in range(8)]:
            assert isinstance(attempt.exception(), errors.Unauthorized | errors.Unavailable)
    assert paths(server) == ["/oauth/token"] * asked


def test_a_renewed_access_token_that_is_refused_ends_the_run(sleeps: list[float]) -> None:
    with fake(lambda asked: granted() if "oauth" in asked.path else say({}, 401)) as server:
        with pytest.raises(errors.Unauthorized, match="install the app again") as caught:
            ask(server)
        assert paths(server) == ["/oauth/token", "/api/v2/deals"] * 2
    assert "API_TOKEN" not in str(caught.value)
    assert sleeps == []


def test_a_replaced_refresh_token_is_used_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    with fake(
        [granted(refresh_token="n3wtoken"), say({}, 401), granted(refresh_token="n3wtoken"), GOOD]
    ) as server:
        ask(server)
    assert [asked.body.rpartition("=")[2] for asked in server.asked if asked.body] == [REFRESH, "n3wtoken"]
    warnings = [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "TAP_PIPEDRIVE_REFRESH_TOKEN" in warnings[0]
    assert "n3wtoken" not in caplog.text


@pytest.mark.parametrize("token", [None, "", 5, ["x"], "two words", "line\r\nbreak"], ids=repr)
def test_a_malformed_refresh_token_is_not_kept(token: Any) -> None:
    with fake([granted(refresh_token=token), say({}, 401), granted(), GOOD]) as server:
        ask(server)
    assert all(asked.body.endswith(f"={REFRESH}") for asked in server.asked if asked.body)


PASSING = {
    **{str(status): say({"message": "Oops"}, status) for status in (408, 429, 500, 502, 503, 524)},
    "reset": RESET,
    "HTML": Say(200, b"<html>"),
    "nested": Say(200, b"[" * 100_000),
    "no object": Say(200, b"[1]"),
    "no token": say({"success": True}),
    **{
        f"token {odd!r}": granted(access_token=odd)
        for odd in (None, "", 5, "two words", "a\r\nX-Evil: 1", "ü")
    },
}


@pytest.mark.parametrize("answer", PASSING.values(), ids=PASSING)
def test_temporary_token_errors_are_tried_five_times(answer: Say | str, sleeps: list[float]) -> None:
    with fake([answer]) as server, pytest.raises(errors.Unavailable) as caught:
        ask(server)
    assert paths(server) == ["/oauth/token"] * 5
    assert len(sleeps) == 4
    assert "oauth_url" in str(caught.value)
    assert "\n" not in str(caught.value)


FINAL = {
    "400 empty": (Say(400, b""), errors.Unauthorized, "install the app again"),
    "400 odd": (Say(400, b'{"message": {"a": ["b\\nc"]}}'), errors.Unauthorized, "install the app again"),
    "401 client": (say({"error": "invalid_client"}, 401), errors.Unauthorized, "TAP_PIPEDRIVE_CLIENT_SECRET"),
    "403 HTML": (Say(403, b"<html>"), errors.PipedriveError, "oauth_url"),
    "404": (say({"error": "No"}, 404), errors.PipedriveError, "oauth_url"),
    "204": (Say(204, b""), errors.PipedriveError, "oauth_url"),
    "long": (say({"message": "x" * 9_999}, 400), errors.Unauthorized, "xxx"),
}


@pytest.mark.parametrize(("answer", "error", "words"), FINAL.values(), ids=FINAL)
def test_permanent_token_errors_end_the_run_at_once_in_one_sentence(
    answer: Say, error: type[Exception], words: str, sleeps: list[float]
) -> None:
    with fake([answer]) as server, pytest.raises(errors.PipedriveError) as caught:
        ask(server)
    assert type(caught.value) is error
    assert (paths(server), sleeps) == (["/oauth/token"], [])
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1_000


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("location", ["/elsewhere", "http://[::1", ""])
def test_redirects_of_the_authorization_server_are_not_followed(status: int, location: str) -> None:
    with fake([Say(status, headers={"Location": location})]) as server:
        with pytest.raises(errors.PipedriveError, match="oauth_url"):
            ask(server)
        assert paths(server) == ["/oauth/token"]


@pytest.mark.parametrize(
    "domain",
    [
        *("", "evil.example", "ftp://evil.example", "javascript:alert(1)", "https://evil.example/path"),
        *("https://a@evil.example", "https://evil.example?x", "https://", "http://[::1"),
        *("https://e vil.example", "https://evil.example\r\nX: 1", 5, [], {"a": 1}, True),
    ],
    ids=repr,
)
def test_an_access_token_is_not_sent_to_an_unexpected_address(domain: Any) -> None:
    with fake([granted(api_domain=domain)]) as server:
        with pytest.raises(errors.PipedriveError, match="api_domain") as caught:
            ask(server)
        assert paths(server) == ["/oauth/token"]
    assert "evil" not in str(caught.value)


def test_an_access_token_received_over_https_is_not_sent_over_http(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str | None] = []

    def send(_self: Any, request: requests.PreparedRequest, **_: Any) -> requests.Response:
        sent.append(request.url)
        response = requests.Response()
        body = granted(api_domain="http://acme.example").body
        response.status_code, response.raw = 200, io.BytesIO(body)
        return response

    monkeypatch.setattr(requests.Session, "send", send)
    with pytest.raises(errors.PipedriveError, match="api_domain"):
        Client(OAuth("https://a.example", "https://oauth.example", *APP.values())).get(
            request("/api/v2/deals")
        )
    assert sent == ["https://oauth.example/oauth/token"]


ECHO = f"{CLIENT} {SECRET} {REFRESH} {BASIC}"


@pytest.mark.parametrize(
    "answer",
    [*PASSING.values(), *(final[0] for final in FINAL.values())]
    + [say({"message": ECHO}, status) for status in (400, 401, 403, 500)]
    + [say({"error": ECHO, "error_description": ECHO}, 400), granted(api_domain=ECHO)]
    + [granted(refresh_token="n3wtoken"), Say(302, headers={"Location": f"https://evil.example/{SECRET}"})],
)
def test_secrets_appear_in_no_log_line_error_or_address(
    answer: Say | str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    def script(asked: Asked) -> Say | str:
        return answer if "oauth" in asked.path else say({"error": "unauthorized access"}, 401)

    with fake(script) as server:
        done = run("", token="", oauth_url=server.url, **APP)
    told = caplog.text + repr(done.messages)
    problem: BaseException | None = done.error
    while problem:
        told += f"{problem} {problem!r}"
        problem = problem.__cause__ or problem.__context__
    assert server.asked
    assert "/oauth/token" in told
    for secret in (*APP.values(), ACCESS, "n3wtoken", BASIC):
        assert secret not in told
        assert not any(secret in asked.line for asked in server.asked)


# The account that a token belongs to


def lines(caplog: pytest.LogCaptureFixture, level: int, word: str) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.levelno == level and word in one.getMessage()]


def test_the_log_names_the_account(shared: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    me = shared.api("/v1/users/me").granted()["data"]
    run(shared.url).good()
    (line,) = lines(caplog, logging.INFO, "Reading the account")
    assert all(str(me[key]) in line for key in ("company_name", "company_domain", "id"))
    assert me["name"] not in line, "the log names no person"
    assert "an admin" in line
    assert lines(caplog, logging.WARNING, "admin") == []


def test_a_user_with_limited_rights_causes_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with Sandbox(deals=60, limited_tokens=["guest"]) as sandbox:
        run(sandbox.url, token="guest").good()
    assert "no admin" in lines(caplog, logging.INFO, "Reading the account")[0]
    (warning,) = lines(caplog, logging.WARNING, "no admin")
    assert "no admin of deals and the account" in warning


def access(**apps: Any) -> dict[str, Any]:
    return {"access": [{"app": app, "admin": admin} for app, admin in apps.items()]}


@pytest.mark.parametrize(
    ("me", "rights", "warned"),
    [
        (access(sales=True, **{"global": True}), "an admin", ""),
        (access(sales=True, campaigns=False, **{"global": True}), "an admin", ""),
        (access(sales=False, **{"global": True}), "no admin", "no admin of deals, so"),
        (access(sales=True, **{"global": False}), "no admin", "no admin of the account, so"),
        ({"is_admin": 1}, "an admin", ""),
        ({"is_admin": False}, "no admin", "no admin of the account, so"),
        ({"name": "A"}, "rights unknown", ""),
        ({"access": None}, "rights unknown", ""),
        ({"access": {"a": 1}}, "rights unknown", ""),
        *[({"access": [odd]}, "rights unknown", "") for odd in (None, 5, "x", {"app": "sales"}, {"admin": 1})],
        ({"access": [{"app": ["x"], "admin": True}, {"app": None, "admin": False}]}, "rights unknown", ""),
    ],
    ids=str,
)  # fmt: skip
def test_rights_are_read_from_any_shape_of_answer(
    caplog: pytest.LogCaptureFixture, me: dict[str, Any], rights: str, warned: str
) -> None:
    caplog.set_level(logging.INFO)
    with fake([say({"data": me})]) as server:
        read_owner(Client(ApiToken(server.url, TOKEN)))
    assert lines(caplog, logging.INFO, "Reading the account")[0].endswith(rights)
    assert [warned in line for line in lines(caplog, logging.WARNING, "no admin")] == (
        [True] if warned else []
    )


@pytest.mark.parametrize(
    "answer",
    [say({"error": "No"}, status) for status in (400, 402, 403, 404, 429, 500)]
    + [say({"data": None}), say({"data": []}), say({"data": {}}), say({"data": "me"})]
    + [RESET, Say(200, b"<html>"), say({}, 429, Retry_After="3939"), Say(302, headers={"Location": "/x"})],
)
def test_a_token_whose_owner_is_unknown_still_reads(
    answer: Say | str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with fake([answer]) as server:
        read_owner(Client(ApiToken(server.url, TOKEN)))
    assert len(lines(caplog, logging.INFO, "remains unknown")) == 1
    assert lines(caplog, logging.ERROR, "") == []


@pytest.mark.parametrize(("status", "body"), [(401, b"{}"), (403, b"<html>")])
def test_a_refused_token_reads_nothing(status: int, body: bytes) -> None:
    refused = Say(status, body)
    with fake(account({}, spoil=lambda asked: refused if "users/me" in asked.path else None)) as server:
        done = run(server.url)
    assert isinstance(done.error, errors.Unauthorized if status == 401 else errors.Blocked)
    assert paths(server)[-1] == "/api/v1/users/me"


def test_a_company_name_cannot_forge_a_log_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    me = {"id": "A\n2026 ERROR all is lost\x1b[2J", "company_name": "x" * 9_999, "company_domain": {"a": 1}}
    with fake([say({"data": me})]) as server:
        read_owner(Client(ApiToken(server.url, TOKEN)))
    (line,) = lines(caplog, logging.INFO, "Reading the account")
    assert line.isprintable()
    assert len(line) < 500


def test_discovery_does_not_ask_for_the_tokens_owner(living: Sandbox) -> None:
    discover(living.url)
    assert living.requests()
    assert living.requests("users/me") == []
