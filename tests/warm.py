"""Keeps programs imported that are started often, and forks a copy of that process for each start.

Importing its libraries takes most of the time of a short run of the tap, the target or dbt. Everything else
is as usual: each start has its own process, arguments, environment, pipes and exit code. Tests of how
programs begin or end start them normally.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from subprocess import DEVNULL, PIPE, TimeoutExpired
from types import TracebackType
from typing import IO, Any

SERVER = Path(__file__).with_name("warm_server.py")

PRELOADED = {
    "tap-pipedrive": ("tap_pipedrive.tap",),
    "target-postgres": ("target_postgres.target",),
    "dbt": ("dbt.cli.main", "dbt.adapters.postgres", "dbt.task.build"),
}
"""The modules to import in advance, by program."""


class WarmProcess:
    """A process that was started in this way, with the part of `subprocess.Popen` that tests use."""

    def __init__(self, answer: int, stdin: int | None, stdout: int | None) -> None:
        self._answer = os.fdopen(answer, "rb", buffering=0)
        self.stdin: IO[bytes] | None = None if stdin is None else os.fdopen(stdin, "wb")
        self.stdout: IO[bytes] | None = None if stdout is None else os.fdopen(stdout, "rb")
        self.returncode: int | None = None
        started = self._answer.readline()
        assert started, "the forking process has died; its output is in the output of the test"
        self.pid = int(started)

    def __enter__(self) -> WarmProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.communicate()

    def poll(self) -> int | None:
        """Return the exit code, or None while the process runs."""
        try:
            return self.wait(timeout=0)
        except TimeoutExpired:
            return None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end of the process, and return its exit code. Raises TimeoutExpired after that many
        seconds.
        """
        if self.returncode is None:
            if not select.select([self._answer], [], [], timeout)[0]:
                raise TimeoutExpired(str(self.pid), timeout or 0)
            self.returncode = int(self._answer.readline())
            self._answer.close()
        return self.returncode

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, unless the process has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill the process."""
        self.send_signal(signal.SIGKILL)

    def communicate(self) -> tuple[bytes, None]:
        """Close its input, read its output to the end, wait for it, and return the output."""
        output = b""
        if self.stdin and not self.stdin.closed:
            with suppress(BrokenPipeError):  # the process has ended already
                self.stdin.close()
        if self.stdout and not self.stdout.closed:
            output = self.stdout.read()
            self.stdout.close()
        self.wait()
        return output, None


@cache
def _server(program: Path) -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """Start a process that imports a program, and return the channel to it; it ends with this process."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        server = subprocess.Popen(
            [program.with_name("python"), SERVER, str(theirs.fileno()), program, *PRELOADED[program.name]],
            stdin=DEVNULL,
            stdout=DEVNULL,
            pass_fds=[theirs.fileno()],
        )
    return ours, server


def start(
    command: Sequence[str | Path],
    *,
    stdin: int = DEVNULL,
    stdout: int | IO[Any],
    stderr: IO[Any],
    environment: Mapping[str, str],
) -> WarmProcess:
    """Start a program with its arguments; `stdin` and `stdout` may be PIPE."""
    program, *arguments = command
    answer, answers = os.pipe()
    theirs, ours = [answers], dict[str, int]()
    if stdin == PIPE:
        theirs_in, ours["stdin"] = os.pipe()
    else:
        theirs_in = os.open(os.devnull, os.O_RDONLY)
    theirs.append(theirs_in)
    if stdout == PIPE:
        ours["stdout"], theirs_out = os.pipe()
        theirs.append(theirs_out)
    else:
        assert not isinstance(stdout, int)
        theirs_out = stdout.fileno()
    request = {"arguments": list(map(str, arguments)), "environment": dict(environment)}
    files = [theirs_in, theirs_out, stderr.fileno(), answers]
    channel, _ = _server(Path(program))
    socket.send_fds(channel, [json.dumps(request).encode()], files)
    for file in theirs:
        os.close(file)
    return WarmProcess(answer, ours.get("stdin"), ours.get("stdout"))
