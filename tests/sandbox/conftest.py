"""Fixtures: sandboxes over HTTP."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pipedrive_sandbox.testing import Sandbox


@pytest.fixture(scope="session")
def shared() -> Iterator[Sandbox]:
    """An account that no test changes."""
    with Sandbox(deals=200) as sandbox:
        yield sandbox


@pytest.fixture
def living() -> Iterator[Sandbox]:
    """An account that belongs to one test only."""
    with Sandbox(deals=60) as sandbox:
        yield sandbox
