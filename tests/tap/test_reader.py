"""The tap ends by itself when its output is not read any more, even while it waits."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from .harness import TOKEN, Asked, Say, account, fake, say

TAP = Path(sys.executable).with_name("tap-pipedrive")
WITHIN_SECONDS = 120
"""The longest time in seconds that a test waits; the tap needs about three."""


def waiting_tap(tmp_path: Path, url: str, stdout: Any) -> subprocess.Popen[bytes]:
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"api_url": url, "api_token": TOKEN}))
    with (tmp_path / "log").open("wb") as log:
        return subprocess.Popen([TAP, "--config", config], stdout=stdout, stderr=log)


@pytest.mark.parametrize("waits_for", ["an answer", "the rate limit"])
@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_the_tap_ends_if_its_reader_leaves_while_it_waits(waits_for: str, kind: str, tmp_path: Path) -> None:
    has_asked, is_over = threading.Event(), threading.Event()

    def stuck(request: Asked) -> Say | None:
        if request.path != "/api/v1/users":
            return None
        has_asked.set()
        if waits_for == "an answer":
            is_over.wait(WITHIN_SECONDS)
        return say({"success": False}, 503, Retry_After="60")

    if kind == "pipe":
        reader, writer = os.pipe()
    else:
        ours, theirs = socket.socketpair()
        reader, writer = ours.detach(), theirs.detach()
    with fake(account({}, spoil=stuck)) as server:
        process = waiting_tap(tmp_path, server.url, writer)
        os.close(writer)
        try:
            assert has_asked.wait(WITHIN_SECONDS)
            assert process.poll() is None
            os.close(reader)
            assert process.wait(WITHIN_SECONDS) == 128 + signal.SIGTERM
        finally:
            process.kill()
            is_over.set()
    said = (tmp_path / "log").read_text()
    assert "Nobody reads the output of the tap any more." in said
    assert "Interrupted: the next run continues where this one stopped." in said
    assert "Traceback" not in said
    assert "Exception ignored" not in said


def test_a_tap_that_writes_to_a_file_is_not_watched(tmp_path: Path) -> None:
    with fake(account({})) as server, (tmp_path / "out").open("wb") as out:
        assert waiting_tap(tmp_path, server.url, out).wait(WITHIN_SECONDS) == 0
    assert (tmp_path / "out").read_bytes().endswith(b"}\n")


def test_a_tap_without_standard_output_ends_without_a_traceback(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"api_url": "http://127.0.0.1:1", "api_token": TOKEN}))
    command = f"exec '{TAP}' --config '{config}' --about --format=json >&-"
    ended = subprocess.run(
        ["sh", "-c", command], capture_output=True, text=True, timeout=WITHIN_SECONDS, check=False
    )
    assert "fileno" not in ended.stderr
