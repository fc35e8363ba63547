# Over 400 lines: one account is looked at from all sides, as making one takes seconds.
"""The generated account: the same every time, consistent in itself, and like a company."""

import os
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from pipedrive_sandbox.data.contacts.people import cnpj, cpf
from pipedrive_sandbox.data.generate import Dataset, generate
from pipedrive_sandbox.records.model import IN_MILLISECONDS

from ..api import documented

NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
DEALS = 400


@pytest.fixture(scope="module")
def spoilt() -> Dataset:
    return generate(DEALS, 7, NOW)


@pytest.fixture(scope="module")
def large() -> Dataset:
    return generate(10_000, 1, NOW)


def by_id(dataset: Dataset, name: str) -> dict[Any, dict[str, Any]]:
    return {row["id"]: row for row in dataset.records[name]}


def customs(data: Dataset, entity: str) -> list[dict[str, Any]]:
    return [field for field in data.fields[entity] if field["is_custom_field"]]


# --- the same arguments, the same bytes ---------------------------------------------------------


def digest(hash_seed: str, seed: int) -> str:
    code = f"""
import hashlib, json
from datetime import UTC, datetime
from pipedrive_sandbox.data.generate import generate
data = generate(120, {seed}, datetime(2026, 11, 20, 15, tzinfo=UTC))
text = json.dumps([data.records, data.fields, data.changes, data.manifest], default=str)
print(hashlib.sha256(text.encode()).hexdigest())
"""
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    answer = subprocess.run(
        [sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True
    )
    return answer.stdout


def test_same_arguments_same_bytes_whatever_the_hash_seed() -> None:
    assert digest("1", 7) == digest("4242", 7) != digest("1", 8)


# --- consistent in itself -----------------------------------------------------------------------


REFERENCES = {
    "deals": {
        "owner_id": "users", "creator_user_id": "users", "person_id": "persons", "org_id": "organizations",
        "pipeline_id": "pipelines", "stage_id": "stages", "next_activity_id": "activities",
        "last_activity_id": "activities",
    },
    "persons": {"owner_id": "users", "org_id": "organizations", "next_activity_id": "activities"},
    "organizations": {"owner_id": "users", "last_activity_id": "activities"},
    "activities": {
        "owner_id": "users", "deal_id": "deals", "lead_id": "leads", "person_id": "persons",
        "org_id": "organizations",
    },
    "leads": {"owner_id": "users", "person_id": "persons", "organization_id": "organizations"},
    "notes": {
        "deal_id": "deals", "lead_id": "leads", "person_id": "persons", "org_id": "organizations",
        "user_id": "users",
    },
    "deal_products": {"deal_id": "deals", "product_id": "products"},
    "stages": {"pipeline_id": "pipelines"},
    "products": {"owner_id": "users"},
    "filters": {"user_id": "users"},
    "deal_followers": {"deal_id": "deals", "user_id": "users"},
    "person_followers": {"person_id": "persons", "user_id": "users"},
    "organization_followers": {"org_id": "organizations", "user_id": "users"},
    "deal_participants": {"deal_id": "deals", "person_id": "persons", "added_by_user_id": "users"},
    "deal_installments": {"deal_id": "deals"},
    "deal_discounts": {"deal_id": "deals", "created_by": "users"},
    "product_variations": {"product_id": "products"},
    "organization_relationships": {
        "rel_owner_org_id": "organizations", "rel_linked_org_id": "organizations",
    },
    "files": {
        "user_id": "users", "deal_id": "deals", "person_id": "persons", "org_id": "organizations",
        "lead_id": "leads", "activity_id": "activities", "product_id": "products",
    },
    "note_comments": {"note_id": "notes", "user_id": "users"},
    "call_logs": {
        "user_id": "users", "activity_id": "activities", "person_id": "persons", "deal_id": "deals",
        "org_id": "organizations", "lead_id": "leads",
    },
    "mail_threads": {"user_id": "users", "deal_id": "deals"},
    "mail_messages": {"user_id": "users", "mail_thread_id": "mail_threads"},
    "project_phases": {"board_id": "project_boards"},
    "project_templates": {"projects_board_id": "project_boards", "owner_id": "users"},
    "projects": {"board_id": "project_boards", "phase_id": "project_phases", "owner_id": "users"},
    "tasks": {"project_id": "projects", "parent_task_id": "tasks", "creator_id": "users"},
    "webhooks": {"user_id": "users"},
}  # fmt: skip


def test_every_reference_points_at_a_row(spoilt: Dataset) -> None:
    for name, references in REFERENCES.items():
        for key, target in references.items():
            known = by_id(spoilt, target)
            dangling = [
                row["id"] for row in spoilt.records[name] if row[key] is not None and row[key] not in known
            ]
            assert not dangling, (name, key)


def test_keys_are_unique_and_the_same_in_every_row(spoilt: Dataset) -> None:
    for name, rows in spoilt.records.items():
        assert len({row["id"] for row in rows}) == len(rows), name
        assert len({tuple(row) for row in rows}) == 1, name
    for name in ("deals", "persons", "organizations", "products"):
        assert len({tuple(row["custom_fields"]) for row in spoilt.records[name]}) == 1
    deal_keys = spoilt.records["deals"][0]["custom_fields"].keys()
    assert spoilt.records["leads"][0]["custom_fields"].keys() == deal_keys


def test_people_of_a_deal_work_at_its_organization(spoilt: Dataset) -> None:
    persons, stages = by_id(spoilt, "persons"), by_id(spoilt, "stages")
    for deal in spoilt.records["deals"]:
        person = persons[deal["person_id"]]
        assert person["add_time"] <= deal["add_time"]
        assert deal["org_id"] in (None, person["org_id"])
        assert stages[deal["stage_id"]]["pipeline_id"] == deal["pipeline_id"]
    deals = by_id(spoilt, "deals")
    for activity in spoilt.records["activities"]:
        if activity["deal_id"]:
            deal = deals[activity["deal_id"]]
            assert (activity["person_id"], activity["org_id"]) == (deal["person_id"], deal["org_id"])
        assert sum(p["primary"] for p in activity["participants"]) == 1


def test_statuses_have_their_times(spoilt: Dataset) -> None:
    for deal in spoilt.records["deals"]:
        won, lost, closed = deal["won_time"], deal["lost_time"], deal["close_time"]
        if deal["status"] == "deleted":
            assert deal["is_deleted"]
            assert "2026-10-21T15:00:00Z" < deal["update_time"] <= "2026-11-20T15:00:00Z"
            continue
        expected = {"open": (None, None), "won": (closed, None), "lost": (None, closed)}
        assert (won, lost) == expected[deal["status"]]
        assert (closed is None) == (deal["status"] == "open")
        assert deal["lost_reason"] is None or deal["status"] == "lost"
        assert deal["is_archived"] == (deal["archive_time"] is not None)
        if won:
            local = (datetime.fromisoformat(won) - timedelta(hours=3)).date()
            assert deal["local_won_date"] == deal["local_close_date"] == local.isoformat()


def test_nothing_happens_before_its_birth_or_after_now(spoilt: Dataset) -> None:
    now = "2026-11-20T15:00:00"
    for name, rows in spoilt.records.items():
        pattern = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d" + (r"\.\d{3}Z" if name in IN_MILLISECONDS else "Z")
        for row in rows:
            moments = {key: row[key] for key in row if key.endswith("_time") and row[key] is not None}
            for key, moment in moments.items():
                if key in ("due_time",):
                    assert re.fullmatch(r"\d\d:\d\d(:\d\d)?", moment)
                    continue
                assert re.fullmatch(pattern, moment), (name, key, moment)
                assert row.get("add_time", moment) <= moment, (name, key, row["id"])
                assert moment[:19] <= now, (name, key, row["id"])


def test_changelog_leads_to_where_the_deal_is(spoilt: Dataset) -> None:
    stages = by_id(spoilt, "stages")
    assert set(spoilt.changes["deals"]) <= set(by_id(spoilt, "deals"))
    current = {"status": "status", "user_id": "owner_id", "pipeline_id": "pipeline_id"}
    for deal in spoilt.records["deals"]:
        rows = spoilt.changes["deals"].get(deal["id"], [])
        times = [row["time"] for row in rows]
        assert times == sorted(times)
        assert all(deal["add_time"] < time for time in times)
        if deal["update_time"] and times:
            assert times[-1] <= deal["update_time"]
        moves = [row for row in rows if row["field_key"] == "stage_id"]
        dates = [row for row in rows if row["field_key"] == "expected_close_date"]
        for before, after in [*pairwise(moves), *pairwise(dates)]:
            assert before["new_value"] == after["old_value"]
        assert deal["stage_change_time"] == (moves[-1]["time"] if moves else None)
        if moves:
            assert moves[-1]["new_value"] == str(deal["stage_id"])
            assert moves[0]["old_value"] != moves[0]["new_value"]
        last = {row["field_key"]: row for row in rows}
        assert ("status" in last) == (deal["status"] != "open" or deal["id"] in reopened(spoilt))
        for key, column in current.items():
            if key in last:
                assert last[key]["new_value"] == str(deal[column])
        for kind in ("won", "lost"):
            ends = [r["time"] for r in rows if (r["field_key"], r["new_value"]) == ("status", kind)]
            if deal["status"] == kind:
                assert deal["close_time"] == ends[-1]
                assert deal["first_won_time"] == (ends[0] if kind == "won" else deal["first_won_time"])
        if "pipeline_id" in last:
            start = stages[int(moves[0]["old_value"])]
            assert str(start["pipeline_id"]) == last["pipeline_id"]["old_value"]
        value = last.get("value")
        if value:
            assert value["new_value"] == str(deal["value"])


def test_some_dates_are_put_off_again_and_again(spoilt: Dataset) -> None:
    keys = [[row["field_key"] for row in rows] for rows in spoilt.changes["deals"].values()]
    assert {keys_of_one.count("expected_close_date") for keys_of_one in keys} >= {0, 1, 2, 3}


def reopened(dataset: Dataset) -> set[int]:
    return {
        deal_id
        for deal_id, rows in dataset.changes["deals"].items()
        if any((row["field_key"], row["new_value"]) == ("status", "open") for row in rows)
    }


def test_value_is_the_sum_of_the_lines(spoilt: Dataset) -> None:
    lines = defaultdict(list)
    for line in spoilt.records["deal_products"]:
        lines[line["deal_id"]].append(line)
    decimals = {row["code"]: row["decimal_points"] for row in spoilt.records["currencies"]}
    for deal in spoilt.records["deals"]:
        own = lines[deal["id"]]
        assert deal["products_count"] == len(own)
        assert (deal["acv"] is None) == (not own)
        assert {line["currency"] for line in own} <= {deal["currency"]}
        if own:
            assert sum(Decimal(str(line["sum"])) for line in own) == Decimal(str(deal["value"]))
            assert 1 <= len(own) <= 4
        if not isinstance(deal["value"], Decimal):
            places = -Decimal(str(deal["value"])).normalize().as_tuple().exponent  # type: ignore[operator]
            assert places <= decimals[deal["currency"]]


def test_line_sum_follows_from_price_quantity_discount_and_tax(spoilt: Dataset) -> None:
    for line in spoilt.records["deal_products"]:
        price, quantity, discount = (
            Decimal(str(line[key])) for key in ("item_price", "quantity", "discount")
        )
        percent = line["discount_type"] == "percentage"
        net = price * quantity * (100 - discount) / 100 if percent else price * quantity - discount
        if line["tax_method"] == "exclusive":
            net += net * Decimal(str(line["tax"])) / 100
        tolerance = 1 if line["currency"] in ("JPY", "PTS") else Decimal("0.02")
        assert abs(net - Decimal(str(line["sum"]))) <= tolerance


def test_counters_equal_the_children(spoilt: Dataset) -> None:
    keys = {"deals": "deal_id", "persons": "person_id", "organizations": "org_id"}
    for name, key in keys.items():
        activities, notes = defaultdict(list), Counter(n[key] for n in spoilt.records["notes"])
        for activity in spoilt.records["activities"]:
            activities[activity[key]].append(activity)
        deals = Counter((deal.get(key), deal["status"]) for deal in spoilt.records["deals"])
        for row in spoilt.records[name]:
            own = activities[row["id"]]
            done = [activity for activity in own if activity["done"]]
            undone = [activity for activity in own if not activity["done"]]
            assert row["activities_count"] == len(own)
            assert row["done_activities_count"] == len(done)
            assert row["undone_activities_count"] == len(undone)
            assert row["notes_count"] == notes[row["id"]]
            moment: Callable[[Any], Any] = lambda a: (a["due_date"], a["due_time"] or "", a["id"])  # noqa: E731
            assert row["next_activity_id"] == (min(undone, key=moment)["id"] if undone else None)
            assert row["last_activity_id"] == (max(done, key=moment)["id"] if done else None)
            if name != "deals":
                won, lost = deals[row["id"], "won"], deals[row["id"], "lost"]
                assert row["open_deals_count"] == deals[row["id"], "open"]
                assert (row["won_deals_count"], row["lost_deals_count"]) == (won, lost)
                assert row["closed_deals_count"] == won + lost
    staff = Counter(person["org_id"] for person in spoilt.records["persons"])
    assert all(org["people_count"] == staff[org["id"]] for org in spoilt.records["organizations"])


def test_counters_equal_what_hangs_on_a_record(spoilt: Dataset) -> None:
    """Deals count participants and mail besides; people count the deals they take part in."""
    followers = {"deals": "deal", "persons": "person", "organizations": "organization"}
    for name, key in {"deals": "deal_id", "persons": "person_id", "organizations": "org_id"}.items():
        follow = Counter(row[key] for row in spoilt.records[f"{followers[name]}_followers"])
        files = Counter(row[key] for row in spoilt.records["files"])
        for row in spoilt.records[name]:
            assert (row["followers_count"], row["files_count"]) == (follow[row["id"]], files[row["id"]])
    threads = {row["id"]: row["deal_id"] for row in spoilt.records["mail_threads"]}
    mail = Counter(threads[row["mail_thread_id"]] for row in spoilt.records["mail_messages"])
    people = Counter(row["deal_id"] for row in spoilt.records["deal_participants"])
    deals = by_id(spoilt, "deals")
    for deal in deals.values():
        assert deal["email_messages_count"] == mail[deal["id"]]
        assert deal["participants_count"] == people[deal["id"]]
    guests = Counter(
        (row["person_id"], deals[row["deal_id"]]["status"])
        for row in spoilt.records["deal_participants"]
        if deals[row["deal_id"]]["person_id"] != row["person_id"]
    )
    assert guests
    for person in spoilt.records["persons"]:
        id_ = person["id"]
        assert person["participant_open_deals_count"] == guests[id_, "open"]
        assert person["participant_closed_deals_count"] == guests[id_, "won"] + guests[id_, "lost"]


def test_most_deals_have_one_follower_and_one_participant(large: Dataset) -> None:
    for counter in ("followers_count", "participants_count"):
        counts = Counter(deal[counter] for deal in large.records["deals"])
        assert counts[1] > 0.9 * 10_000
        assert 300 < sum(number for count, number in counts.items() if count > 1) < 700


def test_custom_values_have_the_shape_of_their_type(spoilt: Dataset) -> None:
    known = {
        "user": by_id(spoilt, "users"),
        "org": by_id(spoilt, "organizations"),
        "people": by_id(spoilt, "persons"),
    }
    shapes: dict[str, Callable[[Any], bool]] = {
        **dict.fromkeys(("varchar", "varchar_auto", "text", "phone", "date"), lambda v: isinstance(v, str)),
        "double": lambda v: isinstance(v, int | float | Decimal),
        "monetary": lambda v: v.keys() == {"value", "currency"},
        "enum": lambda v: isinstance(v, int),
        "set": lambda v: bool(v) and len(set(v)) == len(v) and all(isinstance(i, int) for i in v),
        **{kind: rows.__contains__ for kind, rows in known.items()},
        "daterange": lambda v: date.fromisoformat(v["value"]) < date.fromisoformat(v["until"]),
        "time": lambda v: v.keys() == {"value", "timezone_id", "timezone_name"},
        "timerange": lambda v: v["value"] < v["until"] and isinstance(v["timezone_id"], int),
        "address": lambda v: {"value", "country", "formatted_address", "postal_code"} <= v.keys(),
    }
    owners = {"deal": ("deals", "leads"), "person": ("persons",), "organization": ("organizations",)}
    for entity, lists in owners.items():
        for field in spoilt.fields[entity]:
            if field["is_custom_field"]:
                assert re.fullmatch("[0-9a-f]{40}", field["field_code"])
                for name in lists:
                    values = [row["custom_fields"][field["field_code"]] for row in spoilt.records[name]]
                    assert all(shapes[field["field_type"]](v) for v in values if v is not None), field
    assert {f["field_type"] for f in spoilt.fields["deal"] if f["is_custom_field"]} == shapes.keys()


def test_tax_numbers_carry_valid_check_digits() -> None:
    assert cnpj(11222333) == "11.222.333/0001-81"
    assert cpf(529982247) == "529.982.247-25"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("deals", "deals"),
        ("persons", "persons"),
        ("organizations", "organizations"),
        ("activities", "activities"),
        ("products", "products"),
        ("pipelines", "pipelines"),
        ("stages", "stages"),
        ("deals/products", "deal_products"),
    ],
)
def test_records_have_every_key_of_the_api_document(spoilt: Dataset, path: str, name: str) -> None:
    endpoint = documented.ENDPOINTS[f"/api/v2/{path}"]
    expected = {*documented.row_keys(f"/api/v2/{path}"), *endpoint["include_fields"]}
    assert expected <= set(spoilt.records[name][0])


def test_arguments_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="no such trouble: gremlins"):
        generate(10, 1, NOW, ["gremlins"])
    with pytest.raises(ValueError, match="time zone"):
        generate(10, 1, NOW.replace(tzinfo=None))
    with pytest.raises(ValueError, match="at least one deal"):
        generate(0, 1, NOW)


# --- 10,000 deals look like a company -----------------------------------------------------------


def test_volumes_of_a_large_account(large: Dataset) -> None:
    size = {name: len(rows) for name, rows in large.records.items()}
    assert size["deals"] == 10_000
    assert 11_000 <= size["persons"] <= 13_000
    assert 5_500 <= size["organizations"] <= 6_500
    assert 33_000 <= size["activities"] <= 37_000
    assert 2_200 <= size["leads"] <= 2_800
    assert 5_500 <= size["notes"] <= 6_500
    assert 50 <= size["products"] <= 70
    assert 8 <= size["users"] <= 15
    five = sum(size[name] for name in ("deals", "persons", "organizations", "activities", "notes"))
    assert 65_000 <= five <= 75_000
    assert size["files"] == 3_000
    assert size["projects"] == 400
    with_lines = {line["deal_id"] for line in large.records["deal_products"]}
    assert 0.45 <= len(with_lines) / 10_000 <= 0.55
    assert len(large.manifest["troubles"]["same_second"]["ids"]["organizations"]) == 600
    assert len(large.manifest["troubles"]["same_second"]["ids"]["deals"]) == 600


def test_shape_of_a_large_account(large: Dataset) -> None:
    deals = large.records["deals"]
    share = {status: n / len(deals) for status, n in Counter(d["status"] for d in deals).items()}
    assert 0.015 <= share["deleted"] <= 0.025
    assert 0.08 <= share["open"] <= 0.25
    assert 0.2 <= share["won"] / (share["won"] + share["lost"]) <= 0.45
    assert 0.07 <= sum(d["is_archived"] for d in deals) / len(deals) <= 0.11
    assert 0.05 <= sum(d["source_lead_id"] is not None for d in deals) / len(deals) <= 0.12
    assert {d["currency"] for d in deals} == {"BRL", "USD", "EUR", "JPY", "PTS"}
    first = min(d["add_time"] for d in deals)
    assert "2024-11" <= first <= "2024-12"
    weekend = sum(datetime.fromisoformat(d["add_time"]).weekday() > 4 for d in deals)
    assert weekend / len(deals) < 0.05
    moved = sum(d["stage_change_time"] is not None for d in deals)
    assert 0.6 <= moved / len(deals) <= 0.9
    leads = large.records["leads"]
    assert 0.25 <= sum(lead["is_archived"] for lead in leads) / len(leads) <= 0.55


def test_activities_of_this_week_and_the_next_fortnight(large: Dataset) -> None:
    activities = large.records["activities"]
    week = [a for a in activities if "2026-11-16" <= a["due_date"] <= "2026-11-22"]
    assert len(week) > 1_000
    assert 0.3 < sum(a["done"] for a in week) / len(week) < 0.95
    ahead = [a for a in activities if a["due_date"] > "2026-11-20"]
    assert len(ahead) > 1_000
    assert not any(a["done"] for a in ahead)
    assert max(a["due_date"] for a in activities) <= "2026-12-14"
    assert {len(a["due_time"] or "") for a in activities} == {0, 5, 8}
    assert len({a["type"] for a in activities}) == 8


def test_custom_fields_are_filled_as_people_fill_them(large: Dataset) -> None:
    deals = large.records["deals"]
    filled = {
        field["field_code"]: sum(d["custom_fields"][field["field_code"]] is not None for d in deals)
        / len(deals)
        for field in customs(large, "deal")
    }
    assert len(filled) >= 40
    assert sum(share == 0 for share in filled.values()) >= 2
    assert sum(0.25 <= share <= 0.97 for share in filled.values()) >= 40
