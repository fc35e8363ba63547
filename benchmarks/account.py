"""The account to read: a sandbox in its own process, or a recording of one."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from measure import BIN, HERE, Command, Cost, Failed, environment, run

BIG_LISTS = ("deals", "persons", "organizations", "activities", "notes")
UNLIMITED = 1_000_000


class Account:
    """A server that speaks Pipedrive, and a folder for the tap's files."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.folder = folder
        self.config = folder / "tap.json"
        self.config.write_text(json.dumps({"api_url": url, "api_token": "sandbox-token"}))

    def control(self, path: str, body: dict[str, Any] | None = None, method: str | None = None) -> Any:
        """Use a control of the sandbox: by POST with a body, otherwise by GET, unless another method is
        given.
        """
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = Request(self.url + path, data=data, headers=headers, method=method)
        with urlopen(request, timeout=600) as answer:
            return json.loads(answer.read() or b"null")

    def spent(self) -> dict[str, int]:
        """Return the API tokens spent since the last call, by endpoint."""
        endpoints = self.control("/sandbox/stats")["endpoints"]
        self.control("/sandbox/stats/reset", {})
        return {endpoint: numbers["tokens"] for endpoint, numbers in endpoints.items()}

    def select(self, *streams: str) -> None:
        """Make the tap read only these streams."""
        catalog = self.folder / "catalog.json"
        run(
            [BIN / "tap-pipedrive", "--config", self.config, "--discover"], stdout=catalog, folder=self.folder
        )
        found = json.loads(catalog.read_text())
        for stream in found["streams"]:
            for entry in stream["metadata"]:
                if not entry["breadcrumb"]:
                    entry["metadata"]["selected"] = stream["tap_stream_id"] in streams
        catalog.write_text(json.dumps(found))

    def tap(self, state: Path | None = None) -> Command:
        """Return the tap's command with the selection."""
        command: list[str | Path] = [BIN / "tap-pipedrive", "--config", self.config]
        if (catalog := self.folder / "catalog.json").exists():
            command += ["--catalog", catalog]
        if state:
            command += ["--state", state]
        return command

    def read(self) -> Cost:
        """Run the tap alone."""
        (cost,) = run(self.tap(), folder=self.folder)
        return cost


@contextmanager
def sandbox(folder: Path, deals: int, *options: str) -> Iterator[Account]:
    """Serve an account of that size; unset custom fields are left out, as in Pipedrive."""
    command: list[str | Path] = [BIN / "pipedrive-sandbox", "serve", "--port", "0", "--deals", str(deals)]
    command += ["--unset-fields", "absent", "--daily-budget", "1000000000", *options]
    with served(folder, command) as url:
        yield Account(url, folder)


@contextmanager
def recording(folder: Path, deals: int) -> Iterator[Account]:
    """Serve the deals of such an account from memory, so that the server's time does not count."""
    (folder / "pages").mkdir()
    with sandbox(folder, deals, "--burst", str(UNLIMITED)) as account:
        replay: Command = [BIN / "python", HERE / "replay.py", account.url, folder / "pages"]
        with served(folder, replay) as url:
            recorded = Account(url, folder)
            recorded.select("deals")
            recorded.read()
            yield recorded


@contextmanager
def served(folder: Path, command: Command) -> Iterator[str]:
    """Start a server for the duration of the block; it writes its address into a file when it is ready."""
    ready = folder / f"{Path(command[0]).name}.ready"
    ready.unlink(missing_ok=True)
    process = subprocess.Popen(
        [*command, "--ready-file", ready], env=environment(), stdout=subprocess.DEVNULL
    )
    try:
        while not ready.exists() or not ready.read_text():
            if process.poll() is not None:
                raise Failed(f"{command} did not start")
            time.sleep(0.05)
        yield json.loads(ready.read_text())["url"]
    finally:
        process.terminate()
        process.wait()
