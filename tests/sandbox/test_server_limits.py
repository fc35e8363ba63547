"""Tokens, the burst limit, the daily budget, prices, and the clock in every answer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import pytest
from pipedrive_sandbox.api.endpoints import ENDPOINTS
from pipedrive_sandbox.testing import Sandbox

from ..api.documented import PRICES

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "headers",
    [
        {"x-api-token": "sandbox-token"},
        {"Authorization": "Bearer sandbox-token"},
        {"X-API-Token": "sandbox-token"},
    ],
)
def test_a_token_in_a_header_is_accepted(shared: Sandbox, headers: dict[str, str]) -> None:
    assert shared.api("/api/v2/deals", headers=headers).status == 200


def test_a_token_in_the_url_is_accepted(shared: Sandbox) -> None:
    assert shared.api("/api/v2/deals", headers={}, api_token=shared.token).status == 200


@pytest.mark.parametrize("headers", [{}, {"x-api-token": "wrong"}, {"Authorization": "Basic sandbox-token"}])
def test_any_other_token_is_unauthorized(shared: Sandbox, headers: dict[str, str]) -> None:
    reply = shared.api("/api/v2/deals", headers=headers)
    assert reply.status == 401
    assert reply.headers["x-401-by-gw"] == "true"
    assert reply.json() == {
        "success": False,
        "error": "unauthorized access",
        "errorCode": 401,
        "error_info": "Please check developers.pipedrive.com",
    }


def test_write_requests_are_refused(shared: Sandbox) -> None:
    assert shared.send("POST", "/api/v2/deals", {}).status == 405


def test_the_burst_limit_resets() -> None:
    with Sandbox(burst=5) as sandbox:
        replies = [sandbox.api("/v1/users/me") for _ in range(6)]
        assert [reply.status for reply in replies] == [200] * 5 + [429]
        assert [reply.headers["x-ratelimit-remaining"] for reply in replies] == ["4", "3", "2", "1", "0", "0"]
        assert {reply.headers["x-ratelimit-limit"] for reply in replies} == {"5"}
        assert replies[-1].headers["x-ratelimit-reset"] in ("1", "2")
        assert "retry-after" not in replies[-1].headers
        sandbox.post("/sandbox/clock", {"advance_seconds": 2})
        assert sandbox.api("/v1/users/me").status == 200


def test_each_token_has_its_own_burst_limit_but_all_share_the_daily_budget() -> None:
    with Sandbox(burst=1, daily_budget=3, tokens=("a", "b")) as sandbox:
        assert sandbox.api("/v1/users/me", headers={"x-api-token": "a"}).status == 200
        assert sandbox.api("/v1/users/me", headers={"x-api-token": "a"}).status == 429
        other = sandbox.api("/v1/users/me", headers={"x-api-token": "b"})
        assert other.status == 429
        assert other.json()["error"] == "daily request budget exceeded"
        assert other.headers["x-daily-ratelimit-token-remaining"] == "1"


def test_repeated_requests_beyond_the_limit_are_blocked_for_a_minute() -> None:
    with Sandbox(burst=1) as sandbox:
        statuses = [sandbox.api("/v1/users/me").status for _ in range(13)]
        assert statuses == [200] + [429] * 10 + [403] * 2
        sandbox.post("/sandbox/clock", {"advance_seconds": 50})
        page = sandbox.api("/v1/users/me")
        assert page.status == 403
        assert page.headers["Content-Type"].startswith("text/html")
        assert "Cloudflare" in page.text
        sandbox.post("/sandbox/clock", {"advance_seconds": 11})
        assert sandbox.api("/v1/users/me").status == 200


def test_a_spent_daily_budget_is_refused_with_the_seconds_to_midnight() -> None:
    with Sandbox(daily_budget=35, now=NOON) as sandbox:
        left = [sandbox.api("/api/v2/deals").headers["x-daily-ratelimit-token-remaining"] for _ in range(3)]
        assert left == ["25", "15", "5"]
        reply = sandbox.api("/api/v2/deals")
        assert reply.status == 429
        assert reply.json() == {
            "success": False,
            "error": "daily request budget exceeded",
            "errorCode": 429,
            "error_info": "Please check developers.pipedrive.com",
        }
        assert 12 * 3600 - 60 < int(reply.headers["retry-after"]) <= 12 * 3600
        assert int(reply.headers["x-ratelimit-remaining"]) > 0
        assert sandbox.api("/v1/users/me").status == 200, "cheaper requests are still answered"
        sandbox.post("/sandbox/clock", {"advance_seconds": 12 * 3600})
        assert sandbox.api("/api/v2/deals").status == 200


def test_daily_headers_can_be_missing() -> None:
    with Sandbox(daily_headers=False) as sandbox:
        assert "x-daily-ratelimit-token-limit" not in sandbox.api("/api/v2/deals").headers


def test_only_requests_that_pass_the_gateway_cost_tokens() -> None:
    with Sandbox(burst=3) as sandbox:
        sandbox.api("/api/v2/deals", headers={})
        sandbox.api("/api/v2/nothing")
        sandbox.api("/api/v2/deals/archived", foo="1")
        sandbox.api("/api/v2/deals/archived")
        sandbox.api("/api/v2/deals")
        assert [(seen["status"], seen["tokens"]) for seen in sandbox.requests()] == [
            (401, 0),
            (404, 0),
            (400, 20),
            (200, 20),
            (429, 0),
        ]


def test_prices_equal_the_published_ones() -> None:
    assert {endpoint.path: endpoint.cost for endpoint in ENDPOINTS} == {
        endpoint.path: PRICES[endpoint.path] for endpoint in ENDPOINTS
    }


def test_every_answer_has_the_date_of_the_account_s_clock() -> None:
    with Sandbox(now=NOON, burst=1) as sandbox:
        replies = [sandbox.api("/api/v2/deals"), sandbox.api("/api/v2/deals"), sandbox.api("/x", headers={})]
        replies.append(sandbox.send("GET", "/sandbox/clock"))
        assert [reply.status for reply in replies] == [200, 429, 401, 200]
        for reply in replies:
            assert timedelta(0) <= parsedate_to_datetime(reply.headers["Date"]) - NOON < timedelta(minutes=1)
        sandbox.post("/sandbox/clock", {"advance_seconds": -3600})
        date = parsedate_to_datetime(sandbox.api("/api/v2/deals").headers["Date"])
        assert timedelta(0) <= date - (NOON - timedelta(hours=1)) < timedelta(minutes=1)
