"""Fixtures of the tap's tests: sandboxes, and a clock that does not make tests wait."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest
from pipedrive_sandbox.hubspot.testing import HubspotSandbox
from pipedrive_sandbox.testing import Sandbox
from tap_pipedrive import masking


@pytest.fixture(autouse=True)
def no_settings_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(("TAP_PIPEDRIVE_", "TAP_HUBSPOT_")):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def no_lists_of_other_tests(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Without this, a test could find lists that the tap cached for an earlier account at the same address."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("caches")))


@pytest.fixture(autouse=True)
def no_secrets_of_other_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without this, a token named `all` in one test would be masked in the messages of later tests."""
    monkeypatch.setattr(masking, "_secrets", set())


@pytest.fixture(scope="session")
def shared() -> Iterator[Sandbox]:
    """An account that no test changes, with a daily budget large enough for all tests."""
    with Sandbox(deals=60, daily_budget=10**9) as sandbox:
        yield sandbox


@pytest.fixture
def living() -> Iterator[Sandbox]:
    """An account that belongs to one test only."""
    with Sandbox(deals=60) as sandbox:
        yield sandbox


@pytest.fixture
def sleeps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Replace sleeping; the list holds the seconds that would have been slept."""
    slept: list[float] = []
    really = time.sleep

    def sleep(seconds: float) -> None:
        if not seconds >= 0:  # this also catches nan
            really(seconds)  # this raises
        slept.append(seconds)

    monkeypatch.setattr(time, "sleep", sleep)
    return slept


@pytest.fixture
def own(sleeps: list[float]) -> Iterator[HubspotSandbox]:
    """A HubSpot account that belongs to one test only, without waits between searches."""
    with HubspotSandbox(deals=60) as sandbox:
        yield sandbox
