"""API v1: envelopes, times, flat custom fields, stubs, and the change log of a deal."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import pytest
from pipedrive_sandbox.testing import Sandbox

V1_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
LEAD_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def walk(sandbox: Sandbox, path: str, **params: Any) -> list[dict[str, Any]]:
    """Read all offset pages from either kind of envelope."""
    rows: list[dict[str, Any]] = []
    while True:
        body = sandbox.api(path, start=len(rows), **params).granted()
        rows += body["data"] or []
        paging = body["additional_data"].get("pagination", body["additional_data"])
        if not paging["more_items_in_collection"]:
            return rows


@pytest.mark.parametrize("base", ["/api/v1", "/v1"])
def test_both_base_addresses_answer(shared: Sandbox, base: str) -> None:
    assert shared.api(f"{base}/currencies").granted() == shared.api("/v1/currencies").granted()


def test_leads_have_their_paging_keys_at_the_top(shared: Sandbox) -> None:
    body = shared.api("/v1/leads", limit=2, start=2).granted()
    assert body["additional_data"] == {"start": 2, "limit": 2, "more_items_in_collection": True}


def test_notes_have_nested_paging_with_a_next_start_until_the_end(shared: Sandbox) -> None:
    total = len(shared.truth("notes"))
    first = shared.api("/v1/notes", limit=2).granted()["additional_data"]
    last = shared.api("/v1/notes", limit=2, start=total - 2).granted()["additional_data"]
    assert first == {
        "pagination": {"start": 0, "limit": 2, "more_items_in_collection": True, "next_start": 2}
    }
    assert last == {"pagination": {"start": total - 2, "limit": 2, "more_items_in_collection": False}}


@pytest.mark.parametrize("path", ["/v1/leads", "/v1/notes", "/v1/leadFields"])
def test_a_list_without_rows_has_null_as_data(shared: Sandbox, path: str) -> None:
    assert shared.api(path, start=100_000).granted()["data"] is None


@pytest.mark.parametrize(
    "params", [{"limit": "501"}, {"limit": "0"}, {"start": "-1"}, {"sort": "colour ASC"}]
)
def test_invalid_v1_parameters_are_refused(shared: Sandbox, params: dict[str, Any]) -> None:
    assert shared.api("/v1/leads", **params).status == 400


def test_unknown_parameters_are_ignored(shared: Sandbox) -> None:
    """`/leads/archived` has no `updated_since`, and answers as if it had not been sent."""
    plain = shared.api("/v1/leads/archived").granted()
    assert plain["data"]
    assert shared.api("/v1/leads/archived", updated_since="2999-01-01T00:00:00Z").granted() == plain


def test_live_and_archived_leads_are_separate_lists(shared: Sandbox) -> None:
    truth = shared.truth("leads")
    for path, archived in (("/v1/leads", False), ("/v1/leads/archived", True)):
        expected = sorted(row["id"] for row in truth if row["is_archived"] is archived)
        assert sorted(row["id"] for row in walk(shared, path, limit=7)) == expected
        assert expected


@pytest.mark.parametrize(("path", "entity"), [("/v1/leads", "leads"), ("/v1/notes", "notes")])
def test_updated_since_is_inclusive(shared: Sandbox, path: str, entity: str) -> None:
    truth = [row for row in shared.truth(entity) if not row.get("is_archived")]
    since = sorted(row["update_time"] for row in truth)[len(truth) // 2][:19] + "Z"
    found = walk(shared, path, limit=50, updated_since=since)
    expected = [row["id"] for row in truth if row["update_time"][:19] >= since[:19]]
    assert sorted(row["id"] for row in found) == sorted(expected)
    assert 0 < len(found) < len(truth)
    assert shared.api(path, updated_since=since.replace("Z", ".000Z")).status == 400


def test_sorting_by_several_fields(shared: Sandbox) -> None:
    rows = walk(shared, "/v1/leads", limit=500, sort="owner_id DESC, update_time ASC")
    assert [row["id"] for row in rows] == [
        row["id"] for row in sorted(rows, key=lambda row: (-row["owner_id"], row["update_time"]))
    ]


def test_leads_can_be_filtered(shared: Sandbox) -> None:
    rows = walk(shared, "/v1/leads", limit=500)
    owner = rows[0]["owner_id"]
    expected = [row["id"] for row in rows if row["owner_id"] == owner]
    assert 0 < len(expected) < len(rows)
    assert [row["id"] for row in walk(shared, "/v1/leads", limit=500, owner_id=owner)] == expected


def test_leads_have_only_set_custom_fields_of_deals_at_the_root(living: Sandbox) -> None:
    field = {
        row["field_type"]: row["field_code"]
        for row in living.truth("fields")
        if row["entity"] == "deal" and row["is_custom_field"]
    }
    values: dict[str, tuple[Any, dict[str, Any]]] = {
        "enum": (7, {"": "7"}),
        "set": ([7, 8], {"": "7,8"}),
        "monetary": ({"value": 5, "currency": "BRL"}, {"": 5, "_currency": "BRL"}),
        "daterange": (
            {"value": "2026-01-01", "until": "2026-01-02"},
            {"": "2026-01-01", "_until": "2026-01-02"},
        ),
        "time": (
            {"value": "10:00:00", "timezone_id": 3, "timezone_name": "UTC"},
            {"": "10:00:00", "_timezone_id": 3},
        ),
        "timerange": (
            {"value": "10:00:00", "until": "11:00:00", "timezone_id": 3, "timezone_name": "UTC"},
            {"": "10:00:00", "_until": "11:00:00", "_timezone_id": 3},
        ),
        "varchar": ("text", {"": "text"}),
        "org": (3, {"": 3}),
    }
    given = {"title": "Flat", "custom_fields": {field[kind]: value for kind, (value, _) in values.items()}}
    lead = living.post("/sandbox/records/leads", given)
    shown = next(row for row in walk(living, "/v1/leads") if row["id"] == lead["id"])
    known = {row["field_code"] for row in living.truth("fields")}
    expected = {
        field[kind] + suffix: value for kind, (_, flat) in values.items() for suffix, value in flat.items()
    }
    assert {key: value for key, value in shown.items() if key[:40] in known and len(key) >= 40} == expected
    assert "custom_fields" not in shown
    assert LEAD_TIME.fullmatch(shown["update_time"])


def test_addresses_of_leads_are_spread_over_columns(living: Sandbox) -> None:
    made = living.post("/sandbox/fields/deal", {"field_name": "Where", "field_type": "address"})
    code = made["field_code"]
    address = {"value": "Rua A, 5", "route": "Rua A", "street_number": "5", "country": None}
    lead = living.post("/sandbox/records/leads", {"custom_fields": {code: address}})
    shown = next(row for row in walk(living, "/v1/leads") if row["id"] == lead["id"])
    assert (shown[code], shown[f"{code}_route"], shown[f"{code}_street_number"]) == ("Rua A, 5", "Rua A", "5")
    rows = {row["key"]: row for row in walk(living, "/v1/leadFields", limit=500)}
    assert rows[f"{code}_route"]["id"] is None
    assert rows[f"{code}_route"]["parent_id"] == rows[code]["id"]


def test_lead_fields_are_the_custom_fields_of_deals(shared: Sandbox) -> None:
    rows = walk(shared, "/v1/leadFields", limit=20)
    custom = {row["key"] for row in rows if row["edit_flag"]}
    assert custom == {
        row["field_code"]
        for row in shared.truth("fields")
        if row["entity"] == "deal" and row["is_custom_field"]
    }
    assert len({row["key"] for row in rows}) == len(rows)


def test_notes_have_stubs_and_times_in_the_old_format(living: Sandbox) -> None:
    deal, user = living.truth("deals")[0], living.truth("users")[1]
    made = living.post("/sandbox/records/notes", {"deal_id": deal["id"], "user_id": user["id"]})
    note = next(row for row in walk(living, "/v1/notes") if row["id"] == made["id"])
    assert note["deal"] == {"title": deal["title"]}
    assert note["user"] == {
        "email": user["email"],
        "name": user["name"],
        "icon_url": user["icon_url"],
        "is_you": False,
    }
    assert note["person"] is None
    assert V1_TIME.fullmatch(note["update_time"])
    newest = walk(living, "/v1/notes", deal_id=deal["id"], sort="id DESC")
    assert [row["id"] for row in newest] == sorted((row["id"] for row in newest), reverse=True)
    assert newest[0]["id"] == made["id"]


@pytest.mark.parametrize(
    ("path", "entity", "times"),
    [
        ("/v1/users", "users", ("created", "last_login")),
        ("/v1/activityTypes", "activity_types", ("add_time",)),
        ("/v1/currencies", "currencies", ()),
        ("/v1/filters", "filters", ("add_time",)),
        ("/v1/leadLabels", "lead_labels", ()),
    ],
)
def test_reference_lists_are_returned_whole(
    shared: Sandbox, path: str, entity: str, times: tuple[str, ...]
) -> None:
    body = shared.api(path).granted()
    assert [row["id"] for row in body["data"]] == [row["id"] for row in shared.truth(entity)]
    assert "additional_data" not in body
    assert all(V1_TIME.fullmatch(row[key]) for row in body["data"] for key in times if row[key])


def test_me_is_the_token_s_user() -> None:
    with Sandbox(deals=60, tokens=("first", "second")) as sandbox:
        found = {
            token: sandbox.api("/v1/users/me", headers={"x-api-token": token}).granted()["data"]
            for token in ("first", "second")
        }
        users = sandbox.api("/v1/users", headers={"x-api-token": "second"}).granted()["data"]
    assert found["first"]["id"] != found["second"]["id"]
    assert found["second"]["is_you"] is True
    assert found["second"]["company_domain"]
    assert [user["id"] for user in users if user["is_you"]] == [found["second"]["id"]]


def test_the_change_log_is_newest_first_and_paged_by_cursor(living: Sandbox) -> None:
    stages = [row["id"] for row in living.truth("stages") if row["pipeline_id"] == 1]
    deal = living.post("/sandbox/records/deals", {"stage_id": stages[0]})["id"]
    for stage in stages[1:4]:
        living.post(f"/sandbox/deals/{deal}/move", {"stage_id": stage})
        living.post("/sandbox/clock", {"advance_seconds": 60})
    path = f"/v1/deals/{deal}/changelog"
    rows = living.rows(path, limit=2)
    assert [(row["field_key"], row["old_value"], row["new_value"]) for row in rows] == [
        ("stage_id", str(old), str(new)) for old, new in reversed(list(pairwise(stages[:4])))
    ]
    assert [row["time"] for row in rows] == sorted((row["time"] for row in rows), reverse=True)
    assert all(V1_TIME.fullmatch(row["time"]) for row in rows)
    assert "id" not in rows[0]
    assert living.api(path, limit=2, start=2).granted()["data"] == rows[:2], "start is ignored"
    assert living.api("/v1/deals/99999/changelog").status == 404
    assert living.api(path, cursor="zzz").status == 400


def test_a_deal_without_changes_has_a_null_log(living: Sandbox) -> None:
    deal = living.post("/sandbox/records/deals", {})["id"]
    body = living.api(f"/v1/deals/{deal}/changelog").granted()
    assert body == {"success": True, "data": None, "additional_data": {"next_cursor": None}}
