"""Changes of custom fields between two runs: their columns, the log, and the rows of `schema_changes`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from .harness import Asked, Record, Run, Say, account, discover, fake, field_definition, run, say, select

FIELDS = "/api/v2/dealFields"
STREAMS = ("deals", "leads", "field_columns", "schema_changes")


def key(number: int) -> str:
    return f"{number:040x}"


class World:
    """An account with one deal and two custom fields."""

    def __init__(self) -> None:
        self.fields = [field_definition(key(number), f"Field {number}", "varchar") for number in range(2)]
        self.values: Record = {key(0): "a", key(1): "b"}
        self.now = datetime(2026, 11, 22, tzinfo=UTC)
        self.changed_at = self.now
        self.url = ""
        self.state: Record | None = None
        self.catalog: Record = {}

    def answer(self, asked: Asked) -> Say | None:
        rows: list[Record] = []
        if asked.path == FIELDS:
            rows = self.fields
        elif asked.path == "/api/v2/deals":
            at = f"{self.changed_at:%Y-%m-%dT%H:%M:%SZ}"
            if at >= asked.params.get("updated_since", ""):
                rows = [{"id": 1, "update_time": at, "custom_fields": self.values}]
        return self.say(rows)

    def say(self, rows: list[Record]) -> Say:
        answer = say({"success": True, "data": rows}, x_ratelimit_limit="480")
        return replace(answer, date=format_datetime(self.now, usegmt=True))

    def read(self, *, changed: bool = True, **settings: Any) -> Run:
        """Run the tap ten minutes after the run before, from its state; by default the deal has changed."""
        self.now += timedelta(minutes=10)
        if changed:
            self.changed_at = self.now - timedelta(minutes=1)
        done = run(self.url, state=self.state, catalog=self.catalog, lookback_seconds=0, **settings).good()
        self.state = done.state
        return done


@pytest.fixture
def world() -> Iterator[World]:
    found = World()
    with fake(account({}, spoil=found.answer)) as server:
        found.url, found.catalog = server.url, select(discover(server.url), *STREAMS)
        yield found


def changes(done: Run, stream: str = "deals") -> list[tuple[Any, ...]]:
    """Return type of change, names, types and columns of a table's changes."""
    parts = ("change", "old_name", "new_name", "old_type", "new_type", "old_column", "new_column")
    return [
        tuple(row[part] for part in parts)
        for row in done.records("schema_changes")
        if row["stream"] == stream
    ]


def deal(done: Run) -> Record:
    return done.records("deals")[-1]


# The report


def test_a_first_run_and_a_run_without_changes_report_nothing(world: World) -> None:
    assert changes(world.read()) == changes(world.read()) == []


def test_each_change_is_reported_once_with_old_and_new_column(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    world.read()
    world.fields.append(field_definition(key(2), "Field 2", "double"))
    done = world.read()
    assert changes(done) == [("added", None, "Field 2", None, "double", None, "field_2")]
    assert changes(done, "leads") == changes(done), "which carry the deals' fields"
    world.fields[0]["field_name"] = "Renamed"
    assert changes(world.read()) == [
        ("renamed", "Field 0", "Renamed", "varchar", "varchar", "field_0", "field_0")
    ]
    world.fields[1]["field_type"] = "double"
    world.values[key(1)] = 5
    assert changes(world.read()) == [
        ("retyped", "Field 1", "Field 1", "varchar", "double", "field_1", "field_1_000000")
    ]
    gone = world.fields.pop(0)
    assert changes(world.read()) == [("deleted", "Renamed", None, "varchar", None, "field_0", None)]
    assert changes(world.read()) == []
    world.fields.append({**gone, "field_name": "Back"})
    assert changes(world.read()) == [
        ("restored", "Renamed", "Back", "varchar", "varchar", "field_0", "field_0"),
        ("renamed", "Renamed", "Back", "varchar", "varchar", "field_0", "field_0"),
    ]
    assert changes(world.read(custom_field_names={key(0): "mine"})) == [
        ("moved", "Back", "Back", "varchar", "varchar", "field_0", "mine")
    ]
    said = [line for line in caplog.messages if line.startswith("deals: the custom field")]
    for sentence in (
        "deals: the custom field Field 2 was added; its column is field_2.",
        "deals: the custom field Field 0 is called Renamed now; its column stays field_0.",
        "deals: the custom field Field 1 was varchar in field_1, and is double in field_1_000000 now.",
        "deals: the custom field Renamed was deleted; its column field_0 keeps what it has.",
        "deals: the custom field Back is there again; its column is field_0.",
        "deals: the custom field Back was in the column field_0, and is in mine now.",
    ):
        assert said.count(sentence) == 1, sentence


def test_a_field_that_is_added_during_a_run_is_reported(world: World) -> None:
    world.read()
    late = field_definition(key(3), "Late", "varchar")
    before = list(world.fields)
    answers = iter([before, [*before, late]])

    def spoil(asked: Asked) -> Say | None:
        if asked.path == FIELDS:
            return world.say(next(answers))
        return world.answer(asked)

    world.values[key(3)] = "c"
    with fake(account({}, spoil=spoil)) as server:
        world.url = server.url
        done = world.read()
    assert changes(done) == [("added", None, "Late", None, "varchar", None, "late")]
    assert deal(done)["late"] == "c"


def test_a_change_is_still_reported_after_a_run_that_died(world: World) -> None:
    """The next run reports it, because the state does not have the new name yet."""
    world.read()
    before = world.state
    world.fields[0]["field_name"] = "Renamed"
    first = world.read()
    world.state = before
    assert changes(world.read()) == changes(first) != []


def test_a_state_of_an_older_version_has_no_names_to_compare(world: World) -> None:
    world.read()
    assert world.state
    del world.state["bookmarks"]["deals"]["custom_field_names"]
    world.fields[0]["field_name"] = "Renamed"
    assert changes(world.read()) == []
    del world.fields[1]
    assert [change[0] for change in changes(world.read())] == ["deleted"]


def test_the_stream_is_optional(world: World) -> None:
    world.catalog = select(world.catalog, "deals")
    world.read()
    world.fields[0]["field_name"] = "Renamed"
    assert world.read().of("SCHEMA", "schema_changes") == []


# The policy for new fields


def test_a_new_field_is_ignored_until_it_is_adopted_and_then_has_all_values(world: World) -> None:
    world.read(new_custom_fields="ignore")
    world.fields.append(field_definition(key(2), "Field 2", "enum", [{"id": 4, "label": "D"}]))
    world.values[key(2)] = 4
    done = world.read(new_custom_fields="ignore")
    assert changes(done) == [("ignored", None, "Field 2", None, None, None, None)]
    assert "field_2" not in done.columns("deals")
    assert deal(done)["custom_fields_overflow"] == {key(2): 4}
    again = world.read(new_custom_fields="ignore")
    assert changes(again) == []
    assert deal(again)["custom_fields_overflow"] == {key(2): 4}
    adopted = world.read(changed=False)
    assert changes(adopted) == [("adopted", "Field 2", "Field 2", None, "enum", None, "field_2")]
    assert (deal(adopted)["field_2"], deal(adopted)["field_2_id"]) == ("D", 4), "although it has not changed"
    assert deal(adopted)["custom_fields_overflow"] is None


def test_ignored_fields_cost_no_reading_of_their_definitions(world: World) -> None:
    world.read(new_custom_fields="ignore")
    world.fields.append(field_definition(key(2), "Field 2", "varchar"))
    world.values[key(2)] = "c"
    done = world.read(new_custom_fields="ignore")
    requests = done.tap.run.client.requests  # type: ignore[union-attr]
    assert requests[FIELDS, 200] == 1


def test_the_first_run_adopts_all_existing_fields(world: World) -> None:
    done = world.read(new_custom_fields="ignore")
    assert (deal(done)["field_0"], deal(done)["field_1"]) == ("a", "b")
    world.fields[0]["field_name"] = "Renamed"
    gone = world.fields.pop(1)
    world.read(new_custom_fields="ignore")
    world.fields.append(gone)
    done = world.read(new_custom_fields="ignore")
    assert (deal(done)["field_0"], deal(done)["field_1"]) == ("a", "b"), "known ones keep their columns"


def test_an_ignored_field_that_is_deleted_leaves_no_trace(world: World) -> None:
    world.read(new_custom_fields="ignore")
    world.fields.append(field_definition(key(2), "Field 2", "varchar"))
    world.read(new_custom_fields="ignore")
    world.fields.pop()
    assert changes(world.read(new_custom_fields="ignore")) == []
    assert "field_2" not in world.read().columns("deals")


@pytest.mark.parametrize("mode", ["json", "both"])
def test_the_raw_object_contains_ignored_fields(world: World, mode: str) -> None:
    world.read(new_custom_fields="ignore", custom_fields=mode)
    world.fields.append(field_definition(key(2), "Field 2", "varchar"))
    world.values[key(2)] = "c"
    done = world.read(new_custom_fields="ignore", custom_fields=mode)
    assert deal(done)["custom_fields"][key(2)] == "c"
