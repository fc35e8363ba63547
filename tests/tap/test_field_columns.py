"""`field_columns`: which field each column of each table holds, however the streams are distributed over
runs.
"""

from __future__ import annotations

from typing import Any

from pipedrive_sandbox.testing import Sandbox

from .harness import Asked, Record, Run, Say, account, discover, fake, field_definition, run, say, select

FIELDS = ("fields", "field_options")
KEY, OTHER = "0123456789abcdef0123456789abcdef01234567", "fedcba9876543210fedcba9876543210fedcba98"


def columns(*done: Run) -> dict[tuple[str, str], Record]:
    """Return the rows by table and column, where the last one wins."""
    rows = [row for one in done for row in one.records("field_columns")]
    return {(row["stream"], row["column_name"]): row for row in rows}


def test_each_table_names_its_columns(shared: Sandbox) -> None:
    done = run(shared.url).good()
    found = columns(done)
    tables = {"organizations", "persons", "products", "deals", "leads"}
    assert {table for table, _ in found} == tables
    for table in tables:
        described = {
            column: schema["description"].removeprefix("Custom field ")
            for column, schema in done.columns(table).items()
            if str(schema.get("description")).startswith("Custom field ")
        }
        listed = {
            column: row["field_code"]
            for (stream, _), row in found.items()
            if stream == table
            for column in row["all_columns"]
        }
        assert listed == described
    assert all(row["is_current"] for row in found.values())


def test_a_field_may_have_another_column_in_leads_than_in_deals() -> None:
    lists = {
        "/api/v2/dealFields": [field_definition(KEY, "Status", "enum", [{"id": 1, "label": "A"}])],
        "/api/v2/deals": [{"id": 1, "custom_fields": {KEY: 1}}],
        "/api/v1/leads": [{"id": "a", KEY: "1"}],
    }
    with fake(account(lists)) as server:
        done = run(server.url).good()
    assert {key: row["all_columns"] for key, row in columns(done).items()} == {
        ("deals", "status_012345"): ["status_012345", "status_012345_id"],
        ("leads", "status"): ["status", "status_id"],
    }
    assert done.records("deals")[0]["status_012345"] == done.records("leads")[0]["status"] == "A"


def test_two_extractors_of_own_states_agree_on_the_names(living: Sandbox) -> None:
    """One extractor reads the fields, the other the deals; a field is renamed in between."""
    field = living.post("/sandbox/fields/deal", {"field_name": "Temperature", "field_type": "double"})
    every = discover(living.url)
    of_fields = select(every, *FIELDS)
    of_deals = select(every, "deals", "leads", "field_columns")
    first = [run(living.url, catalog=of_fields).good(), run(living.url, catalog=of_deals).good()]
    living.patch(f"/sandbox/fields/deal/{field['field_code']}", {"field_name": "Heat"})
    second = [
        run(living.url, catalog=catalog, state=done.state).good()
        for catalog, done in zip([of_fields, of_deals], first, strict=True)
    ]
    found = {
        stream: row
        for (stream, _), row in columns(*second).items()
        if row["field_code"] == field["field_code"]
    }
    assert {stream: row["column_name"] for stream, row in found.items()} == {
        "deals": "temperature",
        "leads": "temperature",
    }
    assert {row["field_name"] for row in found.values()} == {"Heat"}
    assert "temperature" in second[1].columns("deals")
    (row,) = [row for row in second[0].records("fields") if row["field_code"] == field["field_code"]]
    assert (row["field_name"], row["column_name"]) == ("Heat", None), (
        "this extractor does not know the columns and writes none"
    )


def test_runs_that_split_the_streams_write_each_field_once_with_its_column(shared: Sandbox) -> None:
    every = discover(shared.url)
    groups = (("organizations",), ("persons",), ("products", "deals", "leads"), ("activities",))
    shares = [run(shared.url, catalog=select(every, *FIELDS, *group)).good() for group in groups]
    whole = run(
        shared.url, catalog=select(every, *FIELDS, *(name for group in groups for name in group))
    ).good()
    for stream in FIELDS:
        rows = [row for share in shares for row in share.records(stream)]
        assert sorted(rows, key=repr) == sorted(whole.records(stream), key=repr)
    assert {row["entity"] for row in whole.records("fields") if row["column_name"]} > {"deal", "person"}


def test_a_former_column_of_a_field_is_distinguished_from_its_present_one() -> None:
    definition = field_definition(KEY, "Score", "double")
    lists: dict[str, Any] = {"/api/v2/dealFields": [definition], "/api/v2/deals": [{"id": 1}]}
    with fake(account(lists)) as server:
        first = run(server.url).good()
        definition["field_type"] = "varchar"
        second = run(server.url, state=first.state).good()
        assert {
            key[1]: row["is_current"] for key, row in columns(first, second).items() if key[0] == "deals"
        } == {
            "score": False,
            "score_012345": True,
        }
        lists["/api/v2/dealFields"] = []
        third = run(server.url, state=second.state, reconcile_min_ratio=0).good()
    assert columns(third) == {}, "the columns of a deleted field stay as they were written last"


def test_fields_without_a_column_have_no_row() -> None:
    definitions = [field_definition(KEY, "A", "varchar"), field_definition(OTHER, "B", "varchar")]
    with fake(account({"/api/v2/dealFields": definitions, "/api/v2/deals": [{"id": 1}]})) as server:
        assert not columns(run(server.url, custom_fields="json").good())
        one = columns(run(server.url, max_custom_field_columns=1).good())
    assert len({column for _, column in one}) == 1


def test_a_field_that_appears_during_the_run_gets_its_name() -> None:
    old, new = field_definition(OTHER, "Old", "varchar"), field_definition(KEY, "Hot", "double")
    answers = [[old], [old, new]]

    def spoil(asked: Asked) -> Say | None:
        if asked.path == "/api/v2/dealFields":
            return say({"success": True, "data": answers.pop(0) if len(answers) > 1 else answers[0]})
        return None

    lists = {"/api/v2/deals": [{"id": 1, "custom_fields": {KEY: 7}}]}
    with fake(account(lists, spoil=spoil)) as server:
        catalog = {"streams": [entry for entry in BARE if entry["tap_stream_id"] != "leads"]}
        done = run(server.url, catalog=catalog).good()
    assert {column for _, column in columns(done)} == {"old", "hot"}


BARE: list[Record] = [
    {
        "tap_stream_id": name,
        "stream": name,
        "schema": {"type": "object", "properties": {}},
        "metadata": [{"breadcrumb": [], "metadata": {"selected": True}}],
    }
    for name in ("deals", "leads", "field_columns")
]
"""A catalog as a user would write it by hand."""
