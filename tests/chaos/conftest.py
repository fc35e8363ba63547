"""Hard days come from numbers: `make chaos` has more of them than `make test`."""

import os

import pytest

from ..pipeline.conftest import target

__all__ = ["target"]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """As many days as CHAOS_RUNS says, from CHAOS_SEED on."""
    if "seed" in metafunc.fixturenames:
        first, runs = int(os.environ.get("CHAOS_SEED", "1")), int(os.environ.get("CHAOS_RUNS", "20"))
        metafunc.parametrize("seed", range(first, first + runs))
