"""Faults of the server: temporary ones leave no trace, and lasting ones end in one sentence."""

import random
from typing import Any

from pipedrive_sandbox.testing import Sandbox

from .expected import expected
from .pipe import Pipe
from .raw import differences

PASSING: tuple[dict[str, Any], ...] = (
    {"kind": "status", "status": 500},
    {"kind": "status", "status": 502},
    {"kind": "status", "status": 524},
    {"kind": "reset"},
    {"kind": "truncate"},
    {"kind": "html"},
    {"kind": "null"},
    {"kind": "empty"},
    {"kind": "burst429"},
)


def test_temporary_faults_leave_no_trace(pipe: Pipe, sandbox: Sandbox, database: str) -> None:
    """Every other request fails in one of the ways; they take turns, so that no request fails five times."""
    pipe.api["concurrency"] = 1
    numbers = random.Random(1).sample(range(1, 4 * len(PASSING), 2), 2 * len(PASSING))
    for i, trouble in enumerate(PASSING):
        sandbox.post("/sandbox/faults", trouble | {"at": numbers[2 * i : 2 * i + 2]})
    run = pipe.run(in_haste=True).succeeded()
    assert all(fault["hits"] for fault in sandbox.get("/sandbox/faults"))
    assert "trying again" in run.tap_log
    assert differences(database, expected(sandbox)) == []


def test_the_next_good_run_repairs_what_lasting_faults_left(
    pipe: Pipe, sandbox: Sandbox, database: str
) -> None:
    for path, trouble in (
        ("/api/v2/persons", {"kind": "status", "status": 503}),
        ("/api/v1/notes", {"kind": "null"}),
    ):
        sandbox.post("/sandbox/faults", trouble | {"path": path + r"(\?|$)"})
        run = pipe.run(in_haste=True)
        sandbox.delete("/sandbox/faults")
        assert run.tap_exit == 1
        assert run.target_exit == 0
        (sentence,) = run.errors
        # because sleeps are shortened, another request may find the breaker open first
        assert " failed 5 times, at last with " in sentence
        assert f"GET {path}: " in run.tap_log
        assert "Traceback" not in run.tap_log
    pipe.run().succeeded()
    assert differences(database, expected(sandbox)) == []


def test_a_load_stopped_by_the_daily_limit_is_completed_the_next_day(
    pipe: Pipe, sandbox: Sandbox, database: str
) -> None:
    sandbox.post("/sandbox/faults", {"kind": "daily429", "path": "/api/v2/(deals|activities)|/api/v1/"})
    run = pipe.run().succeeded()
    assert "Left undone" in run.tap_log
    assert not run.records["deals"]
    sandbox.delete("/sandbox/faults")
    sandbox.post("/sandbox/clock", {"advance_seconds": 86400})
    pipe.run().succeeded()
    assert differences(database, expected(sandbox)) == []
