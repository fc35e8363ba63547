"""`make status`, and the part of its log that a run shows."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from embedded_postgres.warehouse import Warehouse

from orchestrate import database, environment, progress, status
from orchestrate.crms import CRMS
from orchestrate.errors import RunError
from orchestrate.progress import Progress

from .documents import ROOT

EVENTS = {
    "success": [
        ("tap-pipedrive", "deals: 101 rows in 0.0 s (11,865 rows/s)"),
        ("tap-pipedrive", "1 request, 1,492 API tokens"),
        ("", "Run completed"),
    ],
    "failed": [("tap-pipedrive", "CRITICAL Pipedrive does not accept the API token."), ("", "Run completed")],
    "did not end": [("tap-pipedrive", "users: 10 rows in 0.0 s (632 rows/s)")],
}


def log_line(plugin: str, event: str, **more: object) -> str:
    return json.dumps({"event": event, "level": "info", "name": plugin} | more) + "\n"


@pytest.mark.parametrize("ended", EVENTS)
def test_a_run_is_read_from_its_log(tmp_path: Path, ended: str) -> None:
    path = tmp_path / "20261128T120000-4194305-meltano.log"  # no system has so many processes
    lines = [log_line("", "meltano run sync")]
    for plugin, event in EVENTS[ended]:
        more = {"status": ended, "duration_seconds": 12.5} if event == "Run completed" else {}
        lines.append(log_line(plugin, event, **more))
    path.write_text("".join(lines))
    run = status.read_run(path)
    assert run
    assert (run.command, run.ended) == ("meltano run sync", ended)
    assert run.seconds == (None if ended == "did not end" else 12.5)
    assert run.tokens == ("1,492" if ended == "success" else "")
    assert run.problem == ("Pipedrive does not accept the API token." if ended == "failed" else "")


AT_THE_END = [
    log_line("", "Extractor failed", level="warning"),
    log_line("", "Block run completed", level="error"),
    log_line("", "", level="error"),
    log_line("", "Task exception was never retrieved", level="error"),
    log_line("", "Future exception was never retrieved", level="error"),
    log_line("", "The process was terminated", level="error"),
]
"""What Meltano logs after the error of a plugin; the empty line is a BrokenPipeError."""

REASONS = {
    "the tap's error": (
        [log_line("tap-pipedrive", "Setting concurrency: it is too large.", level="error")],
        "Setting concurrency: it is too large.",
    ),
    "the target's last words": (
        [
            log_line("target-postgres", "Error: The database is full."),
            log_line("tap-pipedrive", "CRITICAL The target stopped reading: see what it says."),
        ],
        "The database is full.",
    ),
    "dbt's error": (
        [
            log_line("dbt-postgres", "23:17:17  Failure in model fct_deals (models/fct_deals.sql)"),
            log_line("dbt-postgres", "23:17:17    Database Error in model fct_deals (models/fct_deals.sql)"),
            log_line("dbt-postgres", '  column "amount" does not exist'),
            log_line("dbt-postgres", "23:17:17"),
            log_line("dbt-postgres", "23:17:17  Done. PASS=32 WARN=0 ERROR=1 SKIP=0 NO-OP=0 TOTAL=33"),
        ],
        'Database Error in model fct_deals (models/fct_deals.sql): column "amount" does not exist',
    ),
    "an error of orchestrate": (
        [log_line("", "The metrics were not sent.", level="error", logger="orchestrate")],
        "The metrics were not sent.",
    ),
    "nothing else": ([], "Block run completed"),
}


@pytest.mark.parametrize("which", REASONS)
def test_the_reason_of_a_failed_run_is_not_hidden_by_meltano(tmp_path: Path, which: str) -> None:
    lines, reason = REASONS[which]
    end = log_line("", "Run completed", status="failure", duration_seconds=12.5)
    path = tmp_path / "20261128T120000-4194305-meltano.log"
    path.write_text("".join([log_line("", "meltano run sync"), *lines, *AT_THE_END, end]))
    run = status.read_run(path)
    assert run
    assert run.problem == reason
    seen = Progress(CRMS["pipedrive"], is_first=True, is_embedded=True)
    for line in (*lines, *AT_THE_END):
        seen.read(line)
    told = seen.failure("meltano run sync")
    if lines:
        assert told == f"{reason} (The whole log is in .run/logs.)"
    else:
        assert told.startswith("meltano run sync failed. The end of its log, which is in .run/logs:\n")


def test_a_run_does_not_warn_with_generic_lines_of_meltano(capsys: pytest.CaptureFixture[str]) -> None:
    seen = Progress(CRMS["pipedrive"], is_first=True, is_embedded=True)
    for line in (*AT_THE_END, log_line("", "Run timed out", level="error")):
        seen.read(line)
    assert capsys.readouterr().out == "Warning: Run timed out\n"


def test_the_log_of_a_command_that_loads_nothing_is_not_a_run(tmp_path: Path) -> None:
    path = tmp_path / "20261128T120000-1-meltano.log"
    path.write_text(log_line("", "meltano invoke dbt-postgres:build"))
    assert status.read_run(path) is None


@pytest.fixture
def orphan() -> Iterator[subprocess.Popen[bytes]]:
    """A process that looks like a dbt whose Meltano has ended."""
    program = ROOT / ".meltano" / "utilities" / "dbt-postgres" / "venv" / "bin" / "dbt"
    sleep = shutil.which("sleep")
    assert sleep
    with subprocess.Popen([str(program), "900"], executable=sleep) as process:
        yield process
        process.kill()


def test_a_dbt_that_outlived_meltano_is_reported(orphan: subprocess.Popen[bytes]) -> None:
    output = subprocess.run(
        [sys.executable, "-m", "orchestrate.status"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    (line,) = [line for line in output.splitlines() if f"process {orphan.pid})" in line]
    assert line.startswith("At work: dbt ")
    assert line.endswith(f"is gone: kill {orphan.pid}")


def shown(capsys: pytest.CaptureFixture[str], *events: tuple[str, str], is_first: bool = False) -> str:
    seen = Progress(CRMS["pipedrive"], is_first=is_first, is_embedded=True)
    for plugin, event in events:
        seen.read(log_line(plugin, event))
    return capsys.readouterr().out


ROWS = ("tap-pipedrive", "deals: 101 rows in 0.0 s (11,865 rows/s)")


def test_a_run_shows_whether_everything_is_loaded(capsys: pytest.CaptureFixture[str]) -> None:
    assert "Incremental: only what changed" in shown(capsys, ROWS)
    assert "Incremental" not in shown(capsys, ROWS, is_first=True)
    lost = shown(capsys, ("", "No state was found, complete import."), ROWS)
    assert "No state of an earlier run was found: everything is loaded again" in lost
    assert "Incremental" not in lost


def test_only_the_summary_and_the_problems_of_dbt_are_shown(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = [
        {"unique_id": "test.a", "status": "warn", "failures": 1234},
        {"unique_id": "test.b", "status": "fail", "failures": 2},
        {"unique_id": "test.c", "status": "pass", "failures": 0},
        {"unique_id": "test.d", "status": "warn", "failures": 1},
    ]
    nodes = {
        "test.a": {
            "name": "relationships_a",
            "attached_node": "model.x.fct_deals.v1",
            "column_name": "owner_id",
            "test_metadata": {"name": "relationships"},
        },
        "test.b": {"name": "assert_b", "description": "Every sum adds up."},
        "test.c": {"name": "c"},
        "test.d": {"name": "assert_d", "description": "All is read. Wait. Then run again.\n"},
    }
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "run_results.json").write_text(json.dumps({"results": results}))
    (tmp_path / "target" / "manifest.json").write_text(json.dumps({"nodes": nodes}))
    monkeypatch.setattr(progress, "TRANSFORM", tmp_path)
    output = shown(
        capsys,
        (
            "dbt-postgres",
            "10:00:00  1 of 3 OK created sql table model marts.fct_deals .... [SELECT 5 in 0.1s]",
        ),
        ("dbt-postgres", "10:00:01  2 of 3 WARN 1234 relationships_a .... [WARN 1234 in 0.1s]"),
        ("dbt-postgres", "10:00:01  3 of 3 FAIL 2 assert_b .... [FAIL 2 in 0.1s]"),
        ("dbt-postgres", "10:00:02  Done. PASS=1 WARN=1 ERROR=1 SKIP=0 NO-OP=0 TOTAL=3"),
    )
    assert output.splitlines() == [
        "  dbt: FAIL 2 assert_b",
        "  dbt: 1 models and tests are good, 1 warn, 1 failed, 0 skipped",
        '    Rows of a warning, by its name: (eval "$(.venv/bin/warehouse env)"; '
        ".venv/bin/meltano invoke dbt-postgres show --select NAME --output json --limit 100)",
        "    WARN fct_deals.owner_id: 1,234 rows name a record that was deleted, or that the token's user may "
        "not see (relationships_a)",
        "    FAIL Every sum adds up: 2 rows violate this (assert_b)",
        "    WARN All is read: 1 row violates this. Wait. Then run again. (assert_d)",
    ]


def test_the_count_of_models_and_tests_only_rises(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """dbt numbers them as they begin, and several are built at a time."""
    monkeypatch.setattr(progress, "show", click.echo)
    lines = ["1 of 2 OK hook: a.on-run-start.0", *(f"{number} of 3 OK a" for number in (2, 1, 3))]
    events = [("dbt-postgres", f"10:00:00  {line} .... [OK in 0.1s]") for line in lines]
    assert shown(capsys, *events).splitlines() == ["  dbt: 1 of 3", "  dbt: 2 of 3", "  dbt: 3 of 3"]


def test_the_role_that_builds_the_models_reads_how_complete_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The role that loads may not read the marts."""
    asked = []

    def connected(variables: dict[str, str]) -> None:
        asked.append(variables["TARGET_POSTGRES_USER"])
        raise RunError("The database cannot be used.")

    roles = {"TARGET_POSTGRES_HOST": "localhost", "TARGET_POSTGRES_USER": "loader"}
    monkeypatch.setattr(environment, "settings", lambda: roles | {"DBT_POSTGRES_USER": "transformer"})
    monkeypatch.setattr(database, "connected", connected)
    assert status._completeness(Warehouse(ROOT)) == "The database cannot be used."
    assert asked == ["transformer"]


def test_runs_are_listed_newest_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MELTANO_PROJECT_ROOT", str(tmp_path))
    logs = tmp_path / ".run" / "logs"
    logs.mkdir(parents=True)
    for hour in (8, 12, 10):
        lines = log_line("", "meltano run sync") + log_line(
            "", "Run completed", status="success", duration_seconds=hour
        )
        (logs / f"20261128T{hour:02d}0000-1-meltano.log").write_text(lines)
    output = subprocess.run(
        [sys.executable, "-m", "orchestrate.status"],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ,
    ).stdout
    assert [line.split()[1] for line in output.splitlines() if line.endswith("meltano run sync")] == [
        "12:00",
        "10:00",
        "08:00",
    ]
