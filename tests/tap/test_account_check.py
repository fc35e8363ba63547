"""`--check-account`: its findings for the sandbox and for sandboxes that deviate, without personal data."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from pipedrive_sandbox.testing import Sandbox
from tap_pipedrive.account_check import report
from tap_pipedrive.auth import ApiToken
from tap_pipedrive.client import Client
from tap_pipedrive.errors import Unauthorized

from .harness import TOKEN, Asked, Record, Say, account, fake, say

MOST = 100
"""Tokens."""


def facts(url: str, token: str = TOKEN) -> dict[str, Record]:
    """Return the facts by name, after checking that they cost no more than promised."""
    found = json.loads(report(Client(ApiToken(url, token)), "1.0"))
    assert found["tokens"] <= MOST
    return {fact["name"]: fact for fact in found["facts"]}


def test_the_sandbox_confirms_every_fact_that_the_tap_relies_on(shared: Sandbox) -> None:
    before = len(shared.requests())
    found = facts(shared.url)
    assert {seen["method"] for seen in shared.requests()[before:]} == {"GET"}
    wrong = {name: fact for name, fact in found.items() if fact["holds"] is False}
    assert wrong.keys() <= {"clock"}, "the sandbox's clock is its own"


def test_the_report_contains_no_personal_data(shared: Sandbox) -> None:
    text = report(Client(ApiToken(shared.url, TOKEN)), "1.0")
    assert TOKEN not in text
    rows = [
        *shared.truth("users"),
        *shared.truth("persons"),
        *shared.truth("organizations"),
        *shared.truth("deals"),
    ]
    names = {str(row.get("name") or row.get("title")) for row in rows}
    assert not [name for name in names if len(name) > 4 and name in text]


Spoil = Callable[[Asked], Any]

DEAL = {
    "id": 7,
    "status": "open",
    "lost_reason": None,
    "add_time": "2026-10-01T00:00:00Z",
    "update_time": "2026-10-02T00:00:00Z",
    "custom_fields": {},
}
LINE = {"field_key": "stage_id", "old_value": "1", "new_value": "2", "time": "2026-10-02 00:00:00"}


def rows(path: str, *found: Any) -> Spoil:
    return lambda asked: say({"success": True, "data": list(found)}) if asked.path == path else None


def status(path: str, code: int, parameter: str = "") -> Spoil:
    def spoil(asked: Asked) -> Say | None:
        is_meant = asked.path == path and (not parameter or parameter in asked.params)
        return say({"success": False, "error": "No"}, code) if is_meant else None

    return spoil


DEVIATIONS: dict[str, Spoil] = {
    "rights of the token": rows("/api/v1/users/me"),
    "company": rows("/api/v1/users/me"),
    "status of deals": rows("/api/v2/deals", {**DEAL, "status": "pending"}),
    "lost_reason": rows("/api/v2/deals", {**DEAL, "lost_reason": 5}),
    "order": rows("/api/v2/deals", DEAL, {**DEAL, "id": 3}),
    "times": rows("/api/v2/deals", {**DEAL, "update_time": "2026-10-02 00:00:00"}),
    "unset custom fields": rows("/api/v2/deals", {**DEAL, "custom_fields": None}),
    "largest page": lambda asked: say({"data": [DEAL] * 501}) if asked.params.get("limit") == "501" else None,
    "updated_since": lambda asked: say({"data": []}) if "updated_since" in asked.params else None,
    "archived deals": status("/api/v2/deals/archived", 402),
    "history": rows("/api/v1/deals/7/changelog", {"field_key": "stage_id"}),
    "deals": status("/api/v2/deals", 403),
    "a list that the plan may lack": status("/api/v2/projects", 400),
}


@pytest.mark.parametrize("name", DEVIATIONS)
def test_each_deviation_is_reported(name: str) -> None:
    lists: dict[str, list[Any]] = {
        "/api/v2/deals": [DEAL],
        "/api/v1/deals/7/changelog": [LINE],
        "/api/v1/users/me": [],
    }
    with fake(account(lists, spoil=DEVIATIONS[name])) as server:
        found = facts(server.url)
    assert found[name]["holds"] is False, found


def test_missing_headers_are_reported() -> None:
    with fake(account({"/api/v2/deals": [DEAL]}), sends_burst_limit=False) as server:
        found = facts(server.url)
    assert (found["burst limit"]["holds"], found["tokens of the day"]["holds"]) == (False, False)


def test_an_empty_account_leaves_facts_unanswered() -> None:
    with fake(account({})) as server:
        found = facts(server.url)
    assert found["history"]["holds"] is found["updated_since"]["holds"] is None


def test_a_refused_token_is_reported_in_one_sentence() -> None:
    refusing = account({}, spoil=lambda _: say({"error": "unauthorized"}, 401))
    with fake(refusing) as server, pytest.raises(Unauthorized):
        facts(server.url)
