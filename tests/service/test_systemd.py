"""`deploy/systemd/`: valid, hardened units with the schedules of meltano.yml, and a report of failures."""

import json
import os
import re
import shutil
import subprocess
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml

from tests.project.documents import ROOT

UNITS = ROOT / "deploy" / "systemd"
TIMERS = {path.stem.partition("@")[2]: path for path in UNITS.glob("*.timer")}
SCHEDULES = {
    each["name"]: each["interval"] for each in yaml.safe_load((ROOT / "meltano.yml").read_text())["schedules"]
}
MOST_EXPOSED = "20"
"""The highest exposure level in tenths; systemd rates levels up to 20 of 100 as well protected."""

AT_HOME = """
mount -t tmpfs tmpfs /opt
for name in .venv/bin/meltano deploy/systemd/report-failure; do
    install -D /bin/true /opt/pipedrive-warehouse/$name
done
exec systemd-analyze "$@"
"""
"""A script that runs systemd-analyze as if the programs of the units were installed."""

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None or os.geteuid() != 0, reason="systemd-analyze, as root"
)


def analyze(*arguments: str | Path) -> str:
    done = subprocess.run(
        ["unshare", "--mount", "/bin/sh", "-ec", AT_HOME, "analyze", *arguments],
        cwd=UNITS,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@needs_systemd
def test_units_are_valid() -> None:
    services = [
        "./pipedrive-warehouse@sync-every-4-hours.service",
        "./pipedrive-warehouse-failed@any.service",
    ]
    assert analyze("verify", "--man=no", *services, *TIMERS.values()) == ""


@needs_systemd
@pytest.mark.parametrize("name", ["pipedrive-warehouse@.service", "pipedrive-warehouse-failed@.service"])
def test_services_are_hardened(name: str) -> None:
    assert "Overall exposure level" in analyze(
        "security", "--offline=yes", f"--threshold={MOST_EXPOSED}", f"./{name}"
    )


@needs_systemd
@pytest.mark.parametrize("name", SCHEDULES)
def test_timers_match_the_schedules(name: str) -> None:
    expression = re.search(r"^OnCalendar=(.*)$", TIMERS[name].read_text(), re.MULTILINE)
    assert expression
    start = datetime(2026, 1, 1, 0, 1, tzinfo=UTC)
    base = f"--base-time={start:%Y-%m-%d %H:%M:%S UTC}"
    printed = analyze("calendar", "--iterations=60", base, f"{expression[1]} UTC")
    elapses = re.findall(r"(?:elapse|#\d+): \w+ (\d{4}-\d\d-\d\d \d\d:\d\d):00 UTC", printed)
    minutes = (start + timedelta(minutes=i) for i in range(9 * 24 * 60))
    wanted = [f"{minute:%Y-%m-%d %H:%M}" for minute in minutes if matches(SCHEDULES[name], minute)]
    assert wanted
    assert elapses[: len(wanted)] == wanted


def matches(cron: str, moment: datetime) -> bool:
    """Return whether a cron expression of numbers, * and */n matches a minute."""
    fields = (moment.minute, moment.hour, moment.day, moment.month, moment.isoweekday() % 7)
    return all(
        value % int(part[2:]) == 0 if part.startswith("*/") else part in ("*", str(value))
        for part, value in zip(cron.split(), fields, strict=True)
    )


def test_each_schedule_has_a_timer_that_starts_it() -> None:
    assert TIMERS.keys() == SCHEDULES.keys()
    for name, path in TIMERS.items():
        text = path.read_text()
        assert "Persistent=true" in text
        assert f"Unit=pipedrive-warehouse@{name}.service" in text


def test_a_failure_is_reported() -> None:
    received = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Write no log."""

    with HTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.handle_request).start()
        url = f"http://127.0.0.1:{server.server_port}/"
        command = [str(UNITS / "report-failure"), "sync-every-4-hours"]
        subprocess.run(command, env={**os.environ, "FAILURE_URL": url}, check=True)
    assert "sync-every-4-hours failed on" in received[0]["text"]
