"""What several test folders share: one Postgres per session, an empty database and a sandbox per test."""

from collections.abc import Iterator
from itertools import count

import psycopg
import pytest
from pipedrive_sandbox.testing import Sandbox
from pipedrive_sandbox.warehouse import Warehouse

_numbers = count(1)


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


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A small account of the test's own, with all troubles on."""
    with Sandbox(deals=60) as sandbox:
        yield sandbox
