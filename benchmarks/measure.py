"""The cost of a command, and tables of it."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE
from typing import IO

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
HERE = Path(__file__).parent

Command = Sequence[str | Path]


@dataclass(frozen=True)
class Cost:
    """The cost of a command, including its child processes."""

    wall: float
    """Seconds."""

    cpu: float
    """CPU seconds in user and system mode."""

    memory: float
    """The peak memory of the largest process in MB."""


class Failed(Exception):
    """A command failed that should have worked."""


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return a user's environment: only the given settings of plugins, and compiled modules are kept."""
    ours = ("TAP_", "TARGET_", "MELTANO_", "PYTHONDONTWRITEBYTECODE")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)} | dict(
        extra or {}
    )


def run(
    *commands: Command,
    folder: Path,
    stdin: Path | None = None,
    stdout: Path | None = None,
    env: Mapping[str, str] | None = None,
    at: Path | None = None,
) -> list[Cost]:
    """Run commands as a pipe with their logs in a folder, and return the cost of each.

    Wall times are measured from the start of the first command. Raises Failed with the end of a log.
    """
    logs = [folder / f"{position}.log" for position in range(len(commands))]
    processes: list[subprocess.Popen[bytes]] = []
    begun = time.perf_counter()
    with (stdin or Path(os.devnull)).open("rb") as first, (stdout or Path(os.devnull)).open("wb") as last:
        source: IO[bytes] | None = first
        for command, log in zip(commands, logs, strict=True):
            is_last = len(processes) == len(commands) - 1
            with log.open("wb") as errors:
                process = subprocess.Popen(
                    command,
                    stdin=source,
                    stdout=last if is_last else PIPE,
                    stderr=errors,
                    env=env or environment(),
                    cwd=at,
                )
            if source and source is not first:
                source.close()  # another process reads it
            source = process.stdout
            processes.append(process)
    costs = []
    for process, log in zip(processes, logs, strict=True):
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise Failed(f"{process.args!r}: exit {process.returncode}\n{log.read_text()[-3000:]}")
        costs.append(
            Cost(time.perf_counter() - begun, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)
        )
    return costs


def machine() -> str:
    """Return the facts about the machine that the numbers depend on."""
    models = [line.split(":")[1].strip() for line in cpuinfo() if line.startswith("model name")]
    gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} cores ({models[0] if models else platform.machine()}), {gigabytes:.0f} GB, "
        f"{platform.system()}, Python {platform.python_version()}; load when it began: {os.getloadavg()[0]:.1f}"
    )


def cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return rows as a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
