"""A test run ends everything that it starts, and skips a layer whose programs are missing."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .. import layers
from ..layers import PROGRAMS, missing_programs
from .clone import PATIENCE
from .documents import ROOT


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_test_run_leaves_no_postgres(tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C in a terminal reaches all processes of the run."""
    command = [sys.executable, "-m", "pytest", "-q", "--numprocesses", "2", "tests/chaos"]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(tmp_path), "CHAOS_RUNS": "50"},
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    patience = time.monotonic() + PATIENCE
    while not (files := list(tmp_path.glob("*/warehouses/*/data/postmaster.pid"))):
        assert process.poll() is None
        assert time.monotonic() < patience
        time.sleep(0.1)
    servers = [int(file.read_text().split()[0]) for file in files]
    os.killpg(process.pid, number)
    ends = {signal.SIGINT: pytest.ExitCode.INTERRUPTED, signal.SIGKILL: -signal.SIGKILL}
    assert process.wait(timeout=PATIENCE) == ends[number]
    while any(Path(f"/proc/{server}").exists() for server in servers) or list(
        tmp_path.glob("pipedrive-tests-*")
    ):
        assert time.monotonic() < patience, "something is left"
        time.sleep(0.1)


def test_a_layer_is_skipped_without_its_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(layers, "OWN", ROOT)
    for layer, programs in PROGRAMS.items():
        assert missing_programs(["parametrize", layer]) == sorted(programs)
    assert missing_programs(["parametrize"]) == []
