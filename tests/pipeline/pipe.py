"""`tap-pipedrive | target-postgres` as a runner pipes it: line by line, with the state that the target
emitted.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from subprocess import PIPE
from typing import Any, BinaryIO, Literal, NamedTuple
from urllib.parse import unquote, urlsplit

import yaml

from .. import warm

ROOT = Path(__file__).resolve().parents[2]
TAP = Path(sys.executable).with_name("tap-pipedrive")
HASTE = Path(__file__).with_name("haste")
"""A folder whose `sitecustomize.py` shortens every sleep of a process."""

AT_ONCE: dict[str, Any] = {"reference_max_age": 0, "cache_seconds": 0}
"""Settings with which each run reads all lists, so that the warehouse equals the account after each run."""

RECORD, STATE = b'{"type":"RECORD","stream":"', b'{"type":"STATE"'

Message = dict[str, Any]
Process = subprocess.Popen[bytes] | warm.WarmProcess


class Break(NamedTuple):
    """A kill -9 when a page of a stream is written: of the tap, between or within lines, or of the target."""

    stream: str
    page: int
    what: Literal["tap", "line", "target"] = "tap"


def loader_config() -> dict[str, Any]:
    """Return the target's configuration in meltano.yml."""
    project = yaml.safe_load((ROOT / "meltano.yml").read_text())
    loader = next(each for each in project["plugins"]["loaders"] if each["name"] == "target-postgres")
    return dict(loader["config"])


def connection_variables(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return the connection variables that Meltano sets from the target's settings."""
    return {
        f"TARGET_POSTGRES_{name.upper()}": str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in settings.items()
        if name in ("host", "port", "user", "password", "database") or name.startswith("ssl_")
    }


def connection_settings(database: str) -> dict[str, Any]:
    """Return the parts of a database URL under the names that target-postgres uses."""
    url = urlsplit(database)
    return {
        "host": url.hostname,
        "port": url.port,
        "user": url.username,
        "password": unquote(url.password or ""),
        "database": unquote(url.path[1:]),
    }


@dataclass(frozen=True)
class Run:
    """The output of one run."""

    tap_exit: int
    target_exit: int
    lines: list[bytes]
    """What the tap wrote."""
    states: list[dict[str, Any]]
    """What the target printed: states before which all rows are committed."""
    tap_log: str
    target_log: str

    @cached_property
    def messages(self) -> list[Message]:
        """The tap's messages."""
        return [json.loads(line) for line in self.lines]

    @property
    def id(self) -> str | None:
        """The run's id, if the run wrote a statement."""
        return next((row["run_id"] for row in self.rows("run_statements")), None)

    @property
    def records(self) -> Counter[str]:
        """Return the number of RECORD messages by stream."""
        return Counter(message["stream"] for message in self.messages if message["type"] == "RECORD")

    def ids(self, stream: str) -> set[Any]:
        """Return the ids in the RECORD messages of a stream."""
        return {row["id"] for row in self.rows(stream)}

    def rows(self, stream: str) -> list[Message]:
        """Return the rows in the RECORD messages of a stream."""
        return [
            message["record"]
            for message in self.messages
            if message["type"] == "RECORD" and message["stream"] == stream
        ]

    @property
    def errors(self) -> list[str]:
        """Return the errors that the tap logged."""
        return re.findall(r"\| ERROR +\| \S+ +\| (.*)", self.tap_log)

    def succeeded(self) -> Run:
        """Return this run if it succeeded; otherwise AssertionError shows the end of the logs."""
        tap, target = self.tap_log[-3000:], self.target_log[-3000:]
        assert (self.tap_exit, self.target_exit) == (0, 0), f"{tap}\n---\n{target}"
        assert not self.errors, self.errors
        return self


class Pipe:
    """Runs of the tap into one database; each continues from the last state that the target emitted."""

    def __init__(self, target: Path, folder: Path, database: str, api: Mapping[str, Any]) -> None:
        self.state: dict[str, Any] | None = None
        self.api = {**AT_ONCE, **api}
        """The tap's settings."""
        self.loader = loader_config() | connection_settings(database)
        """The target's settings."""
        self.variables: dict[str, str] = {}
        """Additional environment variables of the target."""
        self.rows_per_page: int | None = None
        """The page size, if it is not the largest; sleeps are shortened then."""
        self.everything = False
        """Whether all streams that are off by default are loaded as well."""
        self.also: tuple[str, ...] = ()
        """The streams off by default that are loaded."""
        self._target = target
        self._folder = folder

    def run(self, *, break_after: Break | None = None, in_haste: bool = False) -> Run:
        """Run once, to the end or until the kill -9."""
        logs = self._folder / "tap.log", self._folder / "target.log"
        with (
            logs[0].open("wb") as tap_log,
            logs[1].open("wb") as target_log,
            self._start_tap(tap_log, in_haste=in_haste) as tap,
            warm.start(
                self._target_command(),
                stdin=PIPE,
                stdout=PIPE,
                stderr=target_log,
                environment=os.environ | connection_variables(self.loader) | self.variables,
            ) as target,
        ):
            lines = self.forward(tap, target, break_after)
            printed, _ = target.communicate()
        run = Run(
            tap.wait(),
            target.wait(),
            lines,
            [json.loads(line) for line in printed.splitlines()],
            *(log.read_text() for log in logs),
        )
        if run.states:
            self.state = run.states[-1]
        token = self.api.get("api_token", "")
        for place, seen in (
            ("tap's log", run.tap_log),
            ("target's log", run.target_log),
            ("state", str(printed)),
        ):
            assert not token or token not in seen, f"the token is in the {place}"
        assert not token or not any(token.encode() in line for line in lines), "the token is in a message"
        return run

    def twin(self) -> Pipe:
        """Return another pipe into the same database, which starts with this one's present state."""
        folder = self._folder / "twin"
        folder.mkdir()
        twin = Pipe(self._target, folder, "", self.api)
        twin.loader, twin.variables, twin.state = self.loader, self.variables, self.state
        return twin

    def _start_tap(self, log: BinaryIO, *, in_haste: bool) -> Process:
        environment = os.environ | {"TAP_PIPEDRIVE_LOGLEVEL": "DEBUG"}
        if self.rows_per_page:
            environment["ROWS_PER_PAGE"] = str(self.rows_per_page)
        if in_haste or self.rows_per_page:
            environment["PYTHONPATH"] = os.pathsep.join([str(HASTE), os.environ.get("PYTHONPATH", "")])
            return subprocess.Popen(self._tap_command(), stdout=PIPE, stderr=log, env=environment)
        return warm.start(self._tap_command(), stdout=PIPE, stderr=log, environment=environment)

    def forward(self, tap: Process, target: Process, break_after: Break | None) -> list[bytes]:
        """Pass on the tap's lines until the tap or the target ends."""
        assert tap.stdout
        assert target.stdin
        lines, stream, pages = [], b"", 0
        try:
            for line in tap.stdout:
                lines.append(line)
                target.stdin.write(line)
                if line.startswith(RECORD):
                    stream = line[len(RECORD) :].split(b'"', 1)[0]
                elif break_after and line.startswith(STATE) and stream == break_after.stream.encode():
                    pages += 1
                    if pages == break_after.page and break_after.what == "target":
                        target.kill()
                    elif pages == break_after.page:
                        if break_after.what == "line":
                            half = tap.stdout.readline()
                            target.stdin.write(half[: len(half) // 2])
                        tap.kill()
                        break
            target.stdin.flush()
        except BrokenPipeError:  # the target is dead
            pass
        tap.stdout.close()
        return lines

    def _tap_command(self) -> list[str | Path]:
        command: list[str | Path] = [TAP, "--config", self._written("tap.json", self.api)]
        if self.state is not None:
            command += ["--state", self._written("state.json", self.state)]
        if self.everything or self.also:
            command += ["--catalog", self._written("catalog.json", self._more_selected(command))]
        return command

    def _more_selected(self, command: list[str | Path]) -> dict[str, Any]:
        log = self._folder / "discovery.log"
        with (
            log.open("wb") as errors,
            warm.start([*command, "--discover"], stdout=PIPE, stderr=errors, environment=os.environ) as tap,
        ):
            printed, _ = tap.communicate()
        assert tap.wait() == 0, log.read_text()
        catalog: dict[str, Any] = json.loads(printed)
        for stream in catalog["streams"]:
            for item in stream["metadata"]:
                if not item["breadcrumb"] and (self.everything or stream["tap_stream_id"] in self.also):
                    item["metadata"]["selected"] = True
        return catalog

    def _target_command(self) -> list[str | Path]:
        return [self._target, "--config", self._written("target.json", self.loader)]

    def _written(self, name: str, content: Mapping[str, Any]) -> Path:
        path = self._folder / name
        path.write_text(json.dumps(content))
        return path
