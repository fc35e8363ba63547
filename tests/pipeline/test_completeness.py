"""What `load_completeness` reports after tap, target and dbt: "complete" if and only if the load is complete."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, NamedTuple

import psycopg
import pytest
from pipedrive_sandbox.testing import Sandbox

from .expected import expected
from .pipe import RECORD, STATE, Break, Pipe, Process
from .plugins import Plugins
from .raw import differences, table_names
from .test_incremental import KNOWN_KINDS
from .verdicts import Judge, Verdict

ONLY_CHANGES = r"persons\?.*updated_since"


class Built(NamedTuple):
    """The result of a build with its tests."""

    exit: int
    output: str
    sentence: str


class Losing(Pipe):
    """A target that dies after it committed some streams and half of another."""

    lost = b""

    def forward(self, tap: Process, target: Process, break_after: Break | None) -> list[bytes]:
        """Pass on all but half of the rows of the lost stream, and no state."""
        if not self.lost:
            return super().forward(tap, target, break_after)
        assert tap.stdout
        assert target.stdin
        lines = list(tap.stdout)
        rows = [line for line in lines if line.startswith(RECORD + self.lost + b'"')]
        lost = set(rows[len(rows) // 2 :])
        kept = [line for line in lines if line not in lost and not line.startswith(STATE)]
        target.stdin.writelines(kept)
        target.stdin.flush()
        return lines


@pytest.fixture
def pipe(pipe_from: Callable[[Sandbox], Pipe], sandbox: Sandbox) -> Losing:
    pipe = pipe_from(sandbox)
    pipe.__class__ = Losing
    pipe.api |= {"source_checks": "each", "missing": "note"}
    assert isinstance(pipe, Losing)
    return pipe


@pytest.fixture
def build(plugins: Plugins, database: str) -> Callable[[], Built]:
    """Builds `load_summary` and its parents, with the tests of `load_summary`."""

    def run() -> Built:
        program = plugins.dbt(
            "build",
            "--select",
            "+load_summary",
            "--exclude-resource-type",
            "unit_test",
            "--indirect-selection",
            "cautious",
        )
        code = program.end()
        with psycopg.connect(database) as connection:
            (sentence,) = connection.execute("select sentence from marts.load_summary").fetchone() or ("",)
        return Built(code, program.output, sentence)

    return run


def later(sandbox: Sandbox, **changes: Any) -> None:
    """Advance the clock by an hour, optionally with changes; merged records stay in the table until a
    reconciling run.
    """
    sandbox.post("/sandbox/clock", {"advance_seconds": 3600})
    if changes:
        kinds = [kind for kind in KNOWN_KINDS if kind not in ("delete", "merge")]
        sandbox.post("/sandbox/change", {"kinds": kinds, **changes})


class Scene(NamedTuple):
    """One warehouse for all tests, because each first load takes some seconds and each build with tests ten."""

    pipe: Losing
    build: Callable[[], Built]
    judge: Judge
    sandbox: Sandbox
    database: str

    def doubts(self) -> dict[str, Verdict]:
        """Return the report on each stream that is not complete."""
        verdicts = self.judge.verdicts(self.database, self.pipe.loader)
        return {stream: said for stream, said in verdicts.items() if said.verdict != "complete"}

    def execute(self, statement: str) -> None:
        """Run a statement in the database."""
        with psycopg.connect(self.database) as connection:
            connection.execute(statement.encode())


@pytest.fixture
def scene(pipe: Losing, build: Callable[[], Built], judge: Judge, sandbox: Sandbox, database: str) -> Scene:
    return Scene(pipe, build, judge, sandbox, database)


def test_complete_is_reported_if_and_only_if_the_load_is_complete(scene: Scene) -> None:
    first = a_first_load(scene)
    a_target_that_dies_within_the_deals_that_changed(scene, first)
    a_list_that_leaves_new_rows_out(scene)
    counters_that_disagree(scene)
    a_token_that_may_see_fewer_deals(scene)
    line_items_that_a_list_leaves_out(scene)
    a_record_without_a_key(scene)
    a_reading_from_beginning_to_end(scene)
    two_runs_at_once(scene)
    a_token_that_loses_its_rights_and_a_budget_that_ends(scene)


def a_first_load(scene: Scene) -> datetime:
    scene.pipe.run().succeeded()
    assert differences(scene.database, expected(scene.sandbox)) == []
    good = scene.build()
    assert good.exit == 0, good.output
    assert good.sentence.startswith("Complete as of 2026-")
    assert good.sentence.endswith("UTC.")
    assert f"Pipedrive's tables: {good.sentence}" in good.output
    verdicts = scene.judge.verdicts(scene.database, scene.pipe.loader)
    assert {said.verdict for said in verdicts.values()} == {"complete"}
    assert verdicts["deals"].complete_as_of
    return verdicts["deals"].complete_as_of


def a_target_that_dies_within_the_deals_that_changed(scene: Scene, first: datetime) -> None:
    """The target has committed the statement. An earlier run is killed and leaves no statement; during the
    first run, the clock of the tap's machine was an hour fast.
    """
    before = expected(scene.sandbox)
    for table in table_names(scene.database):
        scene.execute(
            f"update pipedrive.{table} set _sdc_extracted_at = _sdc_extracted_at + interval '1 hour'"
        )
    scene.execute("update pipedrive.run_statements set last_row_at = last_row_at + interval '1 hour'")
    assert scene.doubts() == {}
    later(scene.sandbox, share=0.3, seed=3, entities=["deals"])
    killed = scene.pipe.run(break_after=Break("users", 1))
    assert killed.tap_exit != 0
    scene.pipe.lost = b"deals"
    scene.pipe.run()
    scene.pipe.lost = b""
    lost = scene.build()
    assert lost.exit != 0
    assert "deals (unloaded)" in lost.sentence
    assert scene.doubts()["deals"].complete_as_of == first
    assert differences(scene.database, expected(scene.sandbox, before)) != []
    with psycopg.connect(scene.database) as connection:
        found = connection.execute(
            "select previous_run_died from pipedrive.run_statements order by run_id desc"
        )
        assert found.fetchone() == (True,), "the run that was killed"
    scene.pipe.run().succeeded()
    assert scene.doubts() == {}


def a_list_that_leaves_new_rows_out(scene: Scene) -> None:
    """The newest record reveals the gap, although the status is 200."""
    later(scene.sandbox)
    made = scene.sandbox.post("/sandbox/records/persons", {"name": "Nova"})["id"]
    scene.sandbox.post("/sandbox/clock", {"advance_seconds": 60})
    scene.sandbox.post("/sandbox/faults", {"kind": "omit", "path": ONLY_CHANGES, "rows": 500})
    scene.pipe.run()
    scene.sandbox.delete("/sandbox/faults")
    omitted = scene.doubts()
    assert {stream: said.verdict for stream, said in omitted.items()} == {"persons": "different"}, omitted
    assert f"the newest record, {made}, is not in the table" in str(omitted["persons"].differences)


def counters_that_disagree(scene: Scene) -> None:
    """The counters disagree while no deal changes. The person was added meanwhile, and the bookmark does not
    pass a page without rows.
    """
    lie = {"kind": "patch", "path": "deals/summary", "json": {"data": {"total_count": 7}}}
    scene.sandbox.post("/sandbox/faults", lie)
    later(scene.sandbox)
    scene.pipe.run().succeeded()
    scene.sandbox.delete("/sandbox/faults")
    counted = scene.doubts()
    assert {stream: said.verdict for stream, said in counted.items()} == {"deals": "different"}, counted
    assert "count is 7 in Pipedrive and" in str(counted["deals"].differences)


def a_token_that_may_see_fewer_deals(scene: Scene) -> None:
    """The table has the rows that the token saw before."""
    open_deals = [
        row["id"]
        for row in scene.sandbox.truth("deals")
        if row["status"] == "open" and not row["is_archived"]
    ]
    later(scene.sandbox)
    scene.sandbox.post("/sandbox/hide", {"entity": "deals", "ids": open_deals[:1]})
    scene.pipe.run().succeeded()
    hidden = scene.doubts()
    scene.sandbox.delete("/sandbox/hide")
    assert {stream: said.verdict for stream, said in hidden.items()} == {"deals": "different"}, hidden
    later(scene.sandbox)
    scene.pipe.run().succeeded()
    assert scene.doubts() == {}


def line_items_that_a_list_leaves_out(scene: Scene) -> None:
    """The deal counts its line items."""
    later(scene.sandbox)
    deal = next(row["id"] for row in scene.sandbox.truth("deals") if row["status"] == "open")
    product = scene.sandbox.truth("products")[0]["id"]
    scene.sandbox.post("/sandbox/records/deal_products", {"deal_id": deal, "product_id": product})
    scene.sandbox.post("/sandbox/clock", {"advance_seconds": 60})
    scene.sandbox.post("/sandbox/faults", {"kind": "omit", "path": "deals/products", "rows": 500})
    scene.pipe.run().succeeded()
    scene.sandbox.delete("/sandbox/faults")
    lacking = scene.doubts()
    assert {stream: said.verdict for stream, said in lacking.items()} == {"deal_products": "different"}
    wanted = f"deals that count more line items than the table has: 1, e.g. {deal} "
    assert str(lacking["deal_products"].differences).startswith(wanted)


def a_record_without_a_key(scene: Scene) -> None:
    """The record is reported until a complete reading."""
    later(scene.sandbox)
    nameless = {"kind": "patch", "path": "v1/notes", "json": {"data": [{"content": "?"}]}}
    scene.sandbox.post("/sandbox/faults", nameless)
    scene.pipe.run()
    scene.sandbox.delete("/sandbox/faults")
    for _ in range(2):
        said = scene.doubts()["notes"]
        assert said.verdict == "unread"
        assert str(said.undone_detail).startswith("1 records cannot be read, or have no usable key")
        later(scene.sandbox)
        scene.pipe.run().succeeded()


def a_reading_from_beginning_to_end(scene: Scene) -> None:
    scene.pipe.api["reconcile"] = True
    scene.pipe.run().succeeded()
    del scene.pipe.api["reconcile"]
    assert scene.doubts() == {}


def two_runs_at_once(scene: Scene) -> None:
    """Both runs begin with the same state, and the database lets one of them insert a row. The next run is
    complete.
    """
    later(scene.sandbox, share=0.2, seed=7)
    changed = {row["id"]: row["update_time"] for row in scene.sandbox.truth("deals")}
    with ThreadPoolExecutor(2) as pool:
        running = [pool.submit(pipe.run) for pipe in (scene.pipe, scene.pipe.twin())]
    runs = [run.result() for run in running]
    assert 0 in [run.target_exit for run in runs]
    if "deals" not in scene.doubts():
        with psycopg.connect(scene.database) as connection:
            stored = connection.execute("select id, update_time from pipedrive.deals").fetchall()
        loaded = {id_: update_time and f"{update_time:%Y-%m-%dT%H:%M:%SZ}" for id_, update_time in stored}
        assert changed.items() <= loaded.items()
    later(scene.sandbox)
    scene.pipe.run().succeeded()
    assert scene.doubts() == {}


def a_token_that_loses_its_rights_and_a_budget_that_ends(scene: Scene) -> None:
    """Streams that were read are loaded and built; a stream that had rows is missing, and the last one
    unfinished.
    """
    later(scene.sandbox, share=0.2, seed=5, entities=["deals", "organizations"])
    scene.sandbox.post("/sandbox/faults", {"kind": "status", "status": 402, "path": "/api/v2/persons"})
    scene.pipe.api["token_budget"] = 270
    done = scene.pipe.run()
    scene.sandbox.delete("/sandbox/faults")
    assert (done.tap_exit, done.target_exit) == (0, 0), done.tap_log
    refused = scene.build()
    verdicts = {stream: said.verdict for stream, said in scene.doubts().items()}
    assert verdicts["persons"] == "missing"
    assert verdicts["deal_changes"] == "unfinished"
    assert set(verdicts.values()) == {"missing", "unfinished"}
    assert refused.exit != 0
    assert "persons (missing: GET /api/v2/persons answered 402" in refused.sentence


def test_values_that_differ_are_found_in_the_sample(scene: Scene) -> None:
    """This holds whichever list is sampled; a newer version in the table is no difference."""
    scene.pipe.run().succeeded()
    names = {"deals": "title", "activities": "subject"}
    with psycopg.connect(scene.database) as connection:
        found = connection.execute(
            "select stream, (array_agg(record_id::integer order by record_id::integer))[:2]"
            " from pipedrive.source_samples where update_time is not null group by 1"
        ).fetchall()
        sampled: dict[str, list[int]] = dict(found)
    assert len(sampled) == 2
    for stream, (first, second) in sampled.items():
        change = f"update pipedrive.{stream} set {names.get(stream, 'name')} = 'Other', owner_id = -1"
        scene.execute(f"{change} where id = {first}")
        scene.execute(f"{change}, update_time = update_time + interval '1 day' where id = {second}")
    spoilt = scene.doubts()
    assert {stream: said.verdict for stream, said in spoilt.items()} == dict.fromkeys(sampled, "different")
    for stream, (first, _) in sampled.items():
        columns = ", ".join(sorted(("owner_id", names.get(stream, "name"))))
        wanted = f"1 records that were read again have other values ({columns}), e.g. {first}"
        assert spoilt[stream].differences == wanted
