"""Hard days are drawn from numbers; `make chaos` has more of them than `make test`."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from embedded_postgres.warehouse import Warehouse

from ..conftest import started
from ..pipeline.conftest import judge, target

__all__ = ["judge", "target"]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make CHAOS_RUNS days, numbered from CHAOS_SEED."""
    if "seed" in metafunc.fixturenames:
        first, runs = int(os.environ.get("CHAOS_SEED", "1")), int(os.environ.get("CHAOS_RUNS", "5"))
        metafunc.parametrize("seed", range(first, first + runs))


@pytest.fixture(scope="session")
def warehouse(run_folder: Path, worker_id: str) -> Warehouse:
    """A Postgres for this process alone, because the tests kill it."""
    return started(run_folder, f"chaos_{worker_id}")


@pytest.fixture
def database(warehouse: Warehouse) -> Iterator[str]:
    """The URL of an empty database; its name is always the same, because dbt's parsed models depend on it."""
    yield warehouse.create_database("chaos")
    warehouse.drop_database("chaos")
