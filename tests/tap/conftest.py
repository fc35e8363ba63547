"""Sandboxes for the tap's tests, and time that does not pass."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest
from pipedrive_sandbox.testing import Sandbox
from tap_pipedrive import masking


@pytest.fixture(autouse=True)
def no_settings_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("TAP_PIPEDRIVE_"):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def no_lists_of_other_tests(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Else a test would find what the tap has kept of an account that had the same address before."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("caches")))


@pytest.fixture(autouse=True)
def no_secrets_of_other_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a test's token named `all` is masked in the messages of the next tests."""
    monkeypatch.setattr(masking, "_secrets", set())


@pytest.fixture(scope="session")
def shared() -> Iterator[Sandbox]:
    """An account that no test changes, with tokens for all tests of a day."""
    with Sandbox(deals=60, daily_budget=10**9) as sandbox:
        yield sandbox


@pytest.fixture
def living() -> Iterator[Sandbox]:
    """An account of the test's own."""
    with Sandbox(deals=60) as sandbox:
        yield sandbox


@pytest.fixture
def sleeps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that would have been slept, instead of sleeping."""
    slept: list[float] = []
    really = time.sleep

    def sleep(seconds: float) -> None:
        if not seconds >= 0:  # nan, too
            really(seconds)  # raises
        slept.append(seconds)

    monkeypatch.setattr(time, "sleep", sleep)
    return slept
