"""Hard days come from numbers: `make chaos` has more of them than `make test`."""

import os
from pathlib import Path

import pytest
from embedded_postgres.warehouse import Warehouse

from ..conftest import started
from ..pipeline.conftest import target

__all__ = ["target"]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """As many days as CHAOS_RUNS says, from CHAOS_SEED on."""
    if "seed" in metafunc.fixturenames:
        first, runs = int(os.environ.get("CHAOS_SEED", "1")), int(os.environ.get("CHAOS_RUNS", "5"))
        metafunc.parametrize("seed", range(first, first + runs))


@pytest.fixture(scope="session")
def warehouse(run_folder: Path, worker_id: str) -> Warehouse:
    """A Postgres of this process alone, as it is killed."""
    return started(run_folder, f"chaos_{worker_id}")
