"""The HubSpot tap: associations, properties and states that are lacking or odd cost only themselves."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pipedrive_sandbox.hubspot.api import SCOPES
from pipedrive_sandbox.hubspot.testing import HubspotSandbox
from tap_hubspot.errors import HubspotError

from .harness import Asked, Say, fake, say
from .hubspot_runs import (
    OBJECTS,
    account_of,
    catalog_of,
    catalog_without_account,
    everything,
    later,
    none_of,
    read,
    replay,
    run,
)

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


@pytest.mark.parametrize("answered", [0, 1])
def test_associations_that_are_refused_once_more_while_they_come_back_are_read_later(
    answered: int, sleeps: list[float]
) -> None:
    """The token may not read them when the pass begins that reads all deals again, or not in its middle."""
    allowed = 0

    def script(request: Asked) -> Say:
        nonlocal allowed
        if "associations/deals/contacts" in request.path:
            allowed -= 1
            if allowed < 0:
                return say({"message": "no"}, 403)
        return account_of(1100, none_of)(request)

    first = read(script)
    allowed = answered
    second = read(script, first.state)
    assert "deals.associations.contacts could not be read" in str(second.error)
    assert second.ids("deals") == set(range(1, 1101))
    allowed = 10
    third = read(script, second.state).good()
    assert all("contacts" in row["associations"] for row in replay(first, second, third)["deals"].values())


@pytest.mark.parametrize("end", ["killed", "error"])
def test_what_rows_lack_is_known_after_a_run_that_does_not_end(end: str, sleeps: list[float]) -> None:
    """A run that reconciles writes all deals without their contacts; the next one may read these again."""
    is_allowed = True

    def script(request: Asked) -> Say:
        if "associations/deals/contacts" in request.path and not is_allowed:
            return say({"message": "no"}, 403)
        if request.params.get("after"):
            return say({"message": "boom"}, 400)
        answer = account_of(20, none_of)(request)
        is_list = request.path == "/crm/v3/objects/deals" and request.params["archived"] == "false"
        if is_list and end == "error" and not is_allowed:
            return say({**json.loads(answer.body), "paging": {"next": {"after": "20"}}})
        return answer

    first = read(script)
    is_allowed = False
    with fake(script) as server:
        second = run(server.url, first.state, json.loads(catalog_without_account()), reconcile=True)
    if end == "killed":
        last = max(n for n, each in enumerate(second.messages) if each["type"] == "RECORD")
        del second.messages[last + 1 :]
    assert second.ids("deals") == set(range(1, 21))
    is_allowed = True
    third = read(script, second.state).good()
    assert all("contacts" in row["associations"] for row in replay(first, second, third)["deals"].values())


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


def test_an_odd_bookmark_costs_only_its_object(own: HubspotSandbox) -> None:
    result = run(own, {"bookmarks": {"companies": {"replication_key_value": "9999-12-31T00:00:00Z"}}})
    assert "as companies could not be read, but the rest is loaded" in str(result.error)
    assert result.ids("deals") == {each.id for each in own.portal.listed("deals")}
    assert result.records("owners")


def test_an_odd_count_of_the_last_pass_counts_as_none(own: HubspotSandbox) -> None:
    state = {"bookmarks": {"deals": {"complete_pass_rows": "x", "known": 5, "lacking": [None, "amount"]}}}
    result = run(own, state, reconcile=True).good()
    assert result.state["bookmarks"]["deals"]["complete_pass_rows"] == len(result.ids("deals"))
