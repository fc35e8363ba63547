"""What each Meltano process of the project does at its start, whoever started it."""

import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg
import pytest
from meltano.core import venv_service
from meltano.core.project import Project as MeltanoProject
from pipedrive_sandbox.testing import Sandbox

from orchestrate import meltano_start
from orchestrate.meltano_start import LOG_FILES
from orchestrate.permissions import USERS_MASK
from orchestrate.status import read_run

from .conftest import TOKEN
from .expected import expected
from .project import MELTANO, Project
from .raw import differences

PATIENCE = 120.0
"""The longest time in seconds to wait for an event, on a very busy machine."""


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


@contextmanager
def held(sandbox: Sandbox, request: int) -> Iterator[tuple[threading.Event, threading.Event]]:
    """Hold back the answer to a request: the first event is set when it arrives, and the second releases it."""
    came, release = threading.Event(), threading.Event()

    def hold() -> None:
        came.set()
        release.wait()

    sandbox.at_request(request, hold)
    try:
        yield came, release
    finally:
        release.set()


@contextmanager
def running(
    project: Project, sandbox: Sandbox, database: str
) -> Iterator[tuple[subprocess.Popen[str], threading.Event]]:
    """Start a run that waits until the event is set; a thread reads its output, so that the pipe never fills
    up.
    """
    with held(sandbox, 30) as (came, release), project.start(sandbox, database) as meltano:
        reader = threading.Thread(target=lambda: list(meltano.stdout or ()))
        reader.start()
        try:
            wait_for(came.is_set)
            yield meltano, release
        finally:
            release.set()
            if meltano.poll() is None:
                meltano.terminate()
            reader.join()


@pytest.fixture
def project(new_project: Callable[[], Project]) -> Iterator[Project]:
    """A project that is started under the usual umask."""
    before = os.umask(0o022)
    yield new_project()
    os.umask(before)


def plugins_at_work(project: Project) -> list[str]:
    """Return the command lines of the running taps and targets of a project."""
    found = []
    for process in psutil.process_iter():
        try:
            command = " ".join(process.cmdline())
        except psutil.Error:
            continue
        if f"{project.folder}/.meltano/run/" in command:
            found.append(command)
    return found


def readable_by_others(*folders: Path) -> list[Path]:
    found = []
    for folder in folders:
        for path in (folder, *folder.rglob("*")):
            if not path.is_symlink() and stat.S_IMODE(path.stat().st_mode) & 0o077:
                found.append(path)
    return found


def test_files_of_a_run_are_private_and_removed_with_it(
    project: Project, sandbox: Sandbox, database: str
) -> None:
    run_folder, logs = project.folder / ".meltano" / "run", project.folder / ".run" / "logs"
    leftover = run_folder / "tap-pipedrive" / "tap.of-a-killed-run.config.json"
    leftover.parent.mkdir(parents=True)
    leftover.write_text("{}")
    with running(project, sandbox, database) as (meltano, _):
        assert not leftover.exists()
        configurations = list(run_folder.glob("*/*.config.json"))
        assert configurations
        assert readable_by_others(*configurations, logs, *logs.iterdir()) == []
        assert stat.S_IMODE(run_folder.stat().st_mode) == 0o700
        meltano.terminate()
        meltano.wait()
    assert list(run_folder.glob("*/*.config.json")) == []


def test_a_second_run_of_an_extractor_is_refused_and_does_not_disturb_the_first(
    project: Project, sandbox: Sandbox, database: str
) -> None:
    with running(project, sandbox, database) as (first, release):
        with project.start(sandbox, database, "--state-id-suffix=second") as second:
            output, _ = second.communicate()
        assert second.returncode == 1
        assert f"tap-pipedrive is already at work in this folder (process {first.pid})" in output
        assert "Traceback" not in output
        release.set()
        assert first.wait() == 0
    assert differences(database, expected(sandbox)) == []


@pytest.mark.usefixtures("hangups")
@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGKILL])
def test_tap_and_target_end_when_meltano_is_killed(
    project: Project, sandbox: Sandbox, database: str, number: signal.Signals
) -> None:
    with running(project, sandbox, database) as (meltano, _):
        wait_for(lambda: len(plugins_at_work(project)) == 2)
        meltano.send_signal(number)
        wait_for(lambda: not plugins_at_work(project))
    assert meltano.returncode != 0


def test_an_unusable_database_costs_no_token(project: Project, sandbox: Sandbox, database: str) -> None:
    role = f"reader_{os.getpid()}"
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(f"revoke create on database {connection.info.dbname} from public".encode())
        connection.execute(f"create role {role} login password 'secret'".encode())
        try:
            with project.start(
                sandbox, database, TARGET_POSTGRES_USER=role, TARGET_POSTGRES_PASSWORD="secret"
            ) as meltano:
                output, _ = meltano.communicate()
        finally:
            connection.execute(f"drop role {role}".encode())
    assert meltano.returncode == 1
    assert output.count("Error: The database") == 1
    assert "lacks the schema pipedrive" in output
    assert sandbox.requests() == []


def test_the_log_has_no_secrets_and_records_how_the_run_ended(
    project: Project, sandbox: Sandbox, database: str
) -> None:
    logs = project.folder / ".run" / "logs"
    logs.mkdir(parents=True)
    for i in range(LOG_FILES + 5):
        (logs / f"20200101T0000{i:02d}-1-meltano.log").touch()
    with project.start(sandbox, database, TAP_PIPEDRIVE_API_URL=f"http://127.0.0.1:9/{TOKEN}") as meltano:
        output, _ = meltano.communicate()
    assert meltano.returncode != 0
    kept = sorted(logs.iterdir())
    assert len(kept) == LOG_FILES
    text = kept[-1].read_text()
    assert TOKEN not in output + text
    assert all("event" in json.loads(line) for line in text.splitlines())
    run = read_run(kept[-1])
    assert run
    assert run.command == "meltano run tap-pipedrive target-postgres"
    assert run.ended not in ("success", "is at work")
    assert run.problem


@pytest.mark.parametrize("is_ours", [True, False])
def test_meltanos_own_logs_are_kept_for_the_last_runs_of_each_state(tmp_path: Path, is_ours: bool) -> None:
    """Outside of the project, they may be those of other projects."""
    logs = tmp_path / "state" / "meltano" / "log" / "elt"
    written = {"often": LOG_FILES + 5, "rarely": 3}
    for state, count in written.items():
        for age in range(count):
            log = logs / state / f"run {age}" / "elt.log"
            log.parent.mkdir(parents=True)
            log.touch()
            os.utime(log.parent, (0, 1_000_000_000 - age))
    meltano_start._remove_old_logs(logs, tmp_path if is_ours else tmp_path / "project")
    kept = {state.name: {run.name for run in state.iterdir()} for state in logs.iterdir()}
    wanted = {"often": LOG_FILES, "rarely": 3} if is_ours else written
    assert kept == {state: {f"run {age}" for age in range(count)} for state, count in wanted.items()}


def test_commands_that_start_no_plugin_keep_no_log_and_need_no_database(project: Project) -> None:
    meltano = subprocess.run(
        [MELTANO, "schedule", "list"],
        cwd=project.folder,
        env=os.environ | {"MELTANO_PROJECT_ROOT": str(project.folder), "TARGET_POSTGRES_HOST": "nowhere"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "sync-every-4-hours" in meltano.stdout
    assert not (project.folder / ".run").exists()


@pytest.mark.parametrize(
    ("words", "command"),
    [
        ("run sync", "run"),
        ("--log-level debug run --full-refresh tap-pipedrive target-postgres", "run"),
        ("invoke dbt-postgres:build", "invoke"),
        ("schedule run sync-every-4-hours", ""),
        ("state list", ""),
        ("", ""),
    ],
)
def test_commands_that_start_a_plugin_are_recognized(
    monkeypatch: pytest.MonkeyPatch, words: str, command: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["meltano", *words.split()])
    assert meltano_start._command() == command


@pytest.mark.parametrize(("words", "is_private"), [("select tap-pipedrive --list", True), ("install", False)])
def test_only_files_that_may_contain_a_secret_are_private(
    new_project: Callable[[], Project], monkeypatch: pytest.MonkeyPatch, words: str, is_private: bool
) -> None:
    project, before = new_project(), os.umask(0o022)
    monkeypatch.setattr(sys, "argv", ["meltano", *words.split()])
    try:
        meltano_start._begin(MeltanoProject(project.folder))
        assert (os.umask(0o022) == 0o077) is is_private
    finally:
        os.umask(before)


def test_plugins_are_installed_with_the_permissions_of_the_user(
    new_project: Callable[[], Project], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["meltano", "invoke", "dbt-postgres:build"])
    monkeypatch.setattr(venv_service, "exec_async", venv_service.exec_async)  # it is put back at the end
    project, before = new_project(), os.umask(0o022)
    new_file = project.folder / "installed"
    try:
        meltano_start._begin(MeltanoProject(project.folder))
        asyncio.run(venv_service.exec_async("touch", new_file))
    finally:
        os.umask(before)
    assert stat.S_IMODE(new_file.stat().st_mode) == 0o666 & ~USERS_MASK
