"""Access and visibility: OAuth, tokens with limited rights, plans without features."""

from __future__ import annotations

import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from typing import Any
from urllib.error import HTTPError
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from pipedrive_sandbox.api.endpoints import ENDPOINTS
from pipedrive_sandbox.server.oauth import App
from pipedrive_sandbox.testing import Reply, Sandbox

CLIENT = "sandbox-client:sandbox-secret"
REFRESH = {"grant_type": "refresh_token", "refresh_token": "sandbox-refresh-token"}
DAY = 86_400
PARTLY_VISIBLE = {
    "/api/v2/deals": "deals",
    "/api/v2/persons": "persons",
    "/api/v2/organizations": "organizations",
    "/api/v2/activities": "activities",
    "/v1/leads": "leads",
    "/v1/notes": "notes",
    "/v1/files": "files",
}


class _Still(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Do not follow the redirect."""


OPENER = urllib.request.build_opener(_Still)


def tokens(sandbox: Sandbox, form: dict[str, str], client: str = CLIENT, path: str = "/oauth/token") -> Reply:
    """Request tokens from the authorization server."""
    credentials = {"Authorization": f"Basic {b64encode(client.encode()).decode()}"} if client else {}
    request = urllib.request.Request(sandbox.url + path, urlencode(form).encode(), credentials)
    try:
        with OPENER.open(request, timeout=300) as answer:
            return Reply(answer.status, answer.headers, answer.read().decode())
    except HTTPError as refused:
        with refused:
            return Reply(refused.code, refused.headers, refused.read().decode())


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def agree(sandbox: Sandbox, **query: str) -> Reply:
    request = urllib.request.Request(f"{sandbox.url}/oauth/authorize?{urlencode(query)}")
    try:
        with OPENER.open(request, timeout=300) as answer:
            return Reply(answer.status, answer.headers, answer.read().decode())
    except HTTPError as refused:
        with refused:
            return Reply(refused.code, refused.headers, refused.read().decode())


@pytest.fixture
def granted(living: Sandbox) -> Any:
    return tokens(living, REFRESH).granted()


def test_a_refresh_returns_an_access_token_and_the_same_refresh_token(
    living: Sandbox, granted: dict[str, Any]
) -> None:
    assert granted.keys() == {
        *("access_token", "token_type", "expires_in", "refresh_token", "scope", "api_domain")
    }
    assert (granted["token_type"], granted["expires_in"]) == ("Bearer", 3599)
    assert granted["refresh_token"] == REFRESH["refresh_token"]
    assert granted["api_domain"] == living.url
    mine = living.api("/v1/users/me", headers=bearer(granted["access_token"])).granted()["data"]
    assert mine == living.api("/v1/users/me").granted()["data"]
    again = tokens(living, REFRESH).granted()
    assert again["access_token"] != granted["access_token"]
    assert living.api("/v1/users/me", headers=bearer(granted["access_token"])).status == 200


def test_an_access_token_expires_by_the_account_s_clock(living: Sandbox, granted: dict[str, Any]) -> None:
    headers = bearer(granted["access_token"])
    living.post("/sandbox/clock", {"advance_seconds": 3500})
    assert living.api("/api/v2/deals", headers=headers).status == 200
    living.post("/sandbox/clock", {"advance_seconds": 100})
    late = living.api("/api/v2/deals", headers=headers)
    assert (late.status, late.json()["errorCode"]) == (401, 401)
    fresh = tokens(living, REFRESH).granted()["access_token"]
    assert living.api("/api/v2/deals", headers=bearer(fresh)).status == 200


def test_a_refresh_token_expires_after_60_days_without_use(living: Sandbox) -> None:
    for _ in range(3):
        living.post("/sandbox/clock", {"advance_seconds": 59 * DAY})
        assert tokens(living, REFRESH).status == 200
    living.post("/sandbox/clock", {"advance_seconds": 61 * DAY})
    assert tokens(living, REFRESH).status == 400


def test_an_uninstalled_app_is_refused(living: Sandbox, granted: dict[str, Any]) -> None:
    living.delete("/sandbox/oauth")
    assert living.api("/api/v2/deals", headers=bearer(granted["access_token"])).status == 401
    reply = tokens(living, REFRESH)
    assert reply.status == 400
    assert reply.json() == {
        "success": False,
        "message": "Invalid grant: refresh_token is invalid",
        "error": "invalid_grant",
    }
    assert living.api("/api/v2/deals").status == 200, "API tokens stay valid"


@pytest.mark.parametrize(
    ("form", "client", "error"),
    [
        ({"refresh_token": "x"}, CLIENT, "invalid_request"),
        ({"grant_type": "password"}, CLIENT, "unsupported_grant_type"),
        ({"grant_type": "refresh_token"}, CLIENT, "invalid_grant"),
        ({"grant_type": "refresh_token", "refresh_token": "x"}, CLIENT, "invalid_grant"),
        ({"grant_type": "authorization_code", "code": "x"}, CLIENT, "invalid_grant"),
        (REFRESH, "", "invalid_client"),
        (REFRESH, "sandbox-client", "invalid_client"),
        (REFRESH, "sandbox-client:wrong", "invalid_client"),
    ],
)
def test_invalid_token_requests_are_refused(
    shared: Sandbox, form: dict[str, str], client: str, error: str
) -> None:
    reply = tokens(shared, form, client)
    assert (reply.status, reply.json()["error"]) == (400, error)


def test_token_requests_must_be_forms(shared: Sandbox) -> None:
    credentials = {"Authorization": f"Basic {b64encode(CLIENT.encode()).decode()}"}
    reply = shared.send("POST", "/oauth/token", REFRESH, {**credentials, "Content-Type": "application/json"})
    assert (reply.status, reply.json()["error"]) == (400, "invalid_request")


def test_an_additional_slash_redirects_and_loses_the_form(shared: Sandbox) -> None:
    reply = tokens(shared, REFRESH, path="/oauth/token/")
    assert (reply.status, reply.headers["Location"]) == (301, "/oauth/token")
    assert shared.send("GET", "/oauth/token").status == 404


def test_a_code_is_valid_once_and_for_five_minutes(living: Sandbox) -> None:
    def code() -> dict[str, str]:
        reply = agree(living, client_id="sandbox-client", redirect_uri="https://app.example/x?a=1", state="s")
        assert reply.status == 302
        location = urlsplit(reply.headers["Location"])
        query = parse_qs(location.query)
        assert (location.hostname, query["a"], query["state"]) == ("app.example", ["1"], ["s"])
        uri = "https://app.example/x?a=1"
        return {"grant_type": "authorization_code", "code": query["code"][0], "redirect_uri": uri}

    form = code()
    first = tokens(living, form).granted()
    assert first["refresh_token"] != REFRESH["refresh_token"]
    renewed = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
    assert tokens(living, renewed).status == 200
    assert tokens(living, form).json()["message"] == "Invalid grant: authorization_code is invalid"
    form = code()
    assert tokens(living, {**form, "redirect_uri": "https://evil.example"}).status == 400
    form = code()
    living.post("/sandbox/clock", {"advance_seconds": 301})
    assert tokens(living, form).json()["message"] == "Invalid grant: authorization_code has expired"
    assert agree(living, client_id="other", redirect_uri="https://app.example").status == 400
    assert agree(living, client_id="sandbox-client", redirect_uri="nowhere").status == 400


def test_an_access_token_has_a_larger_burst_limit_and_the_same_daily_budget() -> None:
    with Sandbox(burst=2, daily_budget=24, app=App(token_seconds=60)) as sandbox:
        reply = tokens(sandbox, REFRESH)
        assert "x-ratelimit-limit" not in reply.headers, "the authorization server has no limits"
        assert reply.json()["expires_in"] == 60
        headers = bearer(reply.json()["access_token"])
        own = [sandbox.api("/v1/users/me", headers=headers) for _ in range(9)]
        assert [found.status for found in own] == [200] * 8 + [429]
        assert {found.headers["x-ratelimit-limit"] for found in own} == {"8"}
        key = sandbox.api("/v1/users/me")
        assert (key.status, key.headers["x-ratelimit-limit"]) == (200, "2")
        assert key.headers["x-daily-ratelimit-token-remaining"] == "6"


def test_faults_also_apply_to_the_authorization_server(living: Sandbox) -> None:
    living.post("/sandbox/faults", {"kind": "status", "status": 503, "path": "/oauth/token", "times": 1})
    assert [tokens(living, REFRESH).status for _ in range(2)] == [503, 200]
    assert [(seen["status"], seen["tokens"]) for seen in living.requests("/oauth")] == [(503, 0), (200, 0)]


# --- limited rights ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def limited() -> Iterator[Sandbox]:
    with Sandbox(deals=200, limited_tokens=["guest"], limited_share=0.3) as sandbox:
        yield sandbox


def rows(sandbox: Sandbox, path: str, token: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while True:
        page: dict[str, Any] = {"start": len(found)} if path.startswith("/v1") else {}
        body = sandbox.api(path, headers={"x-api-token": token}, **page, **CURSOR.pop(path, {})).granted()
        found += body["data"] or []
        paging = body["additional_data"]
        if cursor := paging.get("next_cursor"):
            CURSOR[path] = {"cursor": cursor}
        elif not paging.get("pagination", paging).get("more_items_in_collection"):
            return found


CURSOR: dict[str, dict[str, str]] = {}


@pytest.mark.parametrize("path", PARTLY_VISIBLE)
def test_a_limited_token_always_sees_the_same_share(limited: Sandbox, path: str) -> None:
    everything = {row["id"] for row in rows(limited, path, limited.token)}
    some = {row["id"] for row in rows(limited, path, "guest")}
    assert some < everything
    assert 0.1 < len(some) / len(everything) < 0.55
    assert some == {row["id"] for row in rows(limited, path, "guest")}


def test_children_of_an_invisible_record_are_invisible(limited: Sandbox) -> None:
    visible = {row["id"] for row in rows(limited, "/api/v2/deals", "guest")}
    lines = {row["deal_id"] for row in limited.truth("deal_products")}
    asked = sorted(lines)[:100]
    body = limited.api(
        "/api/v2/deals/products",
        headers={"x-api-token": "guest"},
        limit=500,
        deal_ids=",".join(map(str, asked)),
    ).granted()
    shown = {row["deal_id"] for row in body["data"]}
    assert shown
    assert shown & visible == lines & visible & set(asked)
    hidden = next(
        row["id"] for row in rows(limited, "/api/v2/deals", limited.token) if row["id"] not in visible
    )
    for path in (
        *(f"/api/v2/deals/{hidden}", f"/api/v2/deals/{hidden}/followers", f"/v1/deals/{hidden}/changelog"),
        *(f"/v1/deals/{hidden}/participants", f"/v1/deals/{hidden}/flow"),
    ):
        assert limited.api(path).status == 200
        assert limited.api(path, headers={"x-api-token": "guest"}).status == 404


def test_a_limited_token_has_no_administrator_rights(limited: Sandbox) -> None:
    me = limited.api("/v1/users/me", headers={"x-api-token": "guest"}).granted()["data"]
    assert not any(entry["admin"] for entry in me["access"])
    for endpoint in ENDPOINTS:
        if endpoint.admin and "{" not in endpoint.path:
            reply = limited.api(endpoint.path, headers={"x-api-token": "guest"})
            assert reply.status == 403
            assert reply.headers["Content-Type"] == "application/json"
            assert reply.json()["success"] is False
            assert limited.api(endpoint.path).status == 200
    assert limited.api("/v1/users", headers={"x-api-token": "guest"}).status == 200
    assert limited.requests("/v1/roles")[0]["tokens"] == 0


def test_a_token_has_the_rights_of_its_user() -> None:
    with Sandbox(deals=60, tokens=("one", "two", "three")) as sandbox:
        for token in ("one", "two", "three"):
            headers = {"x-api-token": token}
            me = sandbox.api("/v1/users/me", headers=headers).granted()["data"]
            admin = any(entry["admin"] for entry in me["access"])
            assert sandbox.api("/v1/roles", headers=headers).status == (200 if admin else 403)
            assert admin is (token != "three")


# --- missing features -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("feature", "path", "status"),
    [
        ("projects", "/api/v2/projects", 415),
        ("projects", "/api/v2/projectFields", 415),
        ("projects", "/api/v2/boards", 415),
        ("installments", "/api/v2/deals/installments?deal_ids=1", 403),
        ("mailbox", "/v1/mailbox/mailThreads?folder=inbox", 403),
        ("calls", "/v1/callLogs", 415),
        ("goals", "/v1/goals/find", 403),
    ],
)
def test_features_outside_the_plan_are_refused(feature: str, path: str, status: int) -> None:
    with Sandbox(without_features=frozenset({feature})) as sandbox:
        reply = sandbox.api(path)
        assert reply.status == status
        assert reply.json()["success"] is False
        assert sandbox.api("/api/v2/deals").status == 200
    with Sandbox() as sandbox:
        assert sandbox.api(path).status == 200


def test_persons_lack_the_keys_of_campaigns_without_that_feature() -> None:
    asked: dict[str, Any] = {"include_fields": "marketing_status,doi_status,notes_count"}
    with Sandbox(without_features=frozenset({"campaigns"})) as sandbox:
        row = sandbox.api("/api/v2/persons", **asked).granted()["data"][0]
        assert row.keys() & {"marketing_status", "doi_status", "notes_count"} == {"notes_count"}
    with Sandbox() as sandbox:
        row = sandbox.api("/api/v2/persons", **asked).granted()["data"][0]
        assert row.keys() >= {"marketing_status", "doi_status", "notes_count"}


@pytest.mark.parametrize("status", [402, 404, 410, 415])
def test_refusals_can_be_requested_as_faults(living: Sandbox, status: int) -> None:
    living.post("/sandbox/faults", {"kind": "status", "status": status, "path": "projects"})
    reply = living.api("/api/v2/projects")
    assert reply.status == status
    assert reply.json()["success"] is False
