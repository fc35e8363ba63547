"""Definitions that vanish, come back, change their type or arrive late: no row keeps outdated values."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from pipedrive_sandbox.testing import Sandbox

from .harness import (
    Asked,
    Record,
    Run,
    Say,
    account,
    discover,
    fake,
    field_definition,
    replay,
    run,
    say,
    select,
)

FIELDS = "/api/v2/dealFields"
BUILT_IN = {"field_code": "title", "field_name": "Title", "field_type": "varchar", "is_custom_field": False}


def key(number: int) -> str:
    return f"{number:040x}"


def custom(sandbox: Sandbox, entity: str = "deal") -> list[Record]:
    """Return the custom fields of an entity as the account defines them."""
    return [row for row in sandbox.rows(f"/api/v2/{entity}Fields") if row["is_custom_field"]]


class Account:
    """A small account of deals that change, the latest last, whose list of definitions can be altered."""

    def __init__(self, fields: int, deals: int = 4) -> None:
        self.fields = [field_definition(key(number), f"F{number}", "varchar") for number in range(fields)]
        self.shown: Sequence[Any] | None = None
        """If set, the list of definitions that is answered instead, including built-in fields."""
        self.deals: list[Record] = [
            {"id": number, "custom_fields": {}, "update_time": f"2026-11-01T00:0{number}:00Z"}
            for number in range(1, deals + 1)
        ]
        self.now = datetime(2026, 11, 3, tzinfo=UTC)
        self.catalog: Record | None = None

    def change(self, deal: int, **values: Any) -> None:
        """Set custom fields of a deal, by the number of the field."""
        row = next(row for row in self.deals if row["id"] == deal)
        values = {key(int(name.removeprefix("f"))): value for name, value in values.items()}
        row["custom_fields"] = {**row["custom_fields"], **values}
        self.now += timedelta(hours=1)
        row["update_time"] = f"{self.now:%Y-%m-%dT%H:%M:%SZ}"

    def say(self, rows: Sequence[Any]) -> Say:
        """Answer with rows, dated an hour after the last change."""
        return replace(
            say({"success": True, "data": list(rows)}),
            date=format_datetime(self.now + timedelta(hours=1), usegmt=True),
        )

    def answer(self, request: Asked) -> Say | None:
        if request.path == FIELDS:
            return self.say(self.shown if self.shown is not None else self.all())
        if request.path == "/api/v2/deals":
            since = request.params.get("updated_since", "")
            rows = sorted(self.deals, key=lambda row: (row["update_time"], row["id"]))
            return self.say([row for row in rows if row["update_time"] >= since])
        return None

    def all(self) -> list[Any]:
        return [BUILT_IN, *self.fields]

    def run(self, url: str, state: Record | None = None, **settings: Any) -> Run:
        self.now += timedelta(hours=2)
        self.catalog = self.catalog or select(discover(url), "deals", "users")
        return run(url, catalog=self.catalog, state=state, lookback_seconds=0, **settings)


def column(done: Sequence[Run], name: str) -> list[Any]:
    """Return one column of the deals as it is after several runs."""
    rows: dict[int, Record] = {}
    for record in (record for one in done for record in one.records("deals")):
        rows[record["id"]] = {**rows.get(record["id"], {}), **record}  # merge as an upsert does
    return [rows[number].get(name) for number in sorted(rows)]


@pytest.mark.parametrize(
    "shown",
    [[], [BUILT_IN], [None, 5, {}], [BUILT_IN, "first half"]],
    ids=["empty", "built-in ones alone", "nonsense", "a page is missing"],
)
def test_definitions_that_vanish_all_at_once_stop_only_their_entity(shown: list[Any]) -> None:
    """Rows read without their columns would keep the old values in the warehouse."""
    world = Account(fields=20)
    with fake(account({"/api/v1/users": [{"id": 1}]}, spoil=world.answer)) as server:
        first = world.run(server.url).good()
        world.change(2, f0="new", f19="new")
        world.shown = [BUILT_IN, *world.fields[:10]] if "first half" in shown else shown
        second = world.run(server.url, state=first.state)
        left = 10 if "first half" in shown else 0
        assert str(second.error).startswith(
            "Everything else is loaded, but these are missing: deals: "
            f"GET {FIELDS} lists only {left} of the 20 custom fields that have columns"
        )
        assert second.records("deals") == []
        assert second.records("users")
        assert sum(seen.path == "/api/v2/deals" for seen in server.asked) == 1, "the first run's request"
        world.shown = None
        third = world.run(server.url, state=second.state).good()
    assert column([first, second, third], "f0") == [None, "new", None, None]
    assert column([first, second, third], "f19") == [None, "new", None, None]


def test_deleting_all_fields_can_be_confirmed() -> None:
    world = Account(fields=3)
    with fake(account({}, spoil=world.answer)) as server:
        first = world.run(server.url).good()
        world.fields = []
        assert world.run(server.url, state=first.state).error
        second = world.run(server.url, state=first.state, reconcile_min_ratio=0).good()
        world.run(server.url, state=second.state).good()


def test_a_list_that_is_complete_at_the_second_reading_is_used() -> None:
    world = Account(fields=20)
    with fake(account({}, spoil=world.answer)) as server:
        first = world.run(server.url).good()
        world.change(1, f3="new")
        answers = iter([[BUILT_IN], world.all()])

        def spoil(request: Asked) -> Say | None:
            if request.path == FIELDS:
                return world.say(next(answers))
            return world.answer(request)

        catalog = select(discover(server.url), "deals")
        with fake(account({}, spoil=spoil)) as flaky:
            second = run(flaky.url, catalog=catalog, state=first.state).good()
    assert column([first, second], "f3") == ["new", None, None, None]
    assert "undefined_custom_fields" not in second.state["bookmarks"]["deals"]


@pytest.mark.parametrize("is_sent", [True, False], ids=["with its values", "without its values"])
@pytest.mark.parametrize("runs_between", [1, 3])
def test_rows_read_while_a_field_had_no_definition_are_read_again(is_sent: bool, runs_between: int) -> None:
    world = Account(fields=8)
    with fake(account({}, spoil=world.answer)) as server:
        world.change(1, f5="old")
        world.change(2, f5="old")
        done = [world.run(server.url).good()]
        for number in range(runs_between):
            world.shown = [one for one in world.all() if one["field_code"] != key(5)]
            world.change(1, f5=f"new {number}", f1="x")
            deals = world.deals
            if not is_sent:
                world.deals = [
                    {**row, "custom_fields": {k: v for k, v in row["custom_fields"].items() if k != key(5)}}
                    for row in deals
                ]
            done.append(world.run(server.url, state=done[-1].state).good())
            world.deals = deals
            assert column(done, "f5")[:2] == ["old", "old"]
        world.shown = None
        done.append(world.run(server.url, state=done[-1].state).good())
        assert column(done, "f5")[:2] == [f"new {runs_between - 1}", "old"]
        assert {row["id"] for row in done[-1].records("deals")} <= {1, 2}, "no other deal has changed"
        done.append(world.run(server.url, state=done[-1].state).good())
    assert "undefined_custom_fields" not in done[-1].state["bookmarks"]["deals"]


def test_a_field_whose_definition_arrives_after_its_values_gets_them() -> None:
    """Until then its values are in the overflow, including those of a first load."""
    world = Account(fields=3)
    with fake(account({}, spoil=world.answer)) as server:
        world.change(3, f9="early")
        done = [world.run(server.url).good()]
        assert column(done, "custom_fields_overflow")[2] == {key(9): "early"}
        done.append(world.run(server.url, state=done[-1].state).good())
        world.fields.append(field_definition(key(9), "F9", "varchar"))
        done.append(world.run(server.url, state=done[-1].state).good())
        assert column(done, "f9") == [None, None, "early", None]
        assert column(done, "custom_fields_overflow") == [None] * 4
        assert len(done[-1].records("deals")) == 4
        assert len(world.run(server.url, state=done[-1].state).good().records("deals")) < 4


def test_a_list_of_definitions_that_always_fails_costs_only_its_entity(living: Sandbox) -> None:
    first = run(living.url).good()
    living.post("/sandbox/change", {"share": 0.2, "kinds": ["update"], "seed": 3})
    living.post("/sandbox/faults", {"kind": "status", "status": 402, "path": FIELDS})
    second = run(living.url, state=first.state)
    for stream in ("deals", "leads"):
        assert f"{stream}: Custom fields of the entity deal have columns" in str(second.error)
    missing = {row["stream"] for row in second.records("run_statements") if row["is_missing"]}
    assert missing == {"deals", "leads", "fields", "field_options"}
    assert second.records("persons")
    assert second.records("deals") == second.records("leads") == []
    living.delete("/sandbox/faults")
    third = run(living.url, state=second.state).good()
    tables = replay([*first.messages, *second.messages, *third.messages])
    truth = {deal["id"]: deal["title"] for deal in living.truth("deals")}
    assert {id_: row["title"] for (id_,), row in tables["deals"].items()} == truth


def test_a_field_that_vanishes_during_a_run_keeps_its_column(living: Sandbox) -> None:
    """A new field causes the definitions to be read again, and the list is incomplete at that moment."""
    world = Account(fields=20)
    with fake(account({}, spoil=world.answer)) as server:
        first = world.run(server.url).good()
        catalog = select(discover(server.url), "deals")
        world.change(1, f3="new", f30="late")
        answers = iter([world.all(), [BUILT_IN, field_definition(key(30), "F30", "varchar")]])

        def spoil(request: Asked) -> Say | None:
            if request.path == FIELDS:
                return world.say(next(answers))
            return world.answer(request)

        with fake(account({}, spoil=spoil)) as flaky:
            second = run(flaky.url, catalog=catalog, state=first.state).good()
    assert column([first, second], "f3")[0] == "new"
    assert column([first, second], "f30")[0] == "late"


# Types


def test_a_field_whose_type_is_changed_back_returns_to_its_column(caplog: pytest.LogCaptureFixture) -> None:
    world = Account(fields=1)
    with fake(account({}, spoil=world.answer)) as server:
        world.change(1, f0="1")
        done = [world.run(server.url).good()]
        for kind, name, value in (
            ("double", "f0_000000", 2),
            ("varchar", "f0", "3"),
            ("double", "f0_000000", 4),
        ):
            world.fields[0]["field_type"] = kind
            caplog.clear()
            done.append(world.run(server.url, state=done[-1].state).good())
            assert name in done[-1].columns("deals")
            (warning,) = [text for text in caplog.messages if "goes on in the column" in text]
            before = "f0" if name == "f0_000000" else "f0_000000"
            assert f"(F0) goes on in the column {name} ({kind}): before, it was" in warning
            assert f"in the column {before}, which keeps its old values. All rows are read again." in warning
            assert len(done[-1].records("deals")) == 4, "all rows have the new column"
            world.change(1, f0=value)
            done.append(world.run(server.url, state=done[-1].state).good())
            assert column(done, name)[0] == value
            assert sum("goes on in the column" in text for text in caplog.messages) == 1
    assert set(done[-1].state["bookmarks"]["deals"]["custom_fields"]) == {key(0), f"{key(0)} f0"}


def test_fields_that_vanish_and_change_in_any_order_end_with_the_right_values() -> None:
    for seed in range(6):
        draw = random.Random(seed)
        world = Account(fields=8)
        with fake(account({}, spoil=world.answer)) as server:
            done = [world.run(server.url).good()]
            for step in range(6):
                for _ in range(draw.randint(0, 2)):
                    world.change(draw.randint(1, 4), **{f"f{draw.randrange(9)}": f"v{step}"})
                hidden = set(draw.sample(range(9), draw.randint(0, 3)))
                world.shown = [
                    one for one in world.all() if one["field_code"] not in {key(number) for number in hidden}
                ]
                done.append(world.run(server.url, state=done[-1].state).good())
            if not any(one["field_code"] == key(8) for one in world.fields):
                world.fields.append(field_definition(key(8), "F8", "varchar"))
            world.shown = None
            done.append(world.run(server.url, state=done[-1].state).good())
        for number in range(9):
            truth = [
                row["custom_fields"].get(key(number)) for row in sorted(world.deals, key=lambda r: r["id"])
            ]
            assert column(done, f"f{number}") == truth, seed


# Activities, whose custom fields few accounts use

ACTIVITY_FIELDS, ACTIVITIES = "/api/v2/activityFields", "/api/v2/activities"


@pytest.mark.parametrize("mode", ["columns", "json", "both"])
def test_custom_fields_of_activities_become_columns_and_cost_nothing_if_there_are_none(mode: str) -> None:
    lists: dict[str, Any] = {
        ACTIVITY_FIELDS: [BUILT_IN],
        ACTIVITIES: [{"id": 1, "custom_fields": {key(0): None}}, {"id": 2, "custom_fields": {}}, {"id": 3}],
    }
    with fake(account(lists)) as server:
        catalog = select(discover(server.url), "activities", "users")
        done = [run(server.url, catalog=catalog, custom_fields=mode).good()]
        assert not any(seen.path == ACTIVITY_FIELDS for seen in server.asked)
        assert not [name for name in done[0].columns("activities") if name.startswith("custom_fields")]
        lists[ACTIVITY_FIELDS] = [
            BUILT_IN,
            field_definition(key(0), "Room", "enum", [{"id": 5, "label": "A"}]),
        ]
        lists[ACTIVITIES] = [{"id": 2, "custom_fields": {key(0): 5, key(1): "?"}}]
        for _ in range(2):
            done.append(run(server.url, catalog=catalog, custom_fields=mode, state=done[-1].state).good())
            (row,) = done[-1].records("activities")
            assert (row.get("room"), row.get("room_id")) == ((None, None) if mode == "json" else ("A", 5))
            assert row.get("custom_fields_overflow") == (None if mode == "json" else {key(1): "?"})
            assert row.get("custom_fields") == (None if mode == "columns" else {key(0): 5, key(1): "?"})
        lists[ACTIVITY_FIELDS].append(field_definition(key(1), "Table", "varchar"))
        done.append(run(server.url, catalog=catalog, custom_fields=mode, state=done[-1].state).good())
        (row,) = done[-1].records("activities")
        assert row.get("table") == (None if mode == "json" else "?")


@pytest.mark.parametrize("raw", ["text", ["x"], 5])
def test_custom_fields_of_activities_that_are_not_an_object_are_rejected(raw: Any) -> None:
    with fake(account({ACTIVITIES: [{"id": 1, "custom_fields": raw}]})) as server:
        done = run(server.url, catalog=select(discover(server.url), "activities", "rejected_values")).good()
    assert [row["field"] for row in done.records("rejected_values")] == ["custom_fields"]


def test_custom_fields_of_activities_without_readable_definitions_go_to_the_overflow(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """OAuth apps need the right `admin` for their definitions."""

    def spoil(request: Asked) -> Say | None:
        return say({"success": False, "error": "scope"}, 403) if request.path == ACTIVITY_FIELDS else None

    rows = [{"id": 1, "custom_fields": {key(0): 5}}]
    with fake(account({ACTIVITIES: rows}, spoil=spoil)) as server:
        done = run(server.url, catalog=select(discover(server.url), "activities")).good()
    assert [row["custom_fields_overflow"] for row in done.records("activities")] == [{key(0): 5}]
    assert any("Custom fields of the entity activity are missing" in text for text in caplog.messages)
