# Over 400 lines: catalogs, new columns and stream maps are tested on the same tables.
"""Selection, new columns and stream maps: how catalog and settings change the tables."""

from __future__ import annotations

import hashlib
import json
import random
from copy import deepcopy
from typing import Any

import pytest
from pipedrive_sandbox.testing import Sandbox

from .harness import Asked, Record, Run, Say, account, discover, fake, field_definition, run, say, select

KEY = "0123456789abcdef0123456789abcdef01234567"


def entry(catalog: Record, stream: str) -> Record:
    found: Record = next(one for one in catalog["streams"] if one["tap_stream_id"] == stream)
    return found


def columns_sent(done: Run, stream: str) -> set[str]:
    """Return the columns of SCHEMA, after checking that records have the same."""
    schema = set(done.columns(stream))
    assert done.records(stream)
    for row in done.records(stream):
        assert row.keys() == schema
    return schema


@pytest.fixture
def code(living: Sandbox) -> str:
    """A custom field of deals that has a value in some deals."""
    made = living.post("/sandbox/fields/deal", {"field_name": "Tax number", "field_type": "varchar"})
    for deal in [row for row in living.truth("deals") if not row["is_deleted"] and not row["is_archived"]][
        :5
    ]:
        living.patch(f"/sandbox/records/deals/{deal['id']}", {"custom_fields": {made["field_code"]: "123"}})
    key: str = made["field_code"]
    return key


# Columns


def test_a_deselected_column_appears_nowhere(living: Sandbox, code: str) -> None:
    without = {"title", "value", "tax_number", "lost_reason_id"}
    catalog = select(discover(living.url), "deals", without=[f"deals.{column}" for column in without])
    done = run(living.url, catalog=catalog).good()
    everything = set(entry(catalog, "deals")["schema"]["properties"])
    assert columns_sent(done, "deals") == everything - without


def test_keys_and_the_replication_key_cannot_be_deselected(living: Sandbox) -> None:
    catalog = select(discover(living.url), "persons", without=["persons.id", "persons.update_time"])
    assert {"id", "update_time"} <= columns_sent(run(living.url, catalog=catalog).good(), "persons")


def test_deselected_streams_cost_nothing(living: Sandbox) -> None:
    catalog = select(discover(living.url), "users")
    living.post("/sandbox/stats/reset")
    done = run(living.url, catalog=catalog).good()
    assert {message.get("stream") for message in done.messages} <= {"users", None}
    whose_token = "GET /api/v1/users/me"
    assert living.stats()["endpoints"].keys() == {whose_token, "GET /api/v1/users"}


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_columns_in_the_catalog_does_not_matter(living: Sandbox, seed: int) -> None:
    """The catalog may come from a tool that sorts keys."""
    living.post("/sandbox/fields/deal", {"field_name": "Site", "field_type": "address"})
    catalog = select(discover(living.url), "deals", without=["deals.site_postal_code", "deals.site_route"])
    everything = set(entry(catalog, "deals")["schema"]["properties"])
    names = sorted(everything)
    if seed:
        random.Random(seed).shuffle(names)
    schema = entry(catalog, "deals")["schema"]
    schema["properties"] = {name: schema["properties"][name] for name in names}
    entry(catalog, "deals")["metadata"].sort(key=lambda item: item["breadcrumb"])
    done = run(living.url, catalog=catalog).good()
    assert columns_sent(done, "deals") == everything - {"site_postal_code", "site_route"}


def test_a_record_that_is_rejected_whole_shows_no_deselected_column() -> None:
    secret = "ana@example.com"
    rows = [{"name": "Ana", "emails": [{"value": secret, "primary": True}]}, {"id": 1, "name": "Bea"}]
    without = ["persons.emails", "persons.primary_email"]
    with fake(account({"/api/v2/persons": rows})) as server:
        catalog = select(discover(server.url), "persons", "rejected_values", without=without)
        done = run(server.url, catalog=catalog).good()
    assert len(done.records("rejected_values")) == 1
    assert secret not in json.dumps(done.messages, default=str)


@pytest.mark.parametrize("maps", [{}, {"stream_maps": {"persons": {"birthday": None, "name": None}}}])
def test_a_rejected_value_of_a_hidden_column_is_not_shown(maps: dict[str, Any]) -> None:
    """Neither the value nor the error shows it; the column is deselected, or removed by a stream map."""
    secret = "1987-secr-et"
    rows = [{"id": 1, "birthday": secret, "name": {"x": secret}, "add_time": f"{secret}T00:00:00"}]
    hidden = [f"persons.{column}" for column in ("birthday", "name", "add_time")]
    with fake(account({"/api/v2/persons": rows})) as server:
        without = [] if maps else hidden
        catalog = select(discover(server.url), "persons", "rejected_values", without=without)
        done = run(server.url, catalog=catalog, **maps).good()
    assert len(done.records("rejected_values")) == 3
    written = json.dumps(done.messages, default=str)
    assert "1987" not in written
    assert "secr" not in written


def test_rejects_are_not_written_if_their_stream_is_not_selected() -> None:
    rows = [{"id": 1, "birthday": "nonsense"}]
    with fake(account({"/api/v2/persons": rows})) as server:
        done = run(server.url, catalog=select(discover(server.url), "persons")).good()
    assert done.records("persons")[0]["birthday"] is None
    assert done.of("RECORD", "rejected_values") == done.of("SCHEMA", "rejected_values") == []


# Renames


def test_a_selection_finds_its_column_after_a_rename(living: Sandbox, code: str) -> None:
    """The catalog was made before the first run under the old name, which the state keeps."""
    catalog = select(discover(living.url), "deals", without=["deals.tax_number"])
    first = run(living.url, catalog=catalog).good()
    living.patch(f"/sandbox/fields/deal/{code}", {"field_name": "Fiscal code"})
    second = run(living.url, catalog=catalog, state=first.state).good()
    for done in (first, second):
        assert not {"tax_number", "fiscal_code"} & columns_sent(done, "deals")


def test_a_catalog_with_the_new_name_selects_the_column_of_the_old_one(living: Sandbox, code: str) -> None:
    first = run(living.url, catalog=select(discover(living.url), "deals")).good()
    living.patch(f"/sandbox/fields/deal/{code}", {"field_name": "Fiscal code"})
    fresh = discover(living.url)
    assert "fiscal_code" in entry(fresh, "deals")["schema"]["properties"]
    with_it = run(living.url, catalog=select(fresh, "deals"), state=first.state).good()
    assert "tax_number" in columns_sent(with_it, "deals")
    off = select(fresh, "deals", without=["deals.fiscal_code"])
    without_it = run(living.url, catalog=off, state=first.state).good()
    assert not {"tax_number", "fiscal_code"} & columns_sent(without_it, "deals")


def test_discovery_with_a_state_uses_the_name_that_was_kept(living: Sandbox, code: str) -> None:
    from tap_pipedrive.tap import TapPipedrive

    first = run(living.url, catalog=select(discover(living.url), "deals")).good()
    living.patch(f"/sandbox/fields/deal/{code}", {"field_name": "Fiscal code"})
    tap = TapPipedrive(config={"api_url": living.url, "api_token": living.token}, state=deepcopy(first.state))
    properties = entry(json.loads(json.dumps(tap.catalog_dict, default=str)), "deals")["schema"]["properties"]
    assert "tax_number" in properties
    assert "fiscal_code" not in properties


def test_a_deselected_part_of_a_field_stays_deselected(living: Sandbox) -> None:
    made = living.post("/sandbox/fields/deal", {"field_name": "Fee", "field_type": "monetary"})
    catalog = select(discover(living.url), "deals", without=["deals.fee_currency"])
    first = run(living.url, catalog=catalog).good()
    living.patch(f"/sandbox/fields/deal/{made['field_code']}", {"field_name": "Charge"})
    second = run(living.url, catalog=catalog, state=first.state).good()
    for done in (first, second):
        sent = set(done.columns("deals"))
        assert "fee" in sent
        assert not {"fee_currency", "charge", "charge_currency"} & sent


# New fields


OTHER = "fedcba9876543210fedcba9876543210fedcba98"


@pytest.mark.parametrize(
    "settings", [{}, {"stream_maps": {"deals": {"twice": "id * 2"}}}], ids=["plain", "mapped"]
)
@pytest.mark.parametrize("is_wanted", [True, False])
def test_a_field_that_appears_during_the_run_gets_its_column_at_once(
    settings: Record, is_wanted: bool
) -> None:
    """Its first values arrive with the first page, after the definitions were read without it. It is selected
    if the stream's column for values without a definition is.
    """
    old, new = field_definition(OTHER, "Old", "varchar"), field_definition(KEY, "Hot", "double")
    definitions = [[old], [old], [old, new]]  # for discovery, for the run, and for the run's second reading
    deals = [
        {"id": 1, "custom_fields": {OTHER: "a", KEY: 7}},
        {"id": 2, "custom_fields": {OTHER: "b", KEY: None}},
    ]

    def spoil(asked: Asked) -> Say | None:
        if asked.path == "/api/v2/dealFields":
            return say(
                {"success": True, "data": definitions.pop(0) if len(definitions) > 1 else definitions[0]}
            )
        return None

    with fake(account({"/api/v2/deals": deals}, spoil=spoil)) as server:
        without = ["deals.title", "deals.old", *([] if is_wanted else ["deals.custom_fields_overflow"])]
        catalog = select(discover(server.url), "deals", without=without)
        done = run(server.url, catalog=catalog, **settings).good()
        fields = [asked for asked in server.asked if asked.path == "/api/v2/dealFields"]
    assert "hot" not in done.of("SCHEMA", "deals")[0]["schema"]["properties"]
    shown: set[str] = {"hot", "custom_fields_overflow"} if is_wanted else set()
    columns = ("id", "hot", "custom_fields_overflow")
    found = [tuple(map(row.get, columns)) for row in done.records("deals")]
    assert found == [(1, 7 if is_wanted else None, None), (2, None, None)]
    assert columns_sent(done, "deals") & {"title", "old", "hot", "custom_fields_overflow"} == shown
    assert len(fields) == 3


def test_values_without_a_definition_are_kept_and_looked_up_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    deals = [{"id": 1, "custom_fields": {KEY: 7}}]
    with fake(account({"/api/v2/deals": deals, "/api/v2/deals/archived": deals})) as server:
        catalog = select(discover(server.url), "deals")
        before = len(server.asked)
        done = run(server.url, catalog=catalog).good()
        fields = [asked for asked in server.asked[before:] if asked.path == "/api/v2/dealFields"]
    assert [row["custom_fields_overflow"] for row in done.records("deals")] == [{KEY: 7}] * 2
    assert len(fields) == 2
    assert len([one for one in caplog.records if KEY in one.getMessage()]) == 1


def test_a_new_field_gets_a_column_even_if_the_catalog_is_older(living: Sandbox) -> None:
    catalog = select(discover(living.url), "deals")
    first = run(living.url, catalog=catalog).good()
    made = living.post("/sandbox/fields/deal", {"field_name": "Hot", "field_type": "varchar"})
    deal = next(row for row in living.truth("deals") if not row["is_deleted"] and not row["is_archived"])
    living.patch(f"/sandbox/records/deals/{deal['id']}", {"custom_fields": {made["field_code"]: "yes"}})
    second = run(living.url, catalog=catalog, state=first.state).good()
    assert set(second.columns("deals")) - set(first.columns("deals")) == {"hot"}
    assert {row["hot"] for row in second.records("deals") if row["id"] == deal["id"]} == {"yes"}


@pytest.mark.parametrize("listed", ["all columns", "without the overflow", "only two columns"])
def test_a_column_newer_than_the_catalog_is_selected_as_its_stream_is(living: Sandbox, listed: str) -> None:
    """A catalog that selects two columns shows no other one, now or later."""
    catalog = select(discover(living.url), "deals")
    one = entry(catalog, "deals")
    for item in one["metadata"]:
        if item["breadcrumb"]:
            item["metadata"]["selected"] = item["breadcrumb"][1] in ("id", "title")
    kept = {"id", "title", "update_time"}
    if listed != "all columns":
        kept_or_other = kept | ({"value", "status"} if listed == "without the overflow" else set())
        one["metadata"] = [
            item
            for item in one["metadata"]
            if not item["breadcrumb"] or item["breadcrumb"][1] in kept_or_other
        ]
        one["schema"]["properties"] = {
            name: schema for name, schema in one["schema"]["properties"].items() if name in kept_or_other
        }
    made = living.post("/sandbox/fields/deal", {"field_name": "Hot", "field_type": "varchar"})
    deal = next(row for row in living.truth("deals") if not row["is_deleted"] and not row["is_archived"])
    living.patch(f"/sandbox/records/deals/{deal['id']}", {"custom_fields": {made["field_code"]: "secret!"}})
    done = run(living.url, catalog=catalog).good()
    if listed == "only two columns":  # the catalog alone would select all columns
        assert "secret!" in json.dumps(done.messages, default=str)
    else:
        assert columns_sent(done, "deals") == kept
        assert "secret!" not in json.dumps(done.messages, default=str)


def test_a_column_that_belonged_to_another_field_when_the_catalog_was_made_is_not_confused() -> None:
    """The catalog deselects the column `score` of one field, which belongs to another field now; there is no
    state.
    """
    deals = [{"id": 1, "custom_fields": {KEY: "a", OTHER: "b"}}]
    lists: dict[str, Any] = {
        "/api/v2/dealFields": [
            field_definition(KEY, "Score", "varchar"),
            field_definition(OTHER, "X", "varchar"),
        ],
        "/api/v2/deals": deals,
    }
    with fake(account(lists)) as server:
        catalog = select(discover(server.url), "deals", without=["deals.score"])
        lists["/api/v2/dealFields"] = [
            field_definition(KEY, "Points", "varchar"), field_definition(OTHER, "Score", "varchar")
        ]  # fmt: skip
        done = run(server.url, catalog=catalog).good()
    assert [(row.get("points"), row.get("score")) for row in done.records("deals")] == [(None, "b")]


def test_a_catalog_may_contain_deleted_fields_and_unknown_streams(living: Sandbox, code: str) -> None:
    catalog = select(discover(living.url), "deals", "users")
    living.delete(f"/sandbox/fields/deal/{code}")
    gone = deepcopy(entry(catalog, "users")) | {"tap_stream_id": "gone", "stream": "gone"}
    catalog["streams"].append(gone)
    done = run(living.url, catalog=catalog).good()
    assert "tax_number" not in columns_sent(done, "deals")
    assert done.records("users")


def test_a_catalog_without_column_metadata_selects_all_columns(living: Sandbox) -> None:
    catalog = select(discover(living.url), "persons")
    one = entry(catalog, "persons")
    one["metadata"] = [item for item in one["metadata"] if not item["breadcrumb"]]
    assert columns_sent(run(living.url, catalog=catalog).good(), "persons") == set(
        one["schema"]["properties"]
    )


# Stream maps and flattening


def test_stream_maps_can_hash_and_drop(living: Sandbox) -> None:
    maps = {
        "persons": {"primary_email": "md5(primary_email) if primary_email else None", "emails": "__NULL__"},
        "notes": "__NULL__",
    }
    catalog = select(discover(living.url), "persons", "notes", "deals")
    plain = run(living.url, catalog=catalog).good()
    mapped = run(living.url, catalog=catalog, stream_maps=maps).good()
    assert mapped.records("notes") == []
    assert "emails" not in columns_sent(mapped, "persons")
    for before, after in zip(plain.records("persons"), mapped.records("persons"), strict=True):
        mail = before["primary_email"]
        assert after["primary_email"] == (hashlib.md5(mail.encode()).hexdigest() if mail else None)
        assert {**after, "primary_email": None} == {
            column: None if column == "primary_email" else value
            for column, value in before.items()
            if column != "emails"
        }
    assert mapped.records("deals") == plain.records("deals")


def test_stream_maps_keep_numbers_exact_and_include_new_columns() -> None:
    lists: dict[str, Any] = {
        "/api/v2/dealFields": [field_definition(KEY, "Exact", "double")],
        "/api/v2/deals": [{"id": 1, "value": 1, "custom_fields": {KEY: 12345678901234567}}],
    }
    with fake(account(lists)) as server:
        done = run(server.url, stream_maps={"deals": {"doubled": "value * 2"}}).good()
    row = done.records("deals")[0]
    assert (row["exact"], row["doubled"]) == (12345678901234567, 2)


def test_a_rejected_value_of_a_mapped_stream_is_not_shown() -> None:
    rows = [{"id": 1, "birthday": "nonsense-and-secret"}]
    with fake(account({"/api/v2/persons": rows})) as server:
        done = run(server.url, stream_maps={"persons": {"birthday": "__NULL__"}}).good()
    assert len(done.records("rejected_values")) == 1
    assert "nonsense-and-secret" not in json.dumps(done.messages, default=str)


def test_flattening_works(living: Sandbox) -> None:
    catalog = select(discover(living.url), "organizations", "persons")
    done = run(living.url, catalog=catalog, flattening_enabled=True, flattening_max_depth=1).good()
    truth = {row["id"]: row for row in living.truth("organizations")}
    for row in done.records("organizations"):
        assert not any(isinstance(value, dict | list) for value in row.values())
    assert {row["id"] for row in done.records("organizations")} == set(truth)
    assert any(json.loads(row["emails"]) for row in done.records("persons") if row["emails"])


@pytest.mark.parametrize(
    ("maps", "sentence"),
    [
        ({"person": {"name": None}}, "there is no stream person; did you mean persons?"),
        ({"deals": None, "Deals": None}, "there is no stream Deals; did you mean deals?"),
        ({"people": {"__source__": "personas"}}, "there is no stream personas; did you mean persons?"),
        ({"xyz*": None}, "there is no stream xyz*."),
    ],
)
def test_a_map_of_an_unknown_stream_is_refused_with_its_name(maps: Record, sentence: str) -> None:
    """Otherwise the map would hide nothing, and the run would succeed."""
    with fake(account({})) as server:
        done = run(server.url, stream_maps=maps)
        assert str(done.error) == f"Setting stream_maps: {sentence}"
        assert server.asked == []


def test_a_map_that_hides_an_unknown_column_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    with fake(account({"/api/v2/persons": [{"id": 1}]})) as server:
        maps = {"persons": {"primary_emial": None, "emails": None, "twice": "id * 2", "__filter__": "id > 0"}}
        run(server.url, stream_maps=maps).good()
    (warning,) = [text for text in caplog.messages if "stream_maps" in text]
    assert warning == (
        "Setting stream_maps: persons has no column primary_emial; did you mean primary_email?"
    )


DROPPED: list[tuple[Record, set[str]]] = [
    ({"persons": None}, {"deals", "users"}),
    ({"persons": "__NULL__", "deal*": None}, {"users"}),
    ({"users": {}, "__else__": None}, {"users"}),
    ({"*": None, "deals": {"twice": "id * 2"}}, {"deals"}),
    ({"persons": None, "people": {"__source__": "persons", "name": None}}, {"deals", "users", "persons"}),
]


@pytest.mark.parametrize(("maps", "asked"), DROPPED, ids=range(len(DROPPED)))
def test_streams_mapped_to_nothing_cost_nothing(living: Sandbox, maps: Record, asked: set[str]) -> None:
    catalog = select(discover(living.url), "deals", "persons", "users")
    living.post("/sandbox/stats/reset")
    done = run(living.url, catalog=catalog, stream_maps=maps).good()
    lists = {"GET /api/v2/deals": "deals", "GET /api/v2/persons": "persons", "GET /api/v1/users": "users"}
    endpoints = living.stats()["endpoints"].keys()
    assert {stream for endpoint, stream in lists.items() if endpoint in endpoints} == asked
    fields = {"deals": "GET /api/v2/dealFields", "persons": "GET /api/v2/personFields"}
    assert {stream for stream, endpoint in fields.items() if endpoint in endpoints} == asked - {"users"}
    written = {"people" if stream == "persons" else stream for stream in asked}
    assert {message["stream"] for message in done.of("RECORD")} == written


@pytest.mark.parametrize("is_filtered", [True, False])
def test_a_filter_prevents_rows_from_being_marked_as_deleted(
    living: Sandbox, is_filtered: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Filtered rows may be in the warehouse from earlier runs."""
    catalog = select(discover(living.url), "persons", "users")
    first = run(living.url, catalog=catalog).good()
    limit = max(row["id"] for row in first.records("persons")) - (3 if is_filtered else 0)
    maps = {"persons": {"__filter__": f"id <= {limit}"}}
    second = run(living.url, catalog=catalog, state=first.state, stream_maps=maps, reconcile=True).good()
    marked = {message["stream"] for message in second.of("ACTIVATE_VERSION")}
    assert marked == ({"users"} if is_filtered else {"users", "persons"})
    warnings = [text for text in caplog.messages if "a filter in stream_maps leaves 3 rows out" in text]
    assert bool(warnings) == is_filtered
