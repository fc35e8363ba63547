"""A server that forwards each request once, keeps the answer, and then answers from memory.

    python benchmarks/replay.py http://127.0.0.1:8765 FOLDER --ready-file ready.json

Pages of deals are also stored as files in the folder, for the bare loop.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.request import Request, urlopen

import click

KEPT_HEADERS = ("Date", "Content-Type", "x-ratelimit-limit")


@click.command()
@click.argument("origin")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--ready-file", type=click.Path(path_type=Path))
def main(origin: str, folder: Path, ready_file: Path) -> None:
    """Replay an account."""
    answers: dict[str, tuple[list[tuple[str, str]], bytes]] = {}
    lock = threading.Lock()

    def fetch(path: str, token: str) -> tuple[list[tuple[str, str]], bytes]:
        with urlopen(Request(origin + path, headers={"x-api-token": token}), timeout=600) as answer:
            body = answer.read()
            headers = [(name, answer.headers[name]) for name in KEPT_HEADERS if answer.headers[name]]
        if path.startswith("/api/v2/deals"):
            (folder / f"{len(answers):05}.json").write_bytes(body)
        return headers, body

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            with lock:
                if self.path not in answers:
                    answers[self.path] = fetch(self.path, self.headers["x-api-token"])
            headers, body = answers[self.path]
            self.send_response_only(200)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Write no log."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        ready_file.write_text(json.dumps({"url": f"http://127.0.0.1:{server.server_port}"}))
        server.serve_forever()


if __name__ == "__main__":
    main()
