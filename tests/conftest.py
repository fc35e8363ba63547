"""What several test folders share: one Postgres per session, an empty database and a sandbox per test."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import psycopg
import pytest
from filelock import FileLock
from pipedrive_sandbox.testing import Sandbox
from pipedrive_sandbox.warehouse import Warehouse

from .postgres import TlsServer, tls_server

ROOT = Path(__file__).parents[1]

LONGEST_FIRST = ("project", "transform", "pipeline", "chaos")
"""Folders whose files take minutes: two processes end together if the short ones come last."""

_numbers = count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest tests first."""

    def rank(item: pytest.Item) -> int:
        folder = item.path.relative_to(ROOT / "tests").parts[0]
        return LONGEST_FIRST.index(folder) if folder in LONGEST_FIRST else len(LONGEST_FIRST)

    items.sort(key=rank)


@pytest.fixture(scope="session")
def installed() -> Callable[[str, str], Path]:
    """Installs a plugin of meltano.yml and tells where its programs are; test processes take turns."""

    def install(kind: str, name: str) -> Path:
        meltano = Path(sys.executable).with_name("meltano")
        with FileLock(ROOT / ".venv" / "plugins.lock"):
            subprocess.run([meltano, "install", kind, name], cwd=ROOT, check=True)
        plural = {"utility": "utilities"}.get(kind, f"{kind}s")
        return ROOT / ".meltano" / plural / name / "venv" / "bin"

    return install


@pytest.fixture(scope="session")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    """A Postgres of the session's own."""
    warehouse = Warehouse(tmp_path_factory.mktemp("warehouse") / "home")
    with psycopg.connect(warehouse.up(), autocommit=True) as connection:
        connection.execute("alter system set fsync = off")  # a crash may lose it all: it is for this session
        connection.execute("select pg_reload_conf()")
    yield warehouse
    warehouse.delete()


@pytest.fixture
def database(warehouse: Warehouse) -> Iterator[str]:
    """URL of an empty database."""
    name = f"test_{next(_numbers)}"
    yield warehouse.create_database(name)
    warehouse.drop_database(name)


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsServer]:
    """A Postgres with TLS."""
    with tls_server(tmp_path_factory.mktemp("tls")) as server:
        yield server


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A small account of the test's own, with all troubles on."""
    with Sandbox(deals=60) as sandbox:
        yield sandbox
