"""Starts target and dbt as Meltano does, with messages that a test chooses."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE
from typing import Any

from .. import warm
from .pipe import ROOT, Process, connection_settings, connection_variables, loader_config

COLUMNS = {
    "id": {"type": "integer"},
    "name": {"type": ["string", "null"]},
    "age": {"type": ["integer", "null"]},
}

SECRET = "Maria Secreta"
"""A name in a row that no log may show."""

PATIENCE = 300
"""The longest time in seconds that any step here may take on a busy machine."""


def schema(columns: Mapping[str, Any] = COLUMNS, stream: str = "people") -> str:
    """A SCHEMA message."""
    message = {
        "type": "SCHEMA",
        "stream": stream,
        "schema": {"properties": columns},
        "key_properties": ["id"],
    }
    return json.dumps(message) + "\n"


def record(stream: str = "people", **row: Any) -> str:
    """A RECORD message."""
    return json.dumps({"type": "RECORD", "stream": stream, "record": row}) + "\n"


@dataclass
class Program:
    """A running program and its output."""

    process: Process
    log: Path

    @property
    def output(self) -> str:
        """Return the output so far."""
        return self.log.read_text()

    def wait_for(self, words: str) -> None:
        """Wait until the output contains these words."""
        wait_until(lambda: words in self.output or self.process.poll() is not None, lambda: self.output)
        assert words in self.output, self.output

    def end(self) -> int:
        """Wait until the program ends, and return its exit code."""
        return self.process.wait(timeout=PATIENCE)


def wait_until(condition: Callable[[], object], explanation: Callable[[], str] = str) -> None:
    """Wait until the condition is true."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, explanation()
        time.sleep(0.05)


class Plugins:
    """Starts target and dbt on one database.

    Args:
        target: the program of the target.
        dbt: the program of dbt.
        folder: the folder for configuration and logs.
        database: URL of the database.
    """

    def __init__(self, target: Path, dbt: Path, folder: Path, database: str) -> None:
        self._target = target
        self._dbt = dbt
        self.folder = folder
        self.connection = connection_settings(database)
        """The target's connection settings."""
        self.project = ROOT / "transform"
        """The folder of the dbt project."""
        self.dbt_command_prefix: list[str] = []
        """The command before dbt's own, if dbt is not started by this process directly."""
        self._started = 0

    def load(self, *messages: str, **variables: str) -> Program:
        """Start the target with some messages as input."""
        settings = {**loader_config(), **self.connection}
        config = self.folder / "target.json"
        config.write_text(json.dumps(settings))
        program = self._start([self._target, "--config", config], variables, is_warm=True)
        assert program.process.stdin
        program.process.stdin.write("".join(messages).encode())
        program.process.stdin.close()
        return program

    def dbt(self, *arguments: str, **variables: str) -> Program:
        """Start dbt."""
        own = {
            "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
            "DBT_PROFILES_DIR": str(ROOT / "transform"),
            "DBT_PROJECT_DIR": str(self.project),
            "DBT_TARGET_PATH": str(self.folder / "dbt"),
            "DBT_LOG_PATH": str(self.folder / "dbt" / "logs"),
        }
        program = self._start(
            [*self.dbt_command_prefix, self._dbt, "--no-use-colors", *arguments], own | variables
        )
        assert program.process.stdin
        program.process.stdin.close()
        return program

    def _start(
        self, command: list[str | Path], variables: Mapping[str, str], *, is_warm: bool = False
    ) -> Program:
        self._started += 1
        log = self.folder / f"{self._started}.log"
        environment = {**os.environ, **connection_variables(self.connection), **variables}
        process: Process
        with log.open("wb") as output:
            if is_warm:
                process = warm.start(
                    command, stdin=PIPE, stdout=output, stderr=output, environment=environment
                )
            else:
                process = subprocess.Popen(command, stdin=PIPE, stdout=output, stderr=output, env=environment)
        return Program(process, log)
