"""The HubSpot tap: what it reads, which requests it makes, and what it keeps in its state."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from pipedrive_sandbox.hubspot import search
from pipedrive_sandbox.hubspot.definitions import LONG, MODIFIED_BY, OWNERS, PIPELINES
from pipedrive_sandbox.hubspot.testing import HubspotSandbox

from .hubspot_runs import OBJECTS, Json, catalog_of, everything, replay, run


@pytest.fixture(scope="module")
def hubspot() -> Iterator[HubspotSandbox]:
    """An account that no test changes, with several pages of contacts and deals."""
    with HubspotSandbox(deals=230) as sandbox:
        yield sandbox


# Reading


def test_every_value_of_every_record_is_written(hubspot: HubspotSandbox, sleeps: list[float]) -> None:
    tables = replay(run(hubspot).good())
    wanted = everything(hubspot.portal)
    assert {kind: tables[kind] for kind in OBJECTS} == wanted
    assert any(row["properties"][LONG.name] for row in wanted["contacts"].values())
    assert {row["id"] for row in tables["owners"].values()} == {owner.id for owner in OWNERS}
    assert {id_ for id_, row in tables["owners"].items() if row["archived"]} == {"76000104"}
    stages = {id_: [stage["id"] for stage in row["stages"]] for id_, row in tables["deal_pipelines"].items()}
    assert stages == {each.id: [stage.id for stage in each.stages] for each in PIPELINES}


def test_only_selected_properties_are_requested(own: HubspotSandbox) -> None:
    catalog = catalog_of(own, "deals.amount", "deals.closedate", without=["companies", "contacts", "owners"])
    asked = len(own.requests())
    result = run(own, catalog=catalog).good()
    requests = own.state.requests[asked:]
    assert {each.path for each in requests if "associations" not in each.path} == {
        "/crm/v3/pipelines/deals",
        "/crm/v3/objects/deals",
        "/crm/v3/objects/deals/search",
    }
    lists = [each for each in requests if each.path == "/crm/v3/objects/deals"]
    assert {each.query["properties"] for each in lists} == {"amount,closedate"}
    assert {frozenset(record["properties"]) for record in result.records("deals")} == {
        frozenset({"amount", "closedate"})
    }


def test_an_account_with_1650_properties_is_read_twice(sleeps: list[float]) -> None:
    with HubspotSandbox(deals=30, properties=1650) as sandbox:
        first = run(sandbox).good()
        wanted = everything(sandbox.portal)
        assert {kind: replay(first)[kind] for kind in OBJECTS} == wanted
        assert all(len(row["properties"]) == 1650 for rows in wanted.values() for row in rows.values())
        again = run(sandbox, state=first.state).good()
        assert {kind: replay(first, again)[kind] for kind in OBJECTS} == wanted
        assert 0 < len(again.records("deals")) < len(wanted["deals"])
        assert max(each.target_length for each in sandbox.requests()) < 1000


# Incremental runs


def test_the_next_run_reads_the_changes_and_the_latest_record_again(own: HubspotSandbox) -> None:
    first = run(own).good()
    company, contact, deal = (own.portal.listed(kind)[3] for kind in OBJECTS)
    newest = {
        kind: max(own.portal.listed(kind), key=lambda each, by=MODIFIED_BY[kind]: each.values[by]).id  # type: ignore[misc]
        for kind in OBJECTS
    }
    own.portal.update("companies", company, {"name": "Dra. Só Núñez"})
    own.portal.update("contacts", contact, {"email": ""})
    own.portal.update("deals", deal, {"dealstage": "1047102", "amount": "N/A"})
    new = own.portal.create("deals", {"dealname": "Retorno"}, {"companies": [company.id]})
    second = run(own, first.state).good()
    assert second.ids("companies") == {company.id, newest["companies"]}
    assert second.ids("contacts") == {contact.id, newest["contacts"]}
    assert second.ids("deals") == {deal.id, new.id, newest["deals"]}
    assert {kind: replay(first, second)[kind] for kind in OBJECTS} == everything(own.portal)
    third = run(own, second.state).good()
    assert third.ids("companies") == {company.id}, "a run without changes reads the last changed record again"


def test_more_changes_at_one_moment_than_a_search_returns_are_all_read(
    own: HubspotSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "PAGE", 10)
    monkeypatch.setattr(search, "MOST_RESULTS", 20)
    monkeypatch.setattr("tap_hubspot.objects.SEARCH_SIZE", 10)
    first = run(own).good()
    with own.portal.clock.held(own.portal.clock.now()):
        for record in own.portal.listed("deals"):
            own.portal.update("deals", record, {"dealname": "De novo"})
    assert len(own.portal.listed("deals")) > 20
    second = run(own, first.state).good()
    assert replay(second)["deals"] == everything(own.portal)["deals"]


@pytest.mark.parametrize("is_first_run", [True, False])
def test_a_record_that_changes_after_it_was_passed_is_read_by_the_next_run(
    own: HubspotSandbox, is_first_run: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tap_hubspot.objects.LIST_SIZE", 20)
    monkeypatch.setattr("tap_hubspot.objects.SEARCH_SIZE", 20)
    deals = own.portal.listed("deals")
    state = None
    if not is_first_run:
        state = run(own).good().state
        for record in deals:
            own.portal.update("deals", record, {"dealname": "De novo"})

    def change() -> None:
        own.portal.update("deals", deals[0], {"dealname": "Depois"})
        own.portal.update("deals", deals[-1], {"dealname": "Depois"})
        own.portal.create("deals", {"dealname": "Novo"})

    path = "/objects/deals/search" if state else r"/objects/deals\?.*after="
    own.at_request(3 if state else 1, path, change)
    first = run(own, state).good()
    assert first.records("deals")[0]["properties"]["dealname"] != "Depois"
    later = run(own, first.state).good()
    assert replay(first, later)["deals"] == everything(own.portal)["deals"]


def test_a_change_that_is_indexed_late_is_not_lost(
    own: HubspotSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(own).good()
    late, contact = own.portal.listed("contacts")[:2]
    own.portal.update("contacts", late, {"city": "Natal"})
    own.portal.clock.advance(60)
    own.portal.update("contacts", contact, {"city": "Belém"})
    listed = own.portal.listed
    with monkeypatch.context() as patched:
        patched.setattr(
            own.portal, "listed", lambda kind: [each for each in listed(kind) if each is not late]
        )
        second = run(own, first.state).good()
    assert late.id not in second.ids("contacts")
    third = run(own, second.state).good()
    assert replay(first, second, third)["contacts"] == everything(own.portal)["contacts"]


def test_changes_that_are_not_indexed_yet_are_read_by_the_next_run(own: HubspotSandbox) -> None:
    own.state.search_lag = 1000
    first = run(own).good()
    own.portal.update("contacts", own.portal.listed("contacts")[0], {"city": "Natal"})
    second = run(own, first.state).good()
    assert "Natal" not in {row["properties"]["city"] for row in second.records("contacts")}
    own.portal.clock.advance(1001)
    third = run(own, second.state).good()
    assert replay(first, second, third)["contacts"] == everything(own.portal)["contacts"]


def test_a_change_in_the_same_millisecond_as_the_bookmark_is_read(own: HubspotSandbox) -> None:
    with own.portal.clock.held(own.portal.clock.now()):
        one, other = own.portal.listed("deals")[:2]
        own.portal.update("deals", one, {"dealname": "Antes"})
        first = run(own, lookback_seconds=0).good()
        own.portal.update("deals", other, {"dealname": "Depois"})
    second = run(own, first.state, lookback_seconds=0).good()
    assert second.ids("deals") == {one.id, other.id}


def test_a_change_in_the_future_does_not_hide_those_during_the_walk(own: HubspotSandbox) -> None:
    """The bookmark is not later than the host's time when the walk begins."""
    own.portal.clock.set(datetime.now(UTC) + timedelta(days=30))
    own.portal.update("deals", own.portal.listed("deals")[0], {"dealname": "Futuro"})
    begun: list[datetime] = []
    own.at_request(1, r"/objects/deals\?", lambda: begun.append(datetime.now(UTC)))
    state = run(own).good().state
    assert datetime.fromisoformat(state["bookmarks"]["deals"]["replication_key_value"]) <= begun[0]


def test_a_state_of_another_tap_causes_a_full_load(own: HubspotSandbox) -> None:
    old = {"bookmarks": {"deals": {"property_hs_lastmodifieddate": "2026-11-20T00:00:00Z", "offset": {}}}}
    assert run(own, old).good().ids("deals") == {each.id for each in own.portal.listed("deals")}


def test_a_search_that_is_not_sorted_is_detected(
    own: HubspotSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = run(own).good().state
    for record in own.portal.listed("deals"):
        own.portal.update("deals", record, {"dealname": "De novo"})
    listed = own.portal.listed
    monkeypatch.setattr(own.portal, "listed", lambda kind: listed(kind)[::-1])
    monkeypatch.setattr(search, "_sorts", lambda *_: [])
    result = run(own, state)
    assert "did not sort by id" in str(result.error)
    assert result.state["bookmarks"]["deals"] == state["bookmarks"]["deals"]


# Deleted records


def test_archived_records_are_marked_and_restored_ones_come_back(own: HubspotSandbox) -> None:
    first = run(own).good()
    contact, deal = own.portal.listed("contacts")[2], own.portal.listed("deals")[2]
    own.portal.archive("contacts", contact)
    own.portal.archive("deals", deal)
    second = run(own, first.state).good()
    rows = replay(first, second)
    assert [id_ for id_, row in rows["contacts"].items() if row["archived"]] == [str(contact.id)]
    assert rows["deals"][str(deal.id)]["archivedAt"] is not None
    own.portal.restore(deal)
    third = run(own, second.state, reconcile=True).good()
    assert not replay(first, second, third)["deals"][str(deal.id)]["archived"]


def test_a_record_restored_during_the_walk_is_not_marked(own: HubspotSandbox) -> None:
    deal = own.portal.listed("deals")[-1]
    own.portal.archive("deals", deal)
    own.at_request(1, r"/objects/deals\?.*archived=false", lambda: own.portal.restore(deal))
    rows = replay(run(own, reconcile=True).good())["deals"]
    assert rows == everything(own.portal)["deals"]


def test_a_merge_leaves_one_record_that_names_the_others(own: HubspotSandbox) -> None:
    first = run(own).good()
    one, other = own.portal.listed("companies")[:2]
    kept = own.portal.merge("companies", one, other)
    row = replay(first, run(own, first.state).good())["companies"][str(kept.id)]
    assert row["properties"]["hs_merged_object_ids"] == f"{one.id};{other.id}"


def test_reconciling_marks_records_that_hubspot_no_longer_lists(own: HubspotSandbox) -> None:
    first = run(own, reconcile=True).good()
    gone = own.portal.records["deals"].pop(own.portal.listed("deals")[5].id)
    own.portal.create("deals", {"dealname": "Novo"})
    between = run(own, first.state).good()
    second = run(own, between.state, reconcile=True).good()
    second.messages = later(second.messages)
    rows = replay(first, between, second)
    assert [id_ for id_, row in rows["deals"].items() if row.get("_deleted")] == [str(gone.id)]
    assert not any(row.get("_deleted") for kind in ("companies", "contacts") for row in rows[kind].values())


def later(messages: list[Json]) -> list[Json]:
    """Return the messages with versions one second later, because the test does not wait between runs."""
    return [{**each, "version": each["version"] + 1} if each.get("version") else each for each in messages]


def test_a_pass_that_misses_many_records_marks_none(own: HubspotSandbox) -> None:
    first = run(own, reconcile=True).good()
    for record in own.portal.listed("contacts")[::2]:
        del own.portal.records["contacts"][record.id]
    own.portal.records["companies"].clear()
    for deal in own.portal.listed("deals"):
        deal.associated = {}
    second = run(own, first.state, reconcile=True).good()
    activated = {each["stream"] for each in second.messages if each["type"] == "ACTIVATE_VERSION"}
    assert activated == {"deals", "owners", "deal_pipelines"}
    third = run(own, second.state, reconcile=True, reconcile_min_ratio=0.3).good()
    assert "contacts" in {each["stream"] for each in third.messages if each["type"] == "ACTIVATE_VERSION"}


def test_an_empty_list_marks_nothing(own: HubspotSandbox) -> None:
    first = run(own).good()
    for deal in own.portal.records["deals"].values():
        deal.associated = {}
    own.portal.records["contacts"].clear()
    second = run(own, first.state, reconcile=True).good()
    activated = {each["stream"] for each in second.messages if each["type"] == "ACTIVATE_VERSION"}
    assert activated == {"companies", "deals", "owners", "deal_pipelines"}


def test_nothing_is_marked_if_a_stream_map_filters(own: HubspotSandbox) -> None:
    maps = {"deals": {"__filter__": "record['id'] > '14200000100'"}}
    result = run(own, reconcile=True, stream_maps=maps).good()
    assert "deals" not in {each["stream"] for each in result.messages if each["type"] == "ACTIVATE_VERSION"}
