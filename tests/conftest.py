"""Fixtures that several test folders share: Postgres, plugins, empty databases, and a sandbox per test.

The processes of one test run share a folder, in which everything that all of them need is made once.
"""

import gc
import hashlib
import os
import signal
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any

import hypothesis
import psycopg
import pytest
from embedded_postgres.warehouse import Warehouse
from filelock import FileLock
from pipedrive_sandbox.testing import Sandbox
from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]

from orchestrate.processes import at_the_end

from .layers import PROGRAMS, missing_programs
from .postgres import TlsServer, tls_server

ROOT = Path(__file__).parents[1]

SHARED_FOLDER = "PYTEST_SHARED_FOLDER"
"""The variable with the folder of the test run; pytest-xdist's processes inherit it."""

LONGEST_FIRST = (
    "service/test_image",
    "clouds/test_terraform",
    "clouds/test_airflow",
    "clouds/test_pods",
    "service/test_runbook",
    "service/test_airflow_runs",
    "service/test_compose",
    "project/test_commands",
    "project/test_run",
    "transform/test_data_quality",
    "transform",
    "chaos",
    "pipeline",
    "observe/test_end",
    "upgrade",
    "project/test_session",
    "sandbox/test_generate",
    "sandbox/test_warehouse",
    "tap/test_fuzz",
    "tap/test_bounds",
    "tap/test_budget",
    "tap/test_children",
)
"""Path prefixes of tests that take minutes; they start first, to balance the processes."""

SHARE_NOTHING = ("project/test_commands", "project/test_run", "transform/test_data_quality", "chaos")
"""Tests of one file that may run in different processes."""

hypothesis.settings.register_profile(
    "patient",
    deadline=None,  # a busy machine must not fail a property test
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
    derandomize="NEW_EXAMPLES" not in os.environ,  # nor may a change fail because of examples of chance
)
hypothesis.settings.load_profile("patient")

_numbers = count(1)


def pytest_configure(config: pytest.Config) -> None:
    """Make the folder of the test run once for all of its processes."""
    for layer in PROGRAMS:
        config.addinivalue_line("markers", f"{layer}: runs where the layer's programs are installed")
    # Otherwise each of the hundreds of programs that the tests start would compile its libraries again.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    if not hasattr(config, "workerinput"):
        folder = Path(tempfile.mkdtemp(prefix="pipedrive-tests-"))
        os.environ[SHARED_FOLDER] = str(folder)
        cleanup = ExitStack()  # this also works for a run that is killed
        cleanup.enter_context(at_the_end(sys.executable, ROOT / "tests" / "cleanup.py", folder))
        config.add_cleanup(cleanup.close)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest tests first, and skip tests of layers whose programs are missing."""

    def rank(item: pytest.Item) -> int:
        path = str(item.path.relative_to(ROOT / "tests"))
        return next((i for i, name in enumerate(LONGEST_FIRST) if path.startswith(name)), len(LONGEST_FIRST))

    items.sort(key=rank)
    for item in items:
        if missing := missing_programs(mark.name for mark in item.iter_markers()):
            item.add_marker(pytest.mark.skip(reason=f"not installed: {', '.join(missing)}"))


def pytest_collection_finish() -> None:
    """Exclude everything loaded so far from garbage collection, which saves a tenth of the time of the tap's
    tests.
    """
    gc.collect()
    gc.freeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how long the tests of each folder or layer took in all processes together."""
    seconds: dict[str, float] = defaultdict(float)
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                layers = [layer for layer in PROGRAMS if layer in report.keywords]
                seconds[(layers or report.nodeid.split("/")[1:])[0]] += report.duration
    if seconds:
        longest_first = sorted(seconds.items(), key=lambda item: -item[1])
        parts = ", ".join(f"{name} {total:.0f}" for name, total in longest_first)
        terminalreporter.write_line(f"seconds by layer: {parts}")


class Scheduling(LoadFileScheduling):  # type: ignore[misc]
    """Runs all tests of a file in one process, so that they share fixtures, except tests that share nothing."""

    def _split_scope(self, nodeid: str) -> str:
        is_alone = nodeid.removeprefix("tests/").startswith(SHARE_NOTHING)
        return nodeid if is_alone else nodeid.partition("::")[0]


def pytest_xdist_auto_num_workers() -> int:
    """Use one process more than there are cores, because many tests wait for a process, an answer or a lock."""
    return (os.cpu_count() or 1) + 1


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling:
    """Use this scheduling whenever there are several processes."""
    return Scheduling(config, log)


@pytest.fixture
def hangups() -> Iterator[None]:
    """Let SIGHUP end the programs that a test starts, even if the tests were started by nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture(scope="session")
def run_folder() -> Path:
    """The folder that all processes of this test run share."""
    return Path(os.environ[SHARED_FOLDER])


@pytest.fixture(scope="session")
def installed() -> Callable[[str, str], Path]:
    """A function that installs a plugin of meltano.yml unless it is up to date, and returns the folder of its
    programs.
    """
    sources = [ROOT / "meltano.yml", ROOT / "tap-pipedrive" / "pyproject.toml"]
    sources += [path for path in sorted((ROOT / "plugins").rglob("*.*")) if path.suffix != ".pyc"]
    contents = b"".join(path.read_bytes() for path in sources if path.is_file())
    wanted = hashlib.sha256(f"{ROOT} {sys.version}".encode() + contents).hexdigest()

    def install(kind: str, name: str) -> Path:
        plural = {"utility": "utilities"}.get(kind, f"{kind}s")
        environment = ROOT / ".meltano" / plural / name / "venv"
        stamp = environment / "installed_for_tests"
        with FileLock(ROOT / ".venv" / "plugins.lock"):
            if not stamp.exists() or stamp.read_text() != wanted:
                meltano = Path(sys.executable).with_name("meltano")
                subprocess.run([meltano, "install", kind, name], cwd=ROOT, check=True)
                stamp.write_text(wanted)
        return environment / "bin"

    return install


@pytest.fixture(scope="session")
def every_plugin(installed: Callable[[str, str], Path]) -> None:
    """All plugins of meltano.yml are installed."""
    for kind, name in (
        ("extractor", "tap-pipedrive"),
        ("extractor", "tap-hubspot"),
        ("loader", "target-postgres"),
        ("utility", "dbt-postgres"),
    ):
        installed(kind, name)


@pytest.fixture(scope="session")
def warehouse(run_folder: Path) -> Warehouse:
    """A Postgres for all tests of this run."""
    return started(run_folder, "shared")


def started(run_folder: Path, name: str) -> Warehouse:
    """Start a Postgres that may lose data if the machine stops; it ends with the test run."""
    warehouse = Warehouse(run_folder / "warehouses" / name)
    with psycopg.connect(warehouse.up(), autocommit=True) as connection:
        connection.execute("alter system set fsync = off")
        connection.execute("select pg_reload_conf()")
    return warehouse


@pytest.fixture
def database(warehouse: Warehouse, worker_id: str) -> Iterator[str]:
    """The URL of an empty database."""
    name = f"test_{worker_id}_{next(_numbers)}"
    yield warehouse.create_database(name)
    warehouse.drop_database(name)


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsServer]:
    """A Postgres with TLS."""
    with tls_server(tmp_path_factory.mktemp("tls")) as server:
        yield server


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A small account for one test, with all kinds of bad data."""
    with Sandbox(deals=60) as sandbox:
        yield sandbox
