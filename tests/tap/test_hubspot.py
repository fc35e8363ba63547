"""The tap for HubSpot: what it reads, what it asks for, what it remembers, and what stops it."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Collection, Iterator
from contextlib import redirect_stdout
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest
from pipedrive_sandbox.hubspot import search
from pipedrive_sandbox.hubspot.definitions import LONG, MODIFIED_BY, OWNERS, PIPELINES
from pipedrive_sandbox.hubspot.portal import Portal, Record
from pipedrive_sandbox.hubspot.server import App, Limits, too_many
from pipedrive_sandbox.hubspot.testing import HubspotSandbox
from tap_hubspot.errors import HubspotError
from tap_hubspot.tap import TapHubspot

from .harness import Asked, Say, fake, say

OBJECTS = ("companies", "contacts", "deals")
Json = dict[str, Any]
Tables = dict[str, dict[str, Json]]


@pytest.fixture(autouse=True)
def no_settings_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("TAP_HUBSPOT_"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="module")
def hubspot() -> Iterator[HubspotSandbox]:
    """An account that no test changes, with more than a page of contacts and deals."""
    with HubspotSandbox(deals=230) as sandbox:
        yield sandbox


@pytest.fixture
def own(sleeps: list[float]) -> Iterator[HubspotSandbox]:
    """An account of the test's own, without waiting between searches."""
    with HubspotSandbox(deals=60) as sandbox:
        yield sandbox


@dataclass
class Run:
    """What a run wrote, and how it ended."""

    messages: list[Json]
    error: Exception | None = None

    def records(self, stream: str) -> list[Json]:
        return [
            each["record"]
            for each in self.messages
            if (each["type"], each.get("stream")) == ("RECORD", stream)
        ]

    def ids(self, stream: str) -> set[int]:
        return {int(record["id"]) for record in self.records(stream)}

    @property
    def state(self) -> Json:
        state: Json = [each for each in self.messages if each["type"] == "STATE"][-1]["value"]
        return state

    def good(self) -> Run:
        if self.error:
            raise self.error
        return self


def run(
    sandbox: HubspotSandbox | str, state: Json | None = None, catalog: Json | None = None, **settings: Any
) -> Run:
    """Run the tap in this process."""
    url = sandbox if isinstance(sandbox, str) else sandbox.url
    config = {"api_url": url, "access_token": "pat-sandbox-token", **settings}
    out, error = io.TextIOWrapper(io.BytesIO(), encoding="utf-8"), None
    with redirect_stdout(out):
        try:
            TapHubspot(config=config, state=deepcopy(state), catalog=deepcopy(catalog)).sync_all()
        except HubspotError as problem:
            error = problem
        out.flush()
        written = out.buffer.getvalue()
    return Run([json.loads(line) for line in written.splitlines()], error)


def catalog_of(sandbox: HubspotSandbox, *selected: str, without: Collection[str] = ()) -> Json:
    """The catalog of an account with these properties only (`deals.amount`); none given: with all."""
    catalog: Json = TapHubspot(config={"api_url": sandbox.url, "access_token": sandbox.token}).catalog_dict
    for entry in catalog["streams"]:
        for item in entry["metadata"]:
            match item["breadcrumb"]:
                case [] if entry["tap_stream_id"] in without:
                    item["metadata"]["selected"] = False
                case [_, "properties", _, name] if selected:
                    item["metadata"]["selected"] = f"{entry['tap_stream_id']}.{name}" in selected
    return catalog


def replay(*runs: Run) -> Tables:
    """What a target holds after these runs, `_deleted` where it has marked a row."""
    tables: Tables = {}
    versions: dict[tuple[str, str], int] = {}
    for message in (message for each in runs for message in each.messages):
        table = tables.setdefault(message.get("stream", ""), {})
        if message["type"] == "RECORD":
            id_ = message["record"]["id"]
            table[id_] = dict(message["record"])
            versions[message["stream"], id_] = message["version"]
        elif message["type"] == "ACTIVATE_VERSION":
            for id_, row in table.items():
                if versions[message["stream"], id_] < message["version"]:
                    row["_deleted"] = True
    return tables


def expected(portal: Portal, kind: str, record: Record) -> Json:
    """A live record as it must be written when all its properties are selected."""
    values = {name: portal.text(kind, record, name) for name in portal.types[kind]}
    row: Json = {
        "id": str(record.id),
        "properties": values,
        "createdAt": values["createdate"],
        "updatedAt": values[MODIFIED_BY[kind]],
        "archived": False,
        "archivedAt": None,
    }
    if kind == "deals":
        row["associations"] = {
            other: [
                {"id": str(id_), "types": types(other, is_first=id_ == record.associated[other][0])}
                for id_ in sorted(record.associated.get(other, []))
            ]
            for other in ("companies", "contacts")
        }
    return row


def types(other: str, *, is_first: bool) -> list[int]:
    return [3] if other == "contacts" else [5, 341] if is_first else [341]


def everything(portal: Portal) -> Tables:
    return {
        kind: {str(each.id): expected(portal, kind, each) for each in portal.listed(kind)} for kind in OBJECTS
    }


# What is read


def test_every_value_of_every_record_is_written(hubspot: HubspotSandbox, sleeps: list[float]) -> None:
    tables = replay(run(hubspot).good())
    wanted = everything(hubspot.portal)
    assert {kind: tables[kind] for kind in OBJECTS} == wanted
    assert any(row["properties"][LONG.name] for row in wanted["contacts"].values())
    assert {row["id"] for row in tables["owners"].values()} == {owner.id for owner in OWNERS}
    assert {id_ for id_, row in tables["owners"].items() if row["archived"]} == {"76000104"}
    stages = {id_: [stage["id"] for stage in row["stages"]] for id_, row in tables["deal_pipelines"].items()}
    assert stages == {each.id: [stage.id for stage in each.stages] for each in PIPELINES}


def test_only_what_is_selected_is_asked_for(own: HubspotSandbox) -> None:
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


def test_an_account_with_1650_properties_is_read_and_read_again(sleeps: list[float]) -> None:
    with HubspotSandbox(deals=30, properties=1650) as sandbox:
        first = run(sandbox).good()
        wanted = everything(sandbox.portal)
        assert {kind: replay(first)[kind] for kind in OBJECTS} == wanted
        assert all(len(row["properties"]) == 1650 for rows in wanted.values() for row in rows.values())
        again = run(sandbox, state=first.state).good()
        assert {kind: replay(first, again)[kind] for kind in OBJECTS} == wanted
        assert 0 < len(again.records("deals")) < len(wanted["deals"])
        assert max(each.target_length for each in sandbox.requests()) < 1000


# What changed


def test_the_next_run_reads_what_changed_and_the_latest_again(own: HubspotSandbox) -> None:
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
    assert third.ids("companies") == {company.id}, "of a run without changes, what changed last comes again"


def test_more_changes_at_one_moment_than_a_search_pages_through(
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
def test_what_changes_behind_the_walk_is_read_by_the_next_run(
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


def test_a_change_that_the_search_finds_late_is_not_lost(
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


def test_changes_that_no_search_finds_yet_are_the_next_runs(own: HubspotSandbox) -> None:
    own.state.search_lag = 1000
    first = run(own).good()
    own.portal.update("contacts", own.portal.listed("contacts")[0], {"city": "Natal"})
    second = run(own, first.state).good()
    assert "Natal" not in {row["properties"]["city"] for row in second.records("contacts")}
    own.portal.clock.advance(1001)
    third = run(own, second.state).good()
    assert replay(first, second, third)["contacts"] == everything(own.portal)["contacts"]


def test_a_change_in_the_bookmarks_own_millisecond_is_read(own: HubspotSandbox) -> None:
    with own.portal.clock.held(own.portal.clock.now()):
        one, other = own.portal.listed("deals")[:2]
        own.portal.update("deals", one, {"dealname": "Antes"})
        first = run(own, lookback_seconds=0).good()
        own.portal.update("deals", other, {"dealname": "Depois"})
    second = run(own, first.state, lookback_seconds=0).good()
    assert second.ids("deals") == {one.id, other.id}


def test_a_bookmark_is_never_ahead_of_the_host(own: HubspotSandbox) -> None:
    own.portal.clock.set(datetime.now(UTC) + timedelta(days=30))
    own.portal.update("deals", own.portal.listed("deals")[0], {"dealname": "Futuro"})
    state = run(own).good().state
    assert datetime.fromisoformat(state["bookmarks"]["deals"]["replication_key_value"]) <= datetime.now(UTC)


def test_a_state_of_another_tap_begins_anew(own: HubspotSandbox) -> None:
    old = {"bookmarks": {"deals": {"property_hs_lastmodifieddate": "2026-11-20T00:00:00Z", "offset": {}}}}
    assert run(own, old).good().ids("deals") == {each.id for each in own.portal.listed("deals")}


def test_a_search_that_does_not_sort_is_noticed(own: HubspotSandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    state = run(own).good().state
    for record in own.portal.listed("deals"):
        own.portal.update("deals", record, {"dealname": "De novo"})
    listed = own.portal.listed
    monkeypatch.setattr(own.portal, "listed", lambda kind: listed(kind)[::-1])
    monkeypatch.setattr(search, "_sorts", lambda *_: [])
    result = run(own, state)
    assert "did not sort by id" in str(result.error)
    assert result.state["bookmarks"]["deals"] == state["bookmarks"]["deals"]


# What is gone


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


def test_what_is_restored_during_the_walk_is_alive(own: HubspotSandbox) -> None:
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


def test_reconciling_marks_what_hubspot_has_forgotten(own: HubspotSandbox) -> None:
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
    """The same with the versions of a run that began a second later, as the test does not wait for one."""
    return [{**each, "version": each["version"] + 1} if each.get("version") else each for each in messages]


def test_a_pass_that_lacks_many_records_marks_none(own: HubspotSandbox) -> None:
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


def test_nothing_is_marked_where_a_stream_map_filters(own: HubspotSandbox) -> None:
    maps = {"deals": {"__filter__": "record['id'] > '14200000100'"}}
    result = run(own, reconcile=True, stream_maps=maps).good()
    assert "deals" not in {each["stream"] for each in result.messages if each["type"] == "ACTIVATE_VERSION"}


# What stops it


def test_a_missing_scope_stops_one_stream_and_the_end_says_so(sleeps: list[float]) -> None:
    scopes = ["crm.objects.contacts.read", "crm.schemas.contacts.read"]
    with HubspotSandbox(deals=40, without_scopes=scopes) as sandbox:
        result = run(sandbox, catalog=catalog_of(sandbox))
        assert "contacts and deals could not be read" in str(result.error)
        assert "grant the token the scope crm.schemas.contacts.read or crm.objects.contacts.read" in str(
            result.error
        )
        tables = replay(result)
        assert tables["companies"] == everything(sandbox.portal)["companies"]
        assert tables["owners"]
        assert "replication_key_value" not in result.state["bookmarks"]["deals"]
        without = catalog_of(sandbox, without=["contacts"])
        for entry in without["streams"]:
            for item in entry["metadata"]:
                if item["breadcrumb"] == ["properties", "associations", "properties", "contacts"]:
                    item["metadata"]["selected"] = False
        deals = replay(run(sandbox, catalog=without).good())["deals"]
        assert {frozenset(row["associations"]) for row in deals.values()} == {frozenset({"companies"})}


def test_properties_refused_at_discovery_are_never_left_out_in_silence(sleeps: list[float]) -> None:
    with HubspotSandbox(deals=30) as sandbox:
        catalog = catalog_of(sandbox)
        (deals,) = (each for each in catalog["streams"] if each["tap_stream_id"] == "deals")
        deals["schema"]["properties"]["properties"]["properties"] = {}
        result = run(sandbox, catalog=catalog)
        assert "The catalog is without the properties of deals" in str(result.error)
        assert not result.records("deals")


def test_one_list_that_always_fails_leaves_the_others(own: HubspotSandbox) -> None:
    first = run(own).good()
    own.portal.update("contacts", own.portal.listed("contacts")[0], {"city": "Natal"})
    own.portal.update("companies", own.portal.listed("companies")[0], {"city": "Natal"})
    own.trouble(kind="status", status=502, path="/objects/contacts/search")
    second = run(own, first.state)
    assert "contacts could not be read" in str(second.error)
    assert "failed 6 times" in str(second.error)
    assert len(second.records("companies")) == 2
    own.state.faults.clear()
    third = run(own, second.state).good()
    assert {kind: replay(first, second, third)[kind] for kind in OBJECTS} == everything(own.portal)


@pytest.mark.parametrize("kind", ["null", "empty", "html", "status", "burst429"])
def test_what_passes_is_tried_again(own: HubspotSandbox, kind: str) -> None:
    own.trouble(kind=kind, every=3, times=12)
    assert {name: replay(run(own).good())[name] for name in OBJECTS} == everything(own.portal)


def test_limits_are_waited_for_as_their_policy_says(own: HubspotSandbox, sleeps: list[float]) -> None:
    own.trouble(kind="burst429", at=[2])
    run(own).good()
    assert 10.0 in sleeps
    assert too_many("SECONDLY").body["policyName"] == "SECONDLY"


def test_searches_keep_to_five_in_a_second() -> None:
    """Without a clock that stands still: the sandbox counts."""
    with HubspotSandbox(deals=30, limits=Limits()) as sandbox:
        run(sandbox, run(sandbox).good().state).good()
        assert {each.status for each in sandbox.requests("/search")} == {200}


def test_the_days_limit_ends_the_run_with_a_sentence(own: HubspotSandbox) -> None:
    own.trouble(kind="daily429", path="/objects/contacts")
    result = run(own)
    assert "used up; new ones come at midnight" in str(result.error)
    assert len(own.requests("/objects/contacts")) == 1
    assert not own.requests("/pipelines")


def test_a_wrong_token_is_named_by_its_variable_and_not_shown(own: HubspotSandbox) -> None:
    result = run(own, access_token="pat-of-somebody-else", catalog=catalog_of(own))
    assert "set a valid one in TAP_HUBSPOT_ACCESS_TOKEN" in str(result.error)
    assert "somebody-else" not in str(result.error)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"access_token": None}, "set access_token"),
        ({"access_token": None, "client_id": "x"}, "set client_secret and refresh_token, too"),
    ],
)
def test_half_a_way_in_is_named(own: HubspotSandbox, settings: Json, words: str) -> None:
    with pytest.raises(HubspotError, match=words):
        run(own, catalog=catalog_of(own), **settings).good()


# OAuth


def test_an_app_gets_a_token_and_another_when_it_expires(own: HubspotSandbox) -> None:
    own.at_request(4, "/objects/", own.state.access_tokens.clear)
    result = run(own, access_token=None, **vars(App())).good()
    assert {kind: replay(result)[kind] for kind in OBJECTS} == everything(own.portal)
    assert 401 in {each.status for each in own.requests("/objects/")}


def test_an_app_that_is_refused_hears_which_settings_to_look_at(own: HubspotSandbox) -> None:
    app = {**vars(App()), "refresh_token": "not-this-one"}
    result = run(own, catalog=catalog_of(own), access_token=None, **app)
    assert "TAP_HUBSPOT_REFRESH_TOKEN" in str(result.error)
    assert not any(secret in str(result.error) for secret in ("not-this-one", App().client_secret))


# Servers that are not as they should be


@cache
def catalog_without_account() -> str:
    with HubspotSandbox(deals=1) as sandbox:
        return json.dumps(catalog_of(sandbox))


def answers(request: Asked, **lists: Say) -> Say:
    """What an empty account says, but for the lists given by the last part of their path."""
    return lists.get(request.path.rpartition("/")[2], say({"results": []}))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (say({}), "answered no list of results"),
        (say({"results": "none"}), "answered no list of results"),
        (say({"results": [{"no": "id"}]}), "unknown shape"),
        (say({"results": [], "paging": {"next": {"after": "x"}}}), "5 pages without anything new"),
        (say({"results": [{"id": "7"}], "paging": {"next": {"after": "x"}}}), "5 pages without anything new"),
        (say({"message": "no"}, 404), "404 (no)"),
    ],
)
def test_a_list_that_is_none_is_named(answer: Say, words: str, sleeps: list[float]) -> None:
    with fake(lambda request: answers(request, owners=answer)) as server:
        result = run(server.url, catalog=json.loads(catalog_without_account()))
    assert words in str(result.error)
    assert "owners could not be read" in str(result.error)


def test_a_redirect_gets_no_token(sleeps: list[float]) -> None:
    with fake([say({}, 302, Location="http://127.0.0.1:9/")]) as server:
        result = run(server.url, catalog=json.loads(catalog_without_account()))
    assert "set api_url to the right address" in str(result.error)
    assert len(server.asked) == 1


def test_more_associations_than_fit_are_read_page_by_page(sleeps: list[float]) -> None:
    deal = {"id": "1", "properties": {"hs_lastmodifieddate": "2026-11-20T00:00:00Z"}}

    def companies(request: Asked) -> Say:
        after = json.loads(request.body)["inputs"][0].get("after")
        to = {"toObjectId": 8 if after else 7, "associationTypes": [{"typeId": 341}]}
        paging = {} if after else {"paging": {"next": {"after": "p2"}}}
        return say({"results": [{"from": {"id": "1"}, "to": [to], **paging}]})

    def script(request: Asked) -> Say:
        if "associations/deals/companies" in request.path:
            return companies(request)
        if request.path.startswith("/crm/v3/objects/deals") and request.params.get("archived") != "true":
            return say({"results": [deal]})
        return say({"results": []})

    with fake(script) as server:
        result = run(server.url, catalog=json.loads(catalog_without_account())).good()
    (record,) = result.records("deals")
    assert record["associations"]["companies"] == [{"id": "7", "types": [341]}, {"id": "8", "types": [341]}]


def test_a_batch_that_fails_for_some_records_leaves_none_out_in_silence(sleeps: list[float]) -> None:
    deal = {"id": "1", "properties": {"hs_lastmodifieddate": "2026-11-20T00:00:00Z"}}
    failed = {"results": [], "errors": [{"category": "RATE_LIMITS", "message": "too busy"}], "numErrors": 1}

    def script(request: Asked) -> Say:
        if "associations" in request.path:
            return say(failed, 207)
        return say({"results": [deal] if "objects/deals" in request.path else []})

    with fake(script) as server:
        result = run(server.url, catalog=json.loads(catalog_without_account()))
    assert "batch/read failed for some records: too busy" in str(result.error)
    assert "deals" not in result.state["bookmarks"] or not result.state["bookmarks"]["deals"].get(
        "replication_key_value"
    )
