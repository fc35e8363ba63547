"""API v2: keyset pages, filters, strict parameters, and the keys of a record."""

from __future__ import annotations

import base64
import json
from decimal import Decimal
from typing import Any
from urllib.request import Request, urlopen

import pytest
from pipedrive_sandbox.testing import Sandbox

INVALID = (400, "ERR_SCHEMA_VALIDATION_FAILED")
ENTITIES = ("deals", "persons", "organizations", "activities", "products", "pipelines", "stages")
CUSTOM = ("deals", "persons", "organizations", "products")


def cursor(**marker: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(marker).encode()).decode().rstrip("=")


def refusal(sandbox: Sandbox, path: str, **params: Any) -> tuple[int, str | None]:
    reply = sandbox.api(path, **params)
    body = reply.json()
    assert body["success"] is False
    assert body["error"]
    return reply.status, body.get("code")


def ids(rows: list[dict[str, Any]]) -> list[Any]:
    return [row["id"] for row in rows]


@pytest.mark.parametrize("entity", ENTITIES)
@pytest.mark.parametrize("limit", [3, 500])
def test_a_walk_returns_every_row_once_whatever_the_page_size(
    shared: Sandbox, entity: str, limit: int
) -> None:
    truth = [
        row
        for row in shared.truth(entity)
        if not (entity == "deals" and (row["is_archived"] or row["is_deleted"]))
    ]
    found = ids(shared.rows(f"/api/v2/{entity}", limit=limit))
    assert found == sorted(ids(truth))


@pytest.mark.parametrize("direction", ["asc", "desc"])
@pytest.mark.parametrize("entity", ["deals", "organizations", "persons", "activities", "products", "stages"])
def test_equal_and_null_times_are_complete_across_pages(shared: Sandbox, entity: str, direction: str) -> None:
    """Rows of one second are distributed over pages, and rows without update_time come first in ascending
    order.
    """
    rows = shared.rows(f"/api/v2/{entity}", sort_by="update_time", sort_direction=direction, limit=3)
    places = [(row["update_time"] is not None, row["update_time"] or "", row["id"]) for row in rows]
    assert places == sorted(places, reverse=direction == "desc")
    assert len(set(ids(rows))) == len(rows)
    assert None in {row["update_time"] for row in rows}
    assert sorted(ids(rows)) == ids(shared.rows(f"/api/v2/{entity}", limit=500))


def test_the_cursor_is_the_documented_marker(shared: Sandbox) -> None:
    body = shared.api("/api/v2/persons", limit=2, sort_by="add_time").granted()
    following = shared.api("/api/v2/persons", limit=3, sort_by="add_time").granted()["data"][2]
    marker = body["additional_data"]["next_cursor"]
    assert "=" not in marker
    assert json.loads(base64.urlsafe_b64decode(marker + "==")) == {
        "field": "add_time",
        "fieldValue": following["add_time"],
        "sortDirection": "asc",
        "id": following["id"],
    }


def test_the_default_page_has_100_rows(shared: Sandbox) -> None:
    body = shared.api("/api/v2/activities").granted()
    assert len(body["data"]) == 100


def test_pages_read_live_data(living: Sandbox) -> None:
    """In order of update_time, a row changed behind the walk is returned again, and one deleted ahead is not."""
    first = living.api("/api/v2/persons", limit=10, sort_by="update_time").granted()
    seen = ids(first["data"])
    ahead = [i for i in ids(living.rows("/api/v2/persons", sort_by="update_time")) if i not in seen]
    living.patch(f"/sandbox/records/persons/{seen[4]}", {"name": "Changed"})
    living.delete(f"/sandbox/records/persons/{ahead[3]}")
    rest: list[Any] = []
    marker = first["additional_data"]["next_cursor"]
    while marker:
        body = living.api("/api/v2/persons", limit=10, sort_by="update_time", cursor=marker).granted()
        rest += ids(body["data"])
        marker = body["additional_data"]["next_cursor"]
    assert rest == [*ahead[:3], *ahead[4:], seen[4]]


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("/api/v2/deals", {"foo": "1"}),
        ("/api/v2/deals", {"start": "0"}),
        ("/api/v2/deals", {"limit": "501"}),
        ("/api/v2/deals", {"limit": "0"}),
        ("/api/v2/deals", {"limit": "-1"}),
        ("/api/v2/deals", {"limit": "ten"}),
        ("/api/v2/deals", {"limit": ""}),
        ("/api/v2/deals", {"limit": "١٠"}),
        ("/api/v2/deals", {"sort_by": "title"}),
        ("/api/v2/deals", {"sort_direction": "ASC"}),
        ("/api/v2/deals", {"status": "archived"}),
        ("/api/v2/deals", {"status": "open,"}),
        ("/api/v2/deals", {"include_fields": "products_count,nonsense"}),
        ("/api/v2/deals", {"include_option_labels": "1"}),
        ("/api/v2/deals", {"owner_id": "me"}),
        ("/api/v2/deals", {"ids": ",".join(map(str, range(1, 102)))}),
        ("/api/v2/deals", {"custom_fields": ",".join(f"{i:040x}" for i in range(16))}),
        ("/api/v2/deals", {"updated_since": "2025-01-01T10:20:00.000Z"}),
        ("/api/v2/deals", {"updated_since": "2025-01-01 10:20:00"}),
        ("/api/v2/deals", {"updated_since": "2025-13-01T10:20:00Z"}),
        ("/api/v2/deals", {"updated_since": "2025-01-01"}),
        ("/api/v2/deals", {"updated_since": "0001-01-01T00:00:00+14:00"}),
        ("/api/v2/deals", {"cursor": "not a cursor"}),
        ("/api/v2/deals", {"cursor": "aWQ6NTQ0"}),
        ("/api/v2/deals", {"cursor": cursor(field="id", fieldValue=1)}),
        ("/api/v2/deals", {"cursor": cursor(field="id", fieldValue="x", sortDirection="asc", id="x")}),
        (
            "/api/v2/deals",
            {
                "cursor": cursor(
                    field="update_time", fieldValue="2025-01-01T00:00:00Z", sortDirection="asc", id=1
                )
            },
        ),
        ("/api/v2/deals/archived", {"include_labels": "true"}),
        ("/api/v2/persons", {"is_deleted": "true"}),
        ("/api/v2/persons", {"status": "deleted"}),
        ("/api/v2/organizations", {"org_id": "1"}),
        ("/api/v2/activities", {"custom_fields": "a"}),
        ("/api/v2/activities", {"done": "1"}),
        ("/api/v2/products", {"updated_until": "2025-01-01T00:00:00Z"}),
        ("/api/v2/products", {"include_fields": "followers_count"}),
        ("/api/v2/pipelines", {"updated_since": "2025-01-01T00:00:00Z"}),
        ("/api/v2/stages", {"updated_since": "2025-01-01T00:00:00Z"}),
        ("/api/v2/activityFields", {"include_fields": "required_fields"}),
        ("/api/v2/deals/products", {}),
        ("/api/v2/deals/products", {"deal_ids": ",".join(map(str, range(1, 102)))}),
        ("/api/v2/deals/one", {}),
    ],
)
def test_requests_that_violate_the_schema_are_refused(
    shared: Sandbox, path: str, params: dict[str, str]
) -> None:
    assert refusal(shared, path, **params) == INVALID


@pytest.mark.parametrize(
    "path",
    [
        "/api/v2/nothing",
        "/api/v2/deals/999999",
        "/api/v2/dealFields/nothing",
        "/api/v2/deals/",
        "/api/v1/deals",
        "/v1/persons",
        "/v1/leads/",
        "/api/v2/leads",
        "/v2/deals",
        "/",
    ],
)
def test_unknown_paths_are_not_found(shared: Sandbox, path: str) -> None:
    assert refusal(shared, path)[0] == 404


def test_unknown_filters_are_not_found(shared: Sandbox) -> None:
    filters = {row["type"]: row["id"] for row in shared.truth("filters")}
    assert refusal(shared, "/api/v2/deals", filter_id=999)[0] == 404
    assert refusal(shared, "/api/v2/deals", filter_id=filters["people"])[0] == 404
    everything = ids(shared.api("/api/v2/deals", limit=500).granted()["data"])
    filtered = shared.api(
        "/api/v2/deals", limit=500, filter_id=filters["deals"], status="deleted", ids="1"
    ).granted()
    assert ids(filtered["data"]) == everything, "a filter overrides the quick filters"


@pytest.mark.parametrize("entity", ["deals", "persons", "organizations", "activities"])
def test_updated_since_includes_and_updated_until_excludes_its_second(shared: Sandbox, entity: str) -> None:
    rows = shared.rows(f"/api/v2/{entity}", limit=500)
    times = sorted(row["update_time"] for row in rows if row["update_time"])
    since, until = times[len(times) // 3], times[2 * len(times) // 3]
    assert since < until
    found = shared.rows(f"/api/v2/{entity}", limit=500, updated_since=since, updated_until=until)
    assert ids(found) == [
        row["id"] for row in rows if row["update_time"] and since <= row["update_time"] < until
    ]


def test_times_with_offsets_are_accepted(shared: Sandbox) -> None:
    in_utc = shared.rows("/api/v2/deals", limit=500, updated_since="2026-01-01T12:00:00Z")
    elsewhere = shared.rows("/api/v2/deals", limit=500, updated_since="2026-01-01T09:00:00-03:00")
    assert ids(in_utc) == ids(elsewhere)


def test_deals_can_be_selected_by_status_and_deleted_ones_only_explicitly(shared: Sandbox) -> None:
    truth = [row for row in shared.truth("deals") if not row["is_archived"]]
    for statuses in ("open", "won", "lost", "deleted", "open,won,lost,deleted", "won,deleted"):
        found = shared.rows("/api/v2/deals", limit=50, status=statuses)
        assert ids(found) == sorted(row["id"] for row in truth if row["status"] in statuses.split(","))
        assert found, statuses
    assert not any(row["is_deleted"] for row in shared.rows("/api/v2/deals", limit=500))


def test_archived_deals_are_only_in_the_archived_list(shared: Sandbox) -> None:
    archived = shared.rows("/api/v2/deals/archived", limit=500, status="open,won,lost,deleted")
    current = shared.rows("/api/v2/deals", limit=500, status="open,won,lost,deleted")
    assert archived
    assert all(row["is_archived"] and row["archive_time"] for row in archived)
    assert not any(row["is_archived"] for row in current)
    assert sorted(ids(archived) + ids(current)) == sorted(ids(shared.truth("deals")))


@pytest.mark.parametrize(
    ("entity", "param", "key"),
    [
        ("deals", "owner_id", "owner_id"),
        ("deals", "person_id", "person_id"),
        ("deals", "org_id", "org_id"),
        ("deals", "pipeline_id", "pipeline_id"),
        ("deals", "stage_id", "stage_id"),
        ("persons", "org_id", "org_id"),
        ("organizations", "owner_id", "owner_id"),
        ("activities", "deal_id", "deal_id"),
        ("activities", "person_id", "person_id"),
        ("products", "owner_id", "owner_id"),
        ("stages", "pipeline_id", "pipeline_id"),
    ],
)
def test_quick_filters_select_rows(shared: Sandbox, entity: str, param: str, key: str) -> None:
    rows = shared.rows(f"/api/v2/{entity}", limit=500)
    wanted = next(row[key] for row in reversed(rows) if row[key] is not None)
    expected = [row["id"] for row in rows if row[key] == wanted]
    assert len(expected) < len(rows)
    assert ids(shared.rows(f"/api/v2/{entity}", limit=500, **{param: wanted})) == expected


def test_more_filters_select_rows(shared: Sandbox) -> None:
    deal = next(row for row in shared.rows("/api/v2/deals", limit=500) if row["person_id"])
    assert ids(shared.rows("/api/v2/persons", deal_id=deal["id"])) == [deal["person_id"]]
    done = shared.rows("/api/v2/activities", limit=500, done="true")
    todo = shared.rows("/api/v2/activities", limit=500, done="false")
    assert {row["done"] for row in done} == {True}
    assert len(done) + len(todo) == len(shared.truth("activities"))
    assert ids(shared.api("/api/v2/organizations", ids="3,999999,1").granted()["data"]) == [1, 3]


def test_line_items_of_chosen_deals_are_returned(shared: Sandbox) -> None:
    lines = shared.truth("deal_products")
    deals = sorted({line["deal_id"] for line in lines})[:20]
    found = shared.rows("/api/v2/deals/products", deal_ids=",".join(map(str, deals)), limit=3)
    assert found == [line for line in sorted(lines, key=lambda line: line["id"]) if line["deal_id"] in deals]


OPTIONAL = {"deals": "products_count,source_lead_id", "persons": "doi_status", "activities": "attendees"}


@pytest.mark.parametrize("entity", OPTIONAL)
def test_optional_keys_are_returned_only_on_request(shared: Sandbox, entity: str) -> None:
    asked = set(OPTIONAL[entity].split(","))
    plain = shared.api(f"/api/v2/{entity}", limit=1).granted()["data"][0]
    more = shared.api(f"/api/v2/{entity}", limit=1, include_fields=OPTIONAL[entity]).granted()["data"][0]
    assert not asked & plain.keys()
    assert more.keys() - plain.keys() == asked
    single = shared.api(f"/api/v2/{entity}/{more['id']}", include_fields=OPTIONAL[entity]).granted()["data"]
    assert single == more


@pytest.mark.parametrize("entity", CUSTOM)
def test_custom_fields_can_be_chosen(shared: Sandbox, entity: str) -> None:
    every = shared.api(f"/api/v2/{entity}", limit=20).granted()["data"]
    keys = sorted(every[0]["custom_fields"])[:3]
    some = shared.api(f"/api/v2/{entity}", limit=20, custom_fields=",".join(keys)).granted()["data"]
    assert [row["custom_fields"] for row in some] == [
        {key: value for key, value in row["custom_fields"].items() if key in keys} for row in every
    ]


def test_labels_are_returned_on_request(shared: Sandbox) -> None:
    fields = {row["field_code"]: row for row in shared.truth("fields") if row["entity"] == "deal"}
    plain = shared.rows("/api/v2/deals", limit=500)
    labelled = shared.rows("/api/v2/deals", limit=500, include_option_labels="true", include_labels="true")
    compared = deleted = 0
    for bare, rich in zip(plain, labelled, strict=True):
        labels = {option["id"]: option["label"] for option in fields["label_ids"]["options"]}
        assert rich["labels"] == [{"id": i, "label": labels[i]} for i in bare["label_ids"]]
        for key, value in bare["custom_fields"].items():
            if value is None or fields[key]["field_type"] not in ("enum", "set"):
                assert rich["custom_fields"][key] == value
                continue
            options = {option["id"]: option["label"] for option in fields[key]["options"]}
            expected = [
                {"id": i, "label": options.get(i)} for i in (value if isinstance(value, list) else [value])
            ]
            assert rich["custom_fields"][key] == (expected if isinstance(value, list) else expected[0])
            compared += 1
            deleted += any(item["label"] is None for item in expected)
    assert compared
    assert deleted, "an option that no longer exists has no label"


def test_numbers_keep_all_their_digits(living: Sandbox) -> None:
    field = next(
        row
        for row in living.truth("fields")
        if row["entity"] == "deal" and row["is_custom_field"] and row["field_type"] == "double"
    )["field_code"]
    sent = f'{{"value": 12345678901234567.123456789, "custom_fields": {{"{field}": 0.10000000000000000555}}}}'
    request = Request(f"{living.url}/sandbox/records/deals/1", sent.encode(), method="PATCH")
    urlopen(request).close()
    text = living.api("/api/v2/deals/1").text
    assert '"value":12345678901234567.123456789' in text
    assert f'"{field}":0.10000000000000000555' in text
    assert living.truth("deals")[0]["value"] == Decimal("12345678901234567.123456789")


def test_unset_custom_fields_are_null_or_absent_as_requested(shared: Sandbox) -> None:
    with Sandbox(deals=200, unset_fields="absent") as sandbox:
        absent = sandbox.rows("/api/v2/deals", limit=500)
        assert sandbox.rows("/api/v2/activities", limit=1), "a list without custom fields"
    null = shared.rows("/api/v2/deals", limit=500)
    assert any(value is None for row in null for value in row["custom_fields"].values())
    assert [row["custom_fields"] for row in absent] == [
        {key: value for key, value in row["custom_fields"].items() if value is not None} for row in null
    ]


@pytest.mark.parametrize("entity", ["deal", "person", "organization", "product", "activity"])
def test_field_definitions_are_listed(shared: Sandbox, entity: str) -> None:
    truth = [row for row in shared.truth("fields") if row["entity"] == entity]
    found = shared.rows(f"/api/v2/{entity}Fields", limit=7)
    assert [row["field_code"] for row in found] == [row["field_code"] for row in truth]
    assert all("ui_visibility" not in row for row in found)
    asked = shared.rows(f"/api/v2/{entity}Fields", limit=500, include_fields="ui_visibility")
    assert all("ui_visibility" in row and "required_fields" not in row for row in asked)
    one = shared.api(f"/api/v2/{entity}Fields/{found[3]['field_code']}").granted()["data"]
    assert one == found[3]
