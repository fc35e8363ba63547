"""The HubSpot tap: a record that cannot be read costs only itself, and comes back."""

from __future__ import annotations

import json

import pytest
from pipedrive_sandbox.hubspot.testing import HubspotSandbox

from .harness import Asked, Say, fake, say
from .hubspot_runs import (
    CHANGED,
    Json,
    account_of,
    catalog_without_account,
    everything,
    later,
    none_of,
    read,
    run,
)

REFUSED = {
    "in the answer": lambda: say(
        {"results": [], "errors": [{"category": "VALIDATION_ERROR", "message": "odd"}]}, 207
    ),
    "with the whole batch": lambda: say({"message": "odd"}, 400),
}
"""How HubSpot refuses a batch that has an odd record."""


@pytest.mark.parametrize("how", REFUSED)
@pytest.mark.parametrize("refused", [[1], [60], [7, 8, 31]])
def test_records_that_are_refused_cost_only_themselves(
    refused: list[int], how: str, sleeps: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    """They are asked for again in each run, although the bookmark moves on."""

    def associations(body: Json) -> Say:
        is_odd = {int(each["id"]) for each in body["inputs"]}.intersection(refused)
        return REFUSED[how]() if is_odd else none_of(body)

    first = read(account_of(60, associations)).good()
    assert first.ids("deals") == set(range(1, 61)) - set(refused)
    assert f"deals {refused[0]} could not be read, and the next run asks again" in caplog.text
    assert "odd" in caplog.text
    kept = first.state["bookmarks"]["deals"]
    assert kept["unread"] == sorted(map(str, refused))
    assert kept["replication_key_value"] == "2026-11-20T00:00:00+00:00"
    second = read(account_of(60, associations, changed=[2]), first.state).good()
    assert second.ids("deals") == {2}
    assert second.state["bookmarks"]["deals"]["unread"] == kept["unread"]
    third = read(account_of(60, none_of, changed=[3]), second.state).good()
    assert third.ids("deals") == {3, *refused}
    assert third.state["bookmarks"]["deals"]["unread"] == []


def test_records_that_were_merged_while_they_were_unread_are_read_as_one(own: HubspotSandbox) -> None:
    """The ids of both return the record that remains, so that a request would ask for it twice."""
    first = run(own).good()
    later(own)
    one, other = own.portal.listed("deals")[:2]
    first.state["bookmarks"]["deals"]["unread"] = [str(one.id), str(other.id)]
    kept = own.portal.merge("deals", one, other)
    second = run(own, first.state).good()
    assert kept.id in second.ids("deals")
    wanted = everything(own.portal)["deals"][str(kept.id)]
    rows = [row for row in second.records("deals") if row["id"] == str(kept.id)]
    assert all(row == wanted for row in rows)
    assert second.state["bookmarks"]["deals"]["unread"] == []


def test_ids_that_are_numbers_are_those_of_the_same_records(sleeps: list[float]) -> None:
    def associations(body: Json) -> Say:
        if {int(each["id"]) for each in body["inputs"]} & {7}:
            return REFUSED["with the whole batch"]()
        to = [{"toObjectId": 5, "associationTypes": [{"typeId": 341}]}]
        return say({"results": [{"from": each, "to": to} for each in body["inputs"]]})

    def script(request: Asked) -> Say:
        answer = account_of(20, associations)(request)
        if "associations" in request.path:
            return answer
        records = json.loads(answer.body)["results"]
        return say({"results": [{**each, "id": int(each["id"])} for each in records]})

    result = read(script).good()
    assert {row["id"] for row in result.records("deals")} == {str(n) for n in range(1, 21) if n != 7}
    assert all(row["associations"]["companies"] for row in result.records("deals"))
    assert result.state["bookmarks"]["deals"]["unread"] == ["7"]


@pytest.mark.parametrize("is_404", [False, True])
def test_a_record_that_is_gone_is_not_asked_for_again(is_404: bool, sleeps: list[float]) -> None:
    """HubSpot answers without it, or that nothing is found if it finds none of a batch."""

    def script(request: Asked) -> Say:
        answer = account_of(60, none_of, changed=[3])(request)
        if is_404 and request.path.endswith("deals/batch/read") and not json.loads(answer.body)["results"]:
            return say({"category": "OBJECT_NOT_FOUND", "message": "may be deleted or not exist"}, 404)
        return answer

    state = {
        "bookmarks": {
            "deals": {"replication_key_value": CHANGED["hs_lastmodifieddate"], "unread": ["4", "98", "99"]}
        }
    }
    result = read(script, state).good()
    assert result.ids("deals") == {3, 4}
    assert result.state["bookmarks"]["deals"]["unread"] == []
    state["bookmarks"]["deals"]["unread"] = ["99"]
    assert read(script, state).good().state["bookmarks"]["deals"]["unread"] == []


def test_a_long_refusal_is_one_short_line(sleeps: list[float], caplog: pytest.LogCaptureFixture) -> None:
    odd = {"category": "VALIDATION_ERROR", "message": "Odd:\n" + "values " * 1000}
    read(account_of(1, lambda _: say({"results": [], "errors": [odd]}, 207))).good()
    (line,) = (text for text in caplog.messages if "could not be read" in text)
    assert "failed for some records (Odd: values values" in line
    assert len(line) < 500


def test_many_refused_records_are_an_error_of_their_object(sleeps: list[float]) -> None:
    def script(request: Asked) -> Say:
        if "owners" in request.path:
            return say({"results": [{"id": "5"}]})
        return account_of(60, lambda _: say({"message": "odd"}, 400))(request)

    result = read(script)
    assert str(result.error) == (
        "The run is not complete, as deals could not be read, but the rest is loaded. Of deals: 11 records could "
        "not be read: run again. Of the last, 11: POST /crm/v4/associations/deals/companies/batch/read answered "
        "400 (odd): if this goes on, report it with this line."
    )
    assert "replication_key_value" not in result.state["bookmarks"].get("deals", {})
    assert result.ids("owners") == {5}


def test_nothing_is_marked_as_deleted_while_a_record_is_refused(
    sleeps: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    def associations(body: Json) -> Say:
        is_odd = {"id": "7"} in body["inputs"]
        return REFUSED["in the answer"]() if is_odd else none_of(body)

    passes = {}
    for name, answers in {"refused": associations, "read": none_of}.items():
        with fake(account_of(20, answers)) as server:
            result = run(server.url, catalog=json.loads(catalog_without_account()), reconcile=True).good()
        passes[name] = [
            each
            for each in result.messages
            if each["type"] == "ACTIVATE_VERSION" and each["stream"] == "deals"
        ]
    assert not passes["refused"]
    assert len(passes["read"]) == 1
    assert "deals: no rows are marked as deleted, as some records could not be read" in caplog.text


@pytest.mark.parametrize(
    ("endless", "loaded", "is_good"),
    [({7}, set(range(1, 21)) - {7}, True), (set(range(1, 21)), set[int](), False)],
)
def test_associations_that_never_end_cost_only_their_record(
    endless: set[int], loaded: set[int], is_good: bool, sleeps: list[float], caplog: pytest.LogCaptureFixture
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
    assert "goes on without anything new for deals" in caplog.text
    assert (result.error is None) == is_good
    assert ("replication_key_value" in result.state["bookmarks"].get("deals", {})) == is_good


def test_a_record_without_an_id_costs_only_itself(
    sleeps: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    def script(request: Asked) -> Say:
        if "owners" in request.path and request.params.get("archived") != "true":
            return say({"results": [{"id": "1"}, {"email": "a@example.com"}, {"id": "3"}]})
        return say({"results": []})

    assert read(script).good().ids("owners") == {1, 3}
    assert "owners: HubSpot answered 1 records without an id" in caplog.text


def test_a_list_of_records_without_ids_is_an_error(sleeps: list[float]) -> None:
    def script(request: Asked) -> Say:
        return say({"results": [{"email": "a@example.com"}] * 20 if "owners" in request.path else []})

    assert "Of owners: HubSpot answered 11 records without an id" in str(read(script).error)


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
