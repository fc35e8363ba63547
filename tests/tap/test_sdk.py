"""What the tap uses of the Singer SDK beyond its public interface, with supported and upcoming releases."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from packaging.specifiers import SpecifierSet
from packaging.version import Version
from pipedrive_sandbox.testing import Sandbox

from . import sdk_seam
from .test_reuse import PACKAGE, install, of

NEXT = "singer-sdk>=0.55.0b7,<0.56"

OF_THE_RUN = {"run_statements", "source_counts", "source_samples"}
"""Streams whose rows differ between two runs of the same account."""


def test_the_supported_sdk_has_the_names_that_the_tap_uses() -> None:
    assert sdk_seam.missing() == []


def test_the_supported_range_includes_the_tested_releases() -> None:
    text = (PACKAGE / "pyproject.toml").read_text()
    line = next(line for line in text.splitlines() if "singer-sdk" in line)
    supported = SpecifierSet(line.strip(' ",').removeprefix("singer-sdk"))
    assert supported.contains(version("singer-sdk"))
    assert supported.contains(Version("0.55.0b7"), prereleases=True)
    assert not supported.contains(Version("0.56.0"))


@pytest.fixture(scope="module")
def next_release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment with the tap and the newest pre-release of the SDK."""
    try:
        return install(tmp_path_factory.mktemp("next") / "venv", "--prerelease=allow", str(PACKAGE), NEXT)
    except subprocess.CalledProcessError:
        pytest.skip(f"the package index has no {NEXT}")


def test_the_next_sdk_release_has_the_names_that_the_tap_uses(next_release: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [next_release / "python", sdk_seam.__file__], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == []


def messages(programs: Path, folder: Path, sandbox: Sandbox, *words: str) -> list[dict[str, Any]]:
    """Return the tap's messages about the account without times of extraction and without statements of the
    run.
    """
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), **of(sandbox)}
    environment["TAP_PIPEDRIVE_CACHE_SECONDS"] = "0"  # otherwise the second run would read less
    command = [str(programs / "tap-pipedrive"), "--config=ENV", *words]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return [
        {key: value for key, value in each.items() if key not in ("time_extracted", "version")}
        for each in found
        if each["type"] in ("SCHEMA", "RECORD") and each["stream"] not in OF_THE_RUN
    ]


def test_the_next_sdk_release_gives_the_same_messages(
    next_release: Path, tmp_path: Path, shared: Sandbox
) -> None:
    ours = messages(Path(sys.executable).parent, tmp_path, shared)
    assert ours
    assert messages(next_release, tmp_path, shared) == ours
