"""The HubSpot tap: a record, association or property that cannot be read costs only itself, and comes back."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pipedrive_sandbox.hubspot.api import SCOPES
from pipedrive_sandbox.hubspot.testing import HubspotSandbox
from tap_hubspot.errors import HubspotError

from .harness import Asked, Say, fake, say
from .hubspot_runs import OBJECTS, Json, Run, catalog_of, everything, replay, run
from .test_hubspot_troubles import catalog_without_account

CHANGED = {"hs_lastmodifieddate": "2026-11-20T00:00:00Z"}


@pytest.fixture(autouse=True)
def no_settings_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("TAP_HUBSPOT_"):
            monkeypatch.delenv(name)


@pytest.fixture
def own(sleeps: list[float]) -> Iterator[HubspotSandbox]:
    """An account that belongs to one test only, without waits between searches."""
    with HubspotSandbox(deals=60) as sandbox:
        yield sandbox


def later(sandbox: HubspotSandbox) -> None:
    """Let more time pass than a run looks back."""
    sandbox.portal.clock.advance(3600)


# Scopes


def test_deals_are_loaded_without_associations_that_the_token_may_not_read(own: HubspotSandbox) -> None:
    without = ["crm.objects.contacts.read", "crm.schemas.contacts.read"]
    own.state.scopes = frozenset(SCOPES).difference(without)
    first = run(own, catalog=catalog_of(own))
    assert "contacts and deals.associations.contacts could not be read" in str(first.error)
    wanted = everything(own.portal)
    for row in wanted["deals"].values():
        del row["associations"]["contacts"]
    assert {kind: replay(first)[kind] for kind in ("companies", "deals")} == {
        kind: wanted[kind] for kind in ("companies", "deals")
    }
    refused = len(own.requests("/associations/deals/contacts"))
    second = run(own, first.state, catalog=catalog_of(own))
    assert "deals.associations.contacts could not be read" in str(second.error)
    assert len(second.records("deals")) < len(wanted["deals"]) // 2, "what is missing causes no full load"
    assert len(own.requests("/associations/deals/contacts")) == refused + 1

    own.state.scopes = frozenset(SCOPES)
    third = run(own, second.state).good()
    assert {kind: replay(first, second, third)[kind] for kind in OBJECTS} == everything(own.portal)
    later(own)
    fourth = run(own, third.state).good()
    assert len(fourth.records("deals")) < len(wanted["deals"]) // 2, "the associations come back only once"


# Properties


def test_rows_are_read_again_when_a_property_is_back(
    own: HubspotSandbox, caplog: pytest.LogCaptureFixture
) -> None:
    whole = catalog_of(own)
    short = json.loads(json.dumps(whole))
    (contacts,) = (each for each in short["streams"] if each["tap_stream_id"] == "contacts")
    del contacts["schema"]["properties"]["properties"]["properties"]["email"]
    contacts["metadata"] = [each for each in contacts["metadata"] if each["breadcrumb"][-1:] != ["email"]]

    first = run(own, catalog=whole).good()
    later(own)
    changed = own.portal.listed("contacts")[0]
    own.portal.update("contacts", changed, {"email": "new@example.com"})
    second = run(own, first.state, catalog=short).good()
    (row,) = (each for each in second.records("contacts") if each["id"] == str(changed.id))
    assert "email" not in row["properties"]
    assert "contacts: HubSpot no longer defines email" in caplog.text
    caplog.clear()
    later(own)
    third = run(own, second.state, catalog=short).good()
    assert "no longer defines" not in caplog.text, "it is said once"
    later(own)
    fourth = run(own, third.state, catalog=whole).good()
    assert {kind: replay(first, second, third, fourth)[kind] for kind in OBJECTS} == everything(own.portal)
    later(own)
    fifth = run(own, fourth.state, catalog=whole).good()
    assert len(fifth.records("contacts")) < len(fourth.records("contacts")) // 2


# Records


def account_of(deals: int, associations: Callable[[Json], Say]) -> Callable[[Asked], Say]:
    """Return the answers of an account that has only deals."""

    def script(request: Asked) -> Say:
        if "associations" in request.path:
            return associations(json.loads(request.body))
        if "objects/deals" in request.path and request.params.get("archived") != "true":
            found = [{"id": str(number), "properties": CHANGED} for number in range(1, deals + 1)]
            return say({"results": found})
        return say({"results": []})

    return script


def none_of(inputs: Json) -> Say:
    return say({"results": [{"from": {"id": each["id"]}, "to": []} for each in inputs["inputs"]]})


def read(script: Callable[[Asked], Say], state: Json | None = None) -> Run:
    with fake(script) as server:
        return run(server.url, state, catalog=json.loads(catalog_without_account()))


@pytest.mark.parametrize("refused", [[1], [60], [7, 8, 31]])
def test_associations_refused_for_some_records_cost_only_these(
    refused: list[int], sleeps: list[float]
) -> None:
    def associations(body: Json) -> Say:
        if {int(each["id"]) for each in body["inputs"]}.intersection(refused):
            odd = {"category": "VALIDATION_ERROR", "message": "odd"}
            return say({"results": [], "errors": [odd]}, 207)
        return none_of(body)

    result = read(account_of(60, associations))
    assert result.ids("deals") == set(range(1, 61)) - set(refused)
    assert f"deals {refused[0]}" in str(result.error)
    assert "failed for some records: odd" in str(result.error)
    assert "replication_key_value" not in result.state["bookmarks"].get("deals", {})
    assert read(account_of(60, none_of), result.state).good().ids("deals") == set(range(1, 61))


@pytest.mark.parametrize(
    ("endless", "loaded"), [({7}, set(range(1, 21)) - {7}), (set(range(1, 21)), set[int]())]
)
def test_associations_that_never_end_cost_only_their_record(
    endless: set[int], loaded: set[int], sleeps: list[float]
) -> None:
    def associations(body: Json) -> Say:
        one = {"toObjectId": 7, "associationTypes": [{"typeId": 341}]}
        more = {"paging": {"next": {"after": "7"}}}
        results = [
            {"from": {"id": each["id"]}, "to": [one], **(more if int(each["id"]) in endless else {})}
            for each in body["inputs"]
        ]
        return say({"results": results})

    result = read(account_of(20, associations))
    assert result.ids("deals") == loaded
    assert "goes on without anything new for deals" in str(result.error)
    assert "replication_key_value" not in result.state["bookmarks"].get("deals", {})


def test_a_record_without_an_id_costs_only_itself(sleeps: list[float]) -> None:
    def script(request: Asked) -> Say:
        if "owners" in request.path and request.params.get("archived") != "true":
            return say({"results": [{"id": "1"}, {"email": "a@example.com"}, {"id": "3"}]})
        return say({"results": []})

    result = read(script)
    assert result.ids("owners") == {1, 3}
    assert "owners without an id could not be read" in str(result.error)


def test_records_read_before_an_error_are_written(sleeps: list[float]) -> None:
    def script(request: Asked) -> Say:
        if request.path == "/crm/v3/objects/deals" and request.params.get("archived") != "true":
            if request.params.get("after"):
                return say({"message": "boom"}, 400)
            page = {"results": [{"id": "1", "properties": CHANGED}], "paging": {"next": {"after": "2"}}}
            return say(page)
        return account_of(1, none_of)(request)

    result = read(script)
    assert result.ids("deals") == {1}
    assert "deals could not be read" in str(result.error)
    assert "replication_key_value" not in result.state["bookmarks"].get("deals", {})


@pytest.mark.parametrize("odd", [{"errors": ["boom"]}, {"results": [{"from": None}]}])
def test_associations_of_an_unknown_shape_cost_only_the_deals(odd: Json, sleeps: list[float]) -> None:
    def script(request: Asked) -> Say:
        if "owners" in request.path:
            return say({"results": [{"id": "5"}]})
        return account_of(3, lambda _: say({"results": [], **odd}, 207))(request)

    result = read(script)
    assert "Of deals: HubSpot answered a record of an unknown shape" in str(result.error)
    assert result.ids("owners") == {5}


# States


@pytest.mark.parametrize(
    ("bookmarks", "words"),
    [
        (None, "bookmarks that are no objects"),
        ({"deals": None}, "bookmarks that are no objects"),
        ({"deals": {"replication_key_value": 5}}, "not a time"),
        ({"deals": {"replication_key_value": "9999-12-31T00:00:00Z"}}, "in the future"),
    ],
)
def test_a_state_of_another_shape_is_reported(own: HubspotSandbox, bookmarks: Any, words: str) -> None:
    with pytest.raises(HubspotError, match=words):
        run(own, {"bookmarks": bookmarks}).good()


def test_an_odd_count_of_the_last_pass_counts_as_none(own: HubspotSandbox) -> None:
    state = {"bookmarks": {"deals": {"complete_pass_rows": "x", "known": 5, "lacking": [None, "amount"]}}}
    result = run(own, state, reconcile=True).good()
    assert result.state["bookmarks"]["deals"]["complete_pass_rows"] == len(result.ids("deals"))
