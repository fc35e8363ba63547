"""Change logs of deals, persons and organizations, and the flow of a deal."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from pipedrive_sandbox.testing import Sandbox

LOGS = {
    "deals": ("deal_changes", "deal_id"),
    "persons": ("person_changes", "person_id"),
    "organizations": ("organization_changes", "org_id"),
}


def log(sandbox: Sandbox, entity: str, id_: int, **params: Any) -> list[dict[str, Any]]:
    """Return a change log, oldest line first."""
    rows: list[dict[str, Any]] = []
    cursor: dict[str, Any] = {}
    while True:
        body = sandbox.api(f"/v1/{entity}/{id_}/changelog", **params, **cursor).granted()
        rows += body["data"] or []
        if body["additional_data"]["next_cursor"] is None:
            return rows[::-1]
        cursor = {"cursor": body["additional_data"]["next_cursor"]}


def change(row: dict[str, Any]) -> tuple[str, Any, Any]:
    return row["field_key"], row["old_value"], row["new_value"]


def field(sandbox: Sandbox, entity: str, kind: str) -> str:
    return next(
        str(row["field_code"])
        for row in sandbox.truth("fields")
        if (row["entity"], row["field_type"], row["is_custom_field"]) == (entity, kind, True)
    )


@pytest.mark.parametrize("entity", LOGS)
def test_every_log_equals_the_truth_page_by_page(shared: Sandbox, entity: str) -> None:
    truth, key = shared.truth(LOGS[entity][0]), LOGS[entity][1]
    assert len(truth) > 20
    for id_ in sorted({row[key] for row in truth})[:10]:
        own = [row for row in truth if row[key] == id_]
        found = log(shared, entity, id_, limit=2)
        assert [change(row) for row in found] == [change(row) for row in own]
        times = [row["time"] for row in found]
        assert times == sorted(times)


@pytest.mark.parametrize("entity", LOGS)
def test_the_last_line_of_a_custom_field_has_its_present_value(shared: Sandbox, entity: str) -> None:
    key = LOGS[entity][1]
    rows = {row["id"]: row for row in shared.truth(entity)}
    types = {row["field_code"]: row["field_type"] for row in shared.truth("fields")}
    last = {(row[key], row["field_key"]): row["new_value"] for row in shared.truth(LOGS[entity][0])}
    custom = {place: value for place, value in last.items() if len(place[1]) == 40}
    assert len(custom) > 10
    for (id_, code), value in custom.items():
        held = rows[id_]["custom_fields"][code]
        if types[code] == "set":
            assert value == ",".join(map(str, held))
        else:
            assert value == str(held["value"] if isinstance(held, dict) else held)


def test_changes_are_after_the_creation_of_their_record(shared: Sandbox) -> None:
    for entity, (changes, key) in LOGS.items():
        rows = {row["id"]: row for row in shared.truth(entity)}
        for line in shared.truth(changes):
            row = rows[line[key]]
            assert row["add_time"] < line["time"]
            assert row["update_time"] is None or line["time"] <= row["update_time"]


def test_every_changed_key_has_a_line_under_its_v1_name(living: Sandbox) -> None:
    deal = next(row for row in living.truth("deals") if row["status"] == "open" and not row["products_count"])
    before = len(log(living, "deals", deal["id"]))
    user = next(row["id"] for row in living.truth("users") if row["id"] != deal["owner_id"])
    money, option = field(living, "deal", "monetary"), field(living, "deal", "enum")
    living.patch(
        f"/sandbox/records/deals/{deal['id']}",
        {
            "owner_id": user,
            "value": 17.5,
            "label_ids": [8, 9],
            "followers_count": 7,
            "custom_fields": {money: {"value": 3, "currency": "CLP"}, option: 987},
        },
    )
    lines = {row["field_key"]: row["new_value"] for row in log(living, "deals", deal["id"])[before:]}
    assert lines == {
        "user_id": str(user),
        "value": "17.5",
        "label": "8,9",
        money: "3",
        f"{money}_currency": "CLP",
        option: "987",
    }


def test_an_unchanged_part_has_no_line(living: Sandbox) -> None:
    deal = next(row for row in living.truth("deals") if row["status"] == "open")
    money = field(living, "deal", "monetary")
    path = f"/sandbox/records/deals/{deal['id']}"
    living.patch(path, {"custom_fields": {money: {"value": 3, "currency": "EUR"}}})
    before = len(log(living, "deals", deal["id"]))
    living.patch(path, {"custom_fields": {money: {"value": 3, "currency": "USD"}}})
    living.patch(path, {"title": deal["title"]})
    living.patch(path, {"custom_fields": {money: None}})
    assert [change(row) for row in log(living, "deals", deal["id"])[before:]] == [
        (f"{money}_currency", "EUR", "USD"),
        (money, "3", None),
        (f"{money}_currency", "USD", None),
    ]


@pytest.mark.parametrize(
    ("entity", "changes", "expected"),
    [
        (
            "persons",
            {"name": "Neu", "phones": [{"value": "1"}, {"value": "2"}]},
            {"name": "Neu", "phone": "1,2"},
        ),
        (
            "organizations",
            {"name": "Neu", "address": {"value": "Rua 1"}},
            {"name": "Neu", "address": "Rua 1"},
        ),
    ],
)
def test_contacts_have_logs_too(
    living: Sandbox, entity: str, changes: dict[str, Any], expected: dict[str, str]
) -> None:
    row = living.truth(entity)[0]
    before = len(log(living, entity, row["id"]))
    living.patch(f"/sandbox/records/{entity}/{row['id']}", changes)
    lines = log(living, entity, row["id"])[before:]
    assert {line["field_key"]: line["new_value"] for line in lines} == expected
    assert lines[0]["old_value"] == row["name"]


def test_a_stage_entered_again_has_another_line(living: Sandbox) -> None:
    stages = [row["id"] for row in living.truth("stages") if row["pipeline_id"] == 1][:3]
    way = [stages[0], stages[1], stages[0], stages[1], stages[2], stages[0]]
    deal = living.post("/sandbox/records/deals", {"stage_id": way[0]})["id"]
    for stage in way[1:]:
        living.post(f"/sandbox/deals/{deal}/move", {"stage_id": stage})
    assert [change(row) for row in log(living, "deals", deal)] == [
        ("stage_id", str(old), str(new)) for old, new in pairwise(way)
    ]


def test_logs_of_merged_and_purged_records_are_gone(living: Sandbox) -> None:
    people = [row["id"] for row in living.truth("persons")][:2]
    for id_ in people:
        living.patch(f"/sandbox/records/persons/{id_}", {"name": "Neu"})
    living.post(f"/sandbox/persons/{people[0]}/merge", {"with": people[1]})
    assert living.api(f"/v1/persons/{people[0]}/changelog").status == 404
    living.delete(f"/sandbox/records/persons/{people[1]}")
    assert log(living, "persons", people[1])
    living.post("/sandbox/clock", {"advance_seconds": 31 * 86_400})
    assert {row["person_id"] for row in living.truth("person_changes")}.isdisjoint(people)


def test_the_parameter_start_is_ignored(shared: Sandbox) -> None:
    id_ = shared.truth("person_changes")[0]["person_id"]
    path = f"/v1/persons/{id_}/changelog"
    assert shared.api(path, start=1).granted() == shared.api(path).granted()


# --- flow ---------------------------------------------------------------------------------------


def flow(sandbox: Sandbox, deal: int, **params: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    while True:
        body = sandbox.api(f"/v1/deals/{deal}/flow", start=len(rows), limit=3, **params).granted()
        rows += body["data"] or []
        if not body["additional_data"]["more_items_in_collection"]:
            return rows


def test_the_flow_has_the_log_the_creation_and_the_children_of_the_deal(shared: Sandbox) -> None:
    changes = shared.truth("deal_changes")
    deal = next(row["deal_id"] for row in changes if len(row["field_key"]) == 40)
    own = [row for row in changes if row["deal_id"] == deal]
    rows = flow(shared, deal, all_changes=1)
    data = [row["data"] for row in rows if row["object"] == "dealChange"]
    assert sorted(map(str, map(change, own))) == sorted(
        str(change(row)) for row in data if row["field_key"] != "add_time"
    )
    assert sum(row["field_key"] == "add_time" for row in data) == 1
    assert len({row["id"] for row in data}) == len(data)
    for kind, entity in (("note", "notes"), ("file", "files"), ("activity", "activities")):
        hanging = [row["id"] for row in shared.truth(entity) if row["deal_id"] == deal]
        assert sorted(row["data"]["id"] for row in rows if row["object"] == kind) == hanging
    times = [row["timestamp"] for row in rows]
    assert times == sorted(times, reverse=True)


def test_the_flow_has_custom_fields_only_on_request(shared: Sandbox) -> None:
    deal = next(row["deal_id"] for row in shared.truth("deal_changes") if len(row["field_key"]) == 40)
    rows = flow(shared, deal, items="dealChange")
    assert {row["object"] for row in rows} == {"dealChange"}
    assert all(len(row["data"]["field_key"]) < 40 for row in rows)
    assert shared.api("/v1/deals/999999/flow").status == 404


def test_the_flow_is_sometimes_a_literal_null(living: Sandbox) -> None:
    living.post("/sandbox/faults", {"kind": "null", "path": "/flow", "every": 2})
    texts = [living.api("/v1/deals/1/flow").text for _ in range(4)]
    assert [text == "null" for text in texts] == [False, True, False, True]


# Participants


def participants_log(sandbox: Sandbox, deal: int) -> list[dict[str, Any]]:
    """Return the log of a deal's participants, oldest line first, read with two lines per page."""
    rows: list[dict[str, Any]] = []
    cursor: dict[str, Any] = {}
    while True:
        body = sandbox.api(f"/v1/deals/{deal}/participantsChangelog", limit=2, **cursor).granted()
        rows += body["data"] or []
        if body["additional_data"]["next_cursor"] is None:
            return rows[::-1]
        cursor = {"cursor": body["additional_data"]["next_cursor"]}


def taking_part(log: list[dict[str, Any]]) -> set[int]:
    """Return who participates after all lines of a log."""
    found: set[int] = set()
    for row in log:
        assert row["action"] in ("added", "removed")
        assert (row["person_id"] in found) is (row["action"] == "removed"), (
            "twice added, or removed by chance"
        )
        found ^= {row["person_id"]}
    return found


def test_the_log_of_participants_leads_to_the_present_participants(shared: Sandbox) -> None:
    truth, rows = shared.truth("deal_participant_changes"), shared.truth("deal_participants")
    deals = {row["deal_id"] for row in truth}
    assert deals == {row["deal_id"] for row in rows}
    assert {row["action"] for row in truth} == {"added", "removed"}
    for deal in deals:
        log = [row for row in truth if row["deal_id"] == deal]
        assert taking_part(log) == {row["person_id"] for row in rows if row["deal_id"] == deal}
        assert [row["time"] for row in log] == sorted(row["time"] for row in log)
    for deal in sorted(deals)[:10]:
        own = [{key: row[key] for key in row if key != "deal_id"} for row in truth if row["deal_id"] == deal]
        found = participants_log(shared, deal)
        assert [row["person_id"] for row in found] == [row["person_id"] for row in own]
        assert all(row.keys() == other.keys() for row, other in zip(found, own, strict=True))


def test_a_changed_participant_is_logged_and_updates_the_deal(living: Sandbox) -> None:
    row = living.truth("deal_participants")[0]
    deal, person = row["deal_id"], row["person_id"]
    living.post("/sandbox/clock", {"advance_seconds": 60})
    living.delete(f"/sandbox/records/deal_participants/{row['id']}")
    living.post("/sandbox/clock", {"advance_seconds": 60})
    living.post("/sandbox/records/deal_participants", {"deal_id": deal, "person_id": person})
    log = participants_log(living, deal)
    assert [(line["action"], line["person_id"]) for line in log[-2:]] == [
        ("removed", person),
        ("added", person),
    ]
    changed = next(one for one in living.truth("deals") if one["id"] == deal)["update_time"]
    assert [one["time"] for one in living.truth("deal_participant_changes") if one["deal_id"] == deal][
        -1
    ] == changed


def test_the_log_of_participants_is_gone_with_its_deal(living: Sandbox) -> None:
    deals = [row["id"] for row in living.truth("deals") if not row["is_deleted"]][:2]
    living.post(f"/sandbox/deals/{deals[0]}/merge", {"with": deals[1]})
    assert living.api(f"/v1/deals/{deals[0]}/participantsChangelog").status == 404
    assert deals[0] not in {row["deal_id"] for row in living.truth("deal_participant_changes")}
    there = {row["person_id"] for row in living.truth("deal_participants") if row["deal_id"] == deals[1]}
    assert taking_part(participants_log(living, deals[1])) == there
