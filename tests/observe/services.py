"""The real programs of deploy/observe on their own ports, and a receiver of alerts."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import requests

from ..postgres import free_port

PATIENCE = 300
"""The longest time in seconds that any step here may take on a busy machine."""

DEPLOY = Path(__file__).parents[2] / "deploy" / "observe"


def wait_until(condition: Callable[[], Any], what: str) -> Any:
    """Wait until a condition is true, and return its value."""
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {PATIENCE} s: {what}"
        time.sleep(0.1)
    return found


class Service:
    """A program that answers over HTTP; it can be stopped and started again at the same address."""

    def __init__(self, folder: Path, *command: str | Path, is_up: str = "/-/ready") -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = folder / f"{command[0]}.log"
        self._command = [str(word).replace("PORT", str(self.port)) for word in command]
        self._is_up = is_up
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, **variables: str) -> None:
        """Start the program, and wait until it answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, cwd=self._log.parent, env=variables or None
            )
        wait_until(self._answers, f"{self._command[0]}: {self._log.read_text()[-1000:]}")

    def stop(self) -> None:
        """Stop the program."""
        if self._process:
            self._process.kill()
            self._process.wait()

    def get(self, path: str, **query: Any) -> Any:
        """Return the JSON of an answer."""
        answer = requests.get(self.url + path, params=query, timeout=60)
        assert answer.ok, f"{path} {query}: {answer.text}"
        return answer.json()

    def _answers(self) -> bool:
        assert self._process
        assert self._process.poll() is None, self._log.read_text()[-3000:]
        try:
            return requests.get(self.url + self._is_up, timeout=5).ok
        except requests.ConnectionError:
            return False


def pushgateway(folder: Path) -> Service:
    """A Pushgateway that loses its data when it stops."""
    return Service(
        folder, "prometheus-pushgateway", "--web.listen-address=127.0.0.1:PORT", "--persistence.file="
    )


@contextmanager
def receiver() -> Iterator[tuple[str, list[tuple[str, dict[str, Any]]]]]:
    """Receive alerts over HTTP; yields the address, and the paths and contents of the requests."""
    came: list[tuple[str, dict[str, Any]]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            came.append((self.path, json.loads(content)))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", came
        server.shutdown()
