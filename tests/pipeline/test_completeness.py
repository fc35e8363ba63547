"""What `load_completeness` says, from the tap over the real target to dbt: never "complete" when it is not, always
when it is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

import psycopg
import pytest
from pipedrive_sandbox.testing import Sandbox

from .expected import expected
from .pipe import RECORD, Break, Pipe, Process
from .plugins import Plugins
from .raw import differences
from .test_incremental import KNOWN_KINDS

ONLY_CHANGES = r"persons\?.*updated_since"


class Said(NamedTuple):
    """A row of `load_completeness`."""

    verdict: str
    complete_as_of: datetime | None
    differences: str | None


class Built(NamedTuple):
    """What a build says."""

    exit: int
    output: str
    streams: dict[str, Said]
    sentence: str

    @property
    def told(self) -> dict[str, Said]:
        """What is said of streams that are not complete."""
        return {name: row for name, row in self.streams.items() if row.verdict != "complete"}

    @property
    def incomplete(self) -> dict[str, str]:
        """Verdicts other than `complete`, by stream."""
        return {name: row.verdict for name, row in self.streams.items() if row.verdict != "complete"}


class Losing(Pipe):
    """A target that dies after it has committed some streams, and before it has committed another."""

    lost = b""

    def forward(self, tap: Process, target: Process, break_after: Break | None) -> list[bytes]:
        """Hand on all but the rows of the lost stream, and no state."""
        if not self.lost:
            return super().forward(tap, target, break_after)
        assert tap.stdout
        assert target.stdin
        lines = list(tap.stdout)
        rows = RECORD + self.lost + b'"'
        kept = [line for line in lines if not line.startswith((rows, b'{"type":"STATE"'))]
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
    """Builds what `load_summary` needs, with the tests of it."""

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
            rows = connection.execute(
                "select stream, verdict, complete_as_of, differences from marts.load_completeness"
            ).fetchall()
            (sentence,) = connection.execute("select sentence from marts.load_summary").fetchone() or ("",)
        return Built(code, program.output, {name: Said(*row) for name, *row in rows}, sentence)

    return run


def later(sandbox: Sandbox, **changes: Any) -> None:
    """An hour passes, with changes maybe; what is merged away stays in the table until a reconciling run."""
    sandbox.post("/sandbox/clock", {"advance_seconds": 3600})
    if changes:
        kinds = [kind for kind in KNOWN_KINDS if kind not in ("delete", "merge")]
        sandbox.post("/sandbox/change", {"kinds": kinds, **changes})


class Scene(NamedTuple):
    """One warehouse, as each build costs ten seconds."""

    pipe: Losing
    build: Callable[[], Built]
    sandbox: Sandbox
    database: str


@pytest.fixture
def scene(pipe: Losing, build: Callable[[], Built], sandbox: Sandbox, database: str) -> Scene:
    return Scene(pipe, build, sandbox, database)


def test_complete_is_said_when_and_only_when_it_is_so(scene: Scene) -> None:
    first = a_first_load(scene)
    a_target_that_dies_before_the_deals_that_changed(scene, first)
    a_list_that_leaves_new_rows_out(scene)
    counters_that_disagree(scene)
    a_reading_from_beginning_to_end(scene)
    a_token_that_loses_its_rights_and_a_budget_that_ends(scene)


def a_first_load(scene: Scene) -> Built:
    scene.pipe.run().succeeded()
    assert differences(scene.database, expected(scene.sandbox)) == []
    good = scene.build()
    assert good.incomplete == {}, good.told
    assert good.exit == 0, good.output
    assert good.sentence.startswith("Complete as of 2026-")
    assert good.sentence.endswith("UTC.")
    assert f"Pipedrive's tables: {good.sentence}" in good.output
    assert good.streams["deals"].complete_as_of
    return good


def a_target_that_dies_before_the_deals_that_changed(scene: Scene, first: Built) -> None:
    """It has committed the statement. Before that, a run is killed, which leaves none."""
    before = expected(scene.sandbox)
    later(scene.sandbox, share=0.3, seed=3, entities=["deals"])
    killed = scene.pipe.run(break_after=Break("users", 1))
    assert killed.tap_exit != 0
    scene.pipe.lost = b"deals"
    scene.pipe.run()
    scene.pipe.lost = b""
    lost = scene.build()
    assert lost.incomplete["deals"] == "unloaded", lost.told
    assert lost.exit != 0
    assert lost.streams["deals"].complete_as_of == first.streams["deals"].complete_as_of
    assert differences(scene.database, expected(scene.sandbox, before)) != []
    with psycopg.connect(scene.database) as connection:
        found = connection.execute(
            "select previous_run_died from pipedrive.run_statements order by run_id desc"
        )
        assert found.fetchone() == (True,), "the run that was killed"


def a_list_that_leaves_new_rows_out(scene: Scene) -> None:
    """The newest record gives it away, though the status is good; what was lost before has come meanwhile."""
    scene.pipe.run().succeeded()
    later(scene.sandbox)
    made = scene.sandbox.post("/sandbox/records/persons", {"name": "Nova"})["id"]
    scene.sandbox.post("/sandbox/clock", {"advance_seconds": 60})
    scene.sandbox.post("/sandbox/faults", {"kind": "omit", "path": ONLY_CHANGES, "rows": 500})
    scene.pipe.run()
    scene.sandbox.delete("/sandbox/faults")
    omitted = scene.build()
    assert omitted.incomplete == {"persons": "different"}, omitted.told
    assert f"the newest record, {made}, is not in the table" in str(omitted.streams["persons"].differences)


def counters_that_disagree(scene: Scene) -> None:
    """While no deal changes. The person has come meanwhile: the bookmark stays before a page without rows."""
    lie = {"kind": "patch", "path": "deals/summary", "json": {"data": {"total_count": 7}}}
    scene.sandbox.post("/sandbox/faults", lie)
    later(scene.sandbox)
    scene.pipe.run().succeeded()
    scene.sandbox.delete("/sandbox/faults")
    counted = scene.build()
    assert counted.incomplete == {"deals": "different"}, counted.told
    assert "count is 7 in Pipedrive and" in str(counted.streams["deals"].differences)


def a_reading_from_beginning_to_end(scene: Scene) -> None:
    later(scene.sandbox)
    scene.pipe.api["reconcile"] = True
    scene.pipe.run().succeeded()
    del scene.pipe.api["reconcile"]
    assert scene.build().incomplete == {}


def a_token_that_loses_its_rights_and_a_budget_that_ends(scene: Scene) -> None:
    """What is read is loaded and built; what had rows is missing, what comes last is unfinished."""
    later(scene.sandbox, share=0.2, seed=5, entities=["deals", "organizations"])
    scene.sandbox.post("/sandbox/faults", {"kind": "status", "status": 402, "path": "/api/v2/persons"})
    scene.pipe.api["token_budget"] = 270
    done = scene.pipe.run()
    scene.sandbox.delete("/sandbox/faults")
    assert (done.tap_exit, done.target_exit) == (0, 0), done.tap_log
    refused = scene.build()
    assert refused.incomplete["persons"] == "missing", refused.told
    assert refused.incomplete["deal_changes"] == "unfinished"
    assert set(refused.incomplete.values()) == {"missing", "unfinished"}
    assert refused.exit != 0
    assert "persons (missing: GET /api/v2/persons answered 402" in refused.sentence


def test_values_that_differ_are_found_in_the_sample(scene: Scene) -> None:
    """Whatever list has its turn; what the table has in a newer version is no difference."""
    scene.pipe.run().succeeded()
    names = {"deals": "title", "activities": "subject"}
    with psycopg.connect(scene.database) as connection:
        found = connection.execute("select distinct stream from pipedrive.source_samples").fetchall()
        sampled = {stream for (stream,) in found}
        for stream in sampled:
            change = f"update pipedrive.{stream} set {names.get(stream, 'name')} = 'Other', owner_id = -1"
            connection.execute(f"{change} where id = 5".encode())
            newer = ", update_time = update_time + interval '1 day' where id = 6"
            connection.execute(f"{change}{newer}".encode())
    assert len(sampled) == 2
    spoilt = scene.build()
    assert spoilt.incomplete == dict.fromkeys(sampled, "different"), spoilt.told
    for stream in sampled:
        columns = ", ".join(sorted(("owner_id", names.get(stream, "name"))))
        wanted = f"1 records that were read again have other values ({columns}), e.g. 5"
        assert spoilt.streams[stream].differences == wanted
