"""Hard days come from numbers: `make chaos` has more of them than `make test`."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from embedded_postgres.warehouse import Warehouse

from ..conftest import started
from ..pipeline.conftest import judge, target

__all__ = ["judge", "target"]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """As many days as CHAOS_RUNS says, from CHAOS_SEED on."""
    if "seed" in metafunc.fixturenames:
        first, runs = int(os.environ.get("CHAOS_SEED", "1")), int(os.environ.get("CHAOS_RUNS", "5"))
        metafunc.parametrize("seed", range(first, first + runs))


@pytest.fixture(scope="session")
def warehouse(run_folder: Path, worker_id: str) -> Warehouse:
    """A Postgres of this process alone, as it is killed."""
    return started(run_folder, f"chaos_{worker_id}")


@pytest.fixture
def database(warehouse: Warehouse) -> Iterator[str]:
    """URL of an empty database; it always has the same name, for which dbt has parsed the models."""
    yield warehouse.create_database("chaos")
    warehouse.drop_database("chaos")
