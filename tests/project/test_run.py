"""`make run` under difficult conditions: it ends what it starts, asks before it writes, and runs in any
folder.
"""

import os
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg
import pytest

from orchestrate.progress import rows_command

from .clone import Clone
from .test_commands import MODELS_ONLY, SEEDS_ONLY, is_postgres


def start(clone: Clone) -> int:
    """Start `make run`, wait until rows arrive, and return its process, whose group is its own."""
    process = clone.start("exec make run")
    while " rows in " not in clone.output.read_text():
        assert process.poll() is None, clone.output.read_text()
        time.sleep(0.1)
    return process.pid


def its_program(clone: Clone) -> int:
    """Return the process that `make` has started."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if "orchestrate.run" in process.cmdline() and process.cwd() == str(clone.folder):
                return process.pid
    raise AssertionError("make run is not at work")


def ended(pid: int) -> None:
    """Wait for the end of a child process."""
    os.waitpid(pid, 0)


ENDS: dict[str, Callable[[Clone, int], None]] = {
    "Ctrl-C": lambda clone, make: os.killpg(make, signal.SIGINT),
    "a closed terminal": lambda clone, make: os.killpg(make, signal.SIGHUP),
    "kill of make": lambda clone, make: os.kill(make, signal.SIGTERM),
    "kill -9 of make": lambda clone, make: os.kill(make, signal.SIGKILL),
    "kill -9 of the program": lambda clone, make: os.kill(its_program(clone), signal.SIGKILL),
    "kill -9 of both": lambda clone, make: os.killpg(make, signal.SIGKILL),
}


@pytest.mark.usefixtures("hangups")
def test_no_process_outlives_a_run_however_it_ends(clone: Clone) -> None:
    clone.haste = SEEDS_ONLY
    for how, end in ENDS.items():
        make = start(clone)
        end(clone, make)
        ended(make)
        assert clone.processes_that_stay() == [], how
        printed = clone.output.read_text()
        assert "Traceback" not in printed, how
        if "-9" not in how:
            assert "What was committed is kept; the next `make run` continues from there." in printed
    clone.run(".venv/bin/warehouse up")
    make = start(clone)
    os.killpg(make, signal.SIGKILL)
    ended(make)
    assert clone.processes_that_stay(but=is_postgres) == []
    assert clone.processes(), "a Postgres that ran before keeps running"
    assert "port" in clone.run("make status")
    clone.haste = MODELS_ONLY
    clone.run("make run")  # the killed run does not block it


def test_a_second_run_does_not_disturb_the_first(clone: Clone) -> None:
    clone.haste = MODELS_ONLY
    clone.run("make run")
    clone.haste = SEEDS_ONLY
    make = start(clone)
    first = clone.output.rename(clone.output.with_name("first.txt"))
    refused = clone.run("! make run")
    assert "Another `make run` is at work in this folder" in refused
    for target in ("stop", "clean"):
        refused += clone.run(f"! make {target}")
        assert f"Ctrl-C where it runs, and then repeat `make {target}`." in refused
    assert "Traceback" not in refused
    _, status = os.waitpid(make, 0)
    assert status == 0, first.read_text()
    for deals, sentence in (
        ("7", "has 120 deals, not 7"),
        ("0", "not in the range"),
        ("many", "not a valid int"),
    ):
        assert sentence in clone.run(f"! make run DEALS={deals}")
    assert any(map(is_postgres, clone.processes())), "a mistake stops nothing"
    assert "Incremental" in clone.run("make run")
    clone.haste = MODELS_ONLY
    embedded = '. .venv/bin/activate; eval "$(.venv/bin/warehouse env)"'
    assert "OK" in clone.run(f"{embedded}; meltano invoke dbt-postgres:build --select main_bi")
    clone.haste = {}
    recommended = rows_command(is_embedded=True).replace("NAME", "assert_no_list_is_missing")
    assert '"show": []' in clone.run(recommended)


def test_demo_data_go_into_a_configured_database_only_on_request(clone: Clone, database: str) -> None:
    clone.haste = MODELS_ONLY
    no_account = "unset TAP_PIPEDRIVE_API_TOKEN TAP_PIPEDRIVE_API_URL"
    printed = clone.run(f"{no_account}; ! make run", with_account=True)
    assert "names a database, but no account of Pipedrive" in printed
    assert schemas(database) == []
    clone.run(f"{no_account}; make demo", with_account=True)
    assert schemas(database) == ["intermediate", "marts", "pipedrive", "seeds", "snapshots", "staging"]
    printed = clone.run("! make run", with_account=True)
    assert "`make drop-demo` removes the demo from it" in printed
    clone.run("make drop-demo", with_account=True)
    assert schemas(database) == []
    assert "holds no demo" in clone.run("! make drop-demo", with_account=True)
    assert ".env names no database from which a demo could be removed" in clone.run("! make drop-demo")
    assert clone.processes() == []


def schemas(database: str) -> list[str]:
    with psycopg.connect(database) as connection:
        found = connection.execute(
            "select nspname from pg_namespace where nspname !~ '^(pg_|information_schema|public)' order by 1"
        )
        return [name for (name,) in found.fetchall()]


@pytest.mark.usefixtures("every_plugin")  # the first run's umask would make files private in uv's cache
def test_a_run_works_in_any_folder(tmp_path: Path) -> None:
    parent = tmp_path / "uma ação"
    parent.mkdir()
    clone = Clone.make(parent, {})
    nowhere = "http://127.0.0.1:9"
    surroundings = {"LC_ALL": "C", "HTTP_PROXY": nowhere, "http_proxy": nowhere}
    clone.haste = surroundings | MODELS_ONLY
    clone.run("umask 077; make run")
    no_index = {"UV_DEFAULT_INDEX": nowhere, "PIP_INDEX_URL": nowhere, "PYTHONDONTWRITEBYTECODE": "1"}
    clone.haste = surroundings | SEEDS_ONLY | no_index
    again = clone.run("umask 000; make run")
    assert "Installing" not in again
    moved = clone.folder.with_name("moved clone")
    shutil.move(clone.folder, moved)
    clone.folder = moved
    clone.haste = surroundings | SEEDS_ONLY
    assert "Incremental" in clone.run("umask 000; make run")
    back = moved.with_name("clone")
    shutil.move(moved, back)
    clone.folder = back
    clone.run("make stop")
    clone.run("make clean")
    assert clone.leftovers() == ""


def test_a_clone_without_environment_is_stopped_and_cleaned(new_clone: Clone) -> None:
    new_clone.run("mkdir -p .run/uv .meltano; make stop; make clean")
    assert new_clone.leftovers() == ""
    assert not (new_clone.folder / ".run").exists()


PYTHONS = {
    "ensurepip.py": (
        "raise ImportError",
        "cannot make virtual environments: on Debian and Ubuntu, apt-get install",
    ),
    "sitecustomize.py": (
        "import sys; sys.version_info = (3, 14, 0)",
        "Python 3.11, 3.12 or 3.13 is needed, and python3",
    ),
}
"""Modules that make Python look like another one, with the expected message."""


@pytest.mark.parametrize("module", PYTHONS)
def test_an_unsuitable_python_is_reported(new_clone: Clone, tmp_path: Path, module: str) -> None:
    content, sentence = PYTHONS[module]
    (tmp_path / module).write_text(content)
    printed = new_clone.run(f"! PYTHONPATH={tmp_path} make run")
    assert sentence in printed
    assert "Traceback" not in printed
    assert new_clone.leftovers() == ""
