"""`make status` shows what is running, when the last runs were, how they ended, and what they cost.

The runs are read from the logs that each Meltano process of this project keeps, whoever started it.
"""

import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import click
import psutil
from embedded_postgres.warehouse import Warehouse
from postgres_sessions import as_transformer

from orchestrate import database, environment, masking, report
from orchestrate.crms import CRMS
from orchestrate.errors import RunError
from orchestrate.meltano_start import LOADING
from orchestrate.output import say
from orchestrate.paths import LOG_SUFFIX, LOGS, ROOT
from orchestrate.progress import TOKENS, Reason, parse
from orchestrate.warehouse import HOME, connection_of

SHOWN_RUNS = 10

PARTS = {
    "pipedrive-sandbox": "sandbox",
    "hubspot-sandbox": "sandbox",
    "orchestrate.run": "make run",
    "bin/meltano": "Meltano",
    "bin/tap-": "tap",
    "bin/target-": "target",
    "bin/dbt": "dbt",
}
"""The kind of a process by a part of its command line."""

PLUGINS = ("tap", "target", "dbt")


@click.command()
def main() -> None:
    """Print the present status."""
    warehouse = Warehouse(HOME)
    where = f"up on port {warehouse.port}; `make stop` stops it" if warehouse.is_up else "not up"
    say(f"Embedded Postgres: {where}")
    at_work = list(_processes())
    for part, process in at_work:
        started = datetime.fromtimestamp(process.create_time(), UTC)
        note = (
            f"; Meltano, which started it, is gone: kill {process.pid}" if _is_orphan(part, process) else ""
        )
        say(f"At work: {part} (process {process.pid}) since {started:%Y-%m-%d %H:%M} UTC{note}")
    if not at_work:
        say("At work: nothing")
    if sentence := _completeness(warehouse):
        say(f"Pipedrive's tables: {sentence}")
    runs = [run for path in sorted(LOGS.glob(f"*{LOG_SUFFIX}"), reverse=True) if (run := read_run(path))]
    if not runs:
        say("Runs: none yet, or none whose log is kept in .run/logs")
        return
    say()
    say(f"{'began (UTC)':<18}{'took':>8}  {'tokens':>8}  {'ended':<18}command")
    for run in runs[:SHOWN_RUNS]:
        took = f"{run.seconds:,.0f} s" if run.seconds is not None else ""
        say(f"{run.began:%Y-%m-%d %H:%M}{took:>10}  {run.tokens:>8}  {run.ended:<18}{run.command}")
        if run.problem:
            say(f"{'':<18}{run.problem[:200]}")


def _completeness(warehouse: Warehouse) -> str:
    """Return in words how complete the tables are; empty if no database tells."""
    variables = environment.settings()
    masking.learn(variables)
    if not variables.get("TARGET_POSTGRES_HOST"):
        if not warehouse.is_up:
            return ""
        variables |= connection_of(warehouse)
    try:
        with database.connected(as_transformer(variables)) as connection:
            return report.completeness(connection, str(CRMS["pipedrive"].summary))
    except RunError as error:
        return str(error)


def _processes() -> Iterator[tuple[str, psutil.Process]]:
    """Yield the running processes of this clone."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            command = " ".join(process.cmdline())
            if str(ROOT) not in command and process.cwd() != str(ROOT):
                continue
            part = next((name for mark, name in PARTS.items() if mark in command), None)
            if part and process.status() != psutil.STATUS_ZOMBIE and process.pid != os.getpid():
                yield part, process


def _is_orphan(part: str, process: psutil.Process) -> bool:
    """Return whether the Meltano process that started a plugin's process is gone."""
    if part not in PLUGINS:
        return False
    try:
        parent = process.parent()
        return parent is None or "meltano" not in " ".join(parent.cmdline())
    except psutil.Error:
        return True


class Run(NamedTuple):
    """A run of Meltano, read from its log."""

    command: str
    began: datetime
    seconds: float | None
    ended: str
    tokens: str
    problem: str


def read_run(path: Path) -> Run | None:
    """Read a run from its log, or return nothing if the log is of a process that loads nothing."""
    name = re.fullmatch(rf"(\d+T\d+)-(\d+){LOG_SUFFIX}", path.name)
    with path.open(errors="replace") as log:
        command = parse(log.readline()).event
        if not name or not set(command.split()) & {*LOADING}:
            return None
        began = datetime.strptime(name[1], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
        seconds, ended, tokens, reason = None, "", "", Reason()
        for text in log:
            line = parse(text)
            if found := TOKENS.search(line.event):
                tokens = found[1]
            reason.read(line)
            if line.event == "Run completed":
                entry = json.loads(text)
                seconds, ended = entry["duration_seconds"], entry["status"]
    if not ended:
        ended = "is at work" if psutil.pid_exists(int(name[2])) else "did not end"
    return Run(command, began, seconds, ended, tokens, reason.sentence if ended != "success" else "")


if __name__ == "__main__":
    main()
