"""The command `pipedrive-sandbox`, as a process."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from pipedrive_sandbox.api.endpoints import ENDPOINTS
from pipedrive_sandbox.server.control import CONTROLS
from pipedrive_sandbox.server.faults import KINDS

COMMAND = [sys.executable, "-m", "pipedrive_sandbox", "serve", "--deals", "60", "--port", "0"]


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[tuple[dict[str, Any], subprocess.Popen[str]]]:
    """Run the command until the block ends; yield the content of the ready file, and the process."""
    ready = folder / "ready.json"
    ready.unlink(missing_ok=True)
    process = subprocess.Popen(
        [*COMMAND, "--ready-file", str(ready), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        while not ready.exists():
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.02)
        yield json.loads(ready.read_text()), process
    finally:
        process.terminate()
        process.communicate(timeout=300)


def get(url: str, token: str = "sandbox-token") -> Any:
    with urlopen(Request(url, headers={"x-api-token": token}), timeout=300) as answer:
        return json.loads(answer.read())


def test_the_readme_lists_every_endpoint_control_and_fault() -> None:
    readme = (Path(__file__).parents[2] / "sandbox" / "README.md").read_text()
    named = [*CONTROLS, *KINDS]
    named += [endpoint.path.split("/", 3)[3] for endpoint in ENDPOINTS if not endpoint.path.endswith("}")]
    assert [name for name in named if f"`{name}`" not in readme] == []


def test_the_command_prints_its_address_and_stops_when_asked(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.json"
    with serving(tmp_path, "--manifest", str(manifest), "--token", "mine") as (ready, process):
        assert ready["pid"] == process.pid
        assert ready["token"] == "mine"
        assert get(f"{ready['url']}/api/v2/deals?limit=1", "mine")["data"]
        assert json.loads(manifest.read_text())["deals"] == 60
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    assert output == f"Pipedrive sandbox at {ready['url']}\n"


def test_a_port_in_use_is_reported_in_one_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = subprocess.run([*COMMAND, "--port", port], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert f"127.0.0.1:{port}" in done.stderr
    assert "ddress already in use" in done.stderr


@pytest.mark.parametrize(
    "options",
    [
        ("--deals", "0"),
        ("--now", "someday"),
        ("--troubles", "plague"),
        ("--fault", "{}"),
        ("--fault", "no"),
        ("--fault", "[1]"),
        ("--now", "2026-01-01", "--live-at", "2026-01-02"),
    ],
)
def test_invalid_options_are_refused(options: tuple[str, ...]) -> None:
    done = subprocess.run([*COMMAND, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Error" in done.stderr
    assert "Traceback" not in done.stderr


def test_changes_up_to_a_time_are_reproducible(tmp_path: Path) -> None:
    """The clock starts at the given time, and the same changes have happened by then."""
    life = ("--now", "2026-01-01T00:00:00Z", "--clock-offset", "7200", "--live-at", "2026-01-01T01:00:00Z")

    def account(*options: str) -> tuple[Any, Any]:
        with serving(tmp_path, *options) as (ready, _):
            url = ready["url"] + "/sandbox"
            return get(f"{url}/clock")["now"], {
                entity: get(f"{url}/truth/{entity}")
                for entity in ("deals", "persons", "leads", "notes", "field_options")
            }

    now, lived = account(*life)
    assert "2026-01-01T02:00:00Z" <= now < "2026-01-01T02:10:00Z"
    assert account(*life)[1] == lived
    _, unlived = account(*life[:4])
    changed = [row for row in lived["deals"] if row not in unlived["deals"]]
    assert 0 < len(changed) < len(lived["deals"])
    assert {row["update_time"] for row in changed if row["update_time"] > "2026-01-01"} == {
        "2026-01-01T01:00:00Z"
    }


def test_tokens_apps_features_and_faults_can_be_set_by_options(tmp_path: Path) -> None:
    fault = json.dumps({"kind": "null", "path": "/flow", "every": 1})
    options = ["--limited-token", "guest", "--without-feature", "projects", "--fault", fault]
    options += ["--client-id", "app", "--client-secret", "s", "--refresh-token", "r", "--access-seconds", "9"]
    with serving(tmp_path, *options) as (ready, _):
        url = ready["url"]
        assert (
            0
            < len(get(f"{url}/api/v2/deals?limit=500", "guest")["data"])
            < len(get(f"{url}/api/v2/deals?limit=500")["data"])
        )
        assert get(f"{url}/v1/deals/1/flow") is None
        with pytest.raises(HTTPError, match="415"):
            get(f"{url}/api/v2/projects")
        form = b"grant_type=refresh_token&refresh_token=r"
        headers = {"Authorization": f"Basic {b64encode(b'app:s').decode()}"}
        with urlopen(Request(f"{url}/oauth/token", form, headers), timeout=300) as answer:
            assert json.loads(answer.read())["expires_in"] == 9


def test_defects_can_be_left_out(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.json"
    with serving(tmp_path, "--manifest", str(manifest), "--without-trouble", "odd_dates"):
        assert "odd_dates" not in json.loads(manifest.read_text())["troubles"]
    with serving(tmp_path, "--manifest", str(manifest), "--troubles", "odd_dates"):
        assert list(json.loads(manifest.read_text())["troubles"]) == ["odd_dates"]
