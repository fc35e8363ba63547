"""`make run`: from a fresh clone to modelled tables, and what they say.

Reads from the account in .env, of Pipedrive or HubSpot, or from the sandbox when .env names none; writes to the
database in .env, or to the embedded Postgres. The work itself is one Meltano job; this program starts what is
missing around it, shows what is worth seeing of its log (all of it is kept in .run/logs), and prints the result.
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

import click
import psycopg
from crms import CRMS, Crm
from dotenv import dotenv_values
from pipedrive_sandbox.warehouse import Warehouse
from psycopg.conninfo import conninfo_to_dict
from psycopg.sql import SQL, Identifier, Literal

ROOT = Path(__file__).resolve().parent.parent
RUN = ROOT / ".run"
DEMO_SEEDS = ROOT / "transform" / "demo_seeds"
BIN = Path(sys.executable).parent

DEMO_DEALS = 5000
DEMO_MARK = "Invented data of the sandbox"
"""Comment on the raw schema that tells a demo's data from an account's."""

DATABASE_VARIABLES = ("HOST", "PORT", "USER", "PASSWORD", "DATABASE")

DBT_LINES = (" OK created ", "PASS=", "Completed ", " ERROR ", " FAIL ", " WARN ")
"""What shows how dbt gets on."""

ANSI = re.compile(r"\x1b\[[0-9;]*m")

TOKENS = re.compile(r"([\d,]+) API tokens$")


class RunError(click.ClickException):
    """A sentence that says why there is no result, and what to do."""


@click.command()
@click.option("--deals", default=DEMO_DEALS, show_default=True, help="Size of the sandbox's account.")
@click.option("--crm", "chosen", type=click.Choice(list(CRMS)), default="pipedrive", show_default=True)
def main(deals: int, chosen: str) -> None:
    """Run the pipeline once, and print what it loaded."""
    os.umask(0o077)  # Meltano's run folder holds the token and the password
    started = time.monotonic()
    environment, crm = settings(), CRMS[chosen]
    is_demo = not any(environment.get(name) for name in crm.ways_in)
    schema = crm.raw_schema(environment)
    with ExitStack() as cleanup:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _interrupt)
        is_embedded = not environment.get("TARGET_POSTGRES_HOST")
        if is_embedded:
            environment |= cleanup.enter_context(embedded_postgres())
        _check_database(environment, schema, is_demo=is_demo)
        install(environment, crm.demo_plugins if is_demo else crm.plugins)
        if is_demo:
            environment |= cleanup.enter_context(sandbox(crm, deals))
        since = datetime.now(UTC)
        tokens = _run_job(crm, crm.jobs[is_demo], environment, is_first=_is_empty(environment, schema))
        with _connected(environment) as connection:
            _show_tables(connection, schema, since)
            _show_figures(connection, crm.figures)
        cost = f"{tokens} API tokens, " if tokens else ""
        say(f"{cost}{time.monotonic() - started:.0f} s in all")
        _show_how_to_go_on(environment, crm, is_embedded=is_embedded)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Leave by the way of exceptions, so that everything that was started is stopped."""
    raise KeyboardInterrupt


def settings() -> dict[str, str]:
    """What .env and the environment say; the environment wins."""
    dotenv = {name: value for name, value in dotenv_values(ROOT / ".env").items() if value}
    return {"XDG_STATE_HOME": str(RUN / "state")} | dotenv | os.environ  # the first: Meltano's own logs


@contextmanager
def embedded_postgres() -> Iterator[dict[str, str]]:
    """The embedded Postgres and its connection; it stays up after a good run, to look at the tables."""
    say("Starting the embedded Postgres")
    warehouse = Warehouse(RUN / "warehouse")
    url = conninfo_to_dict(warehouse.up())
    try:
        yield dict(
            zip(
                (f"TARGET_POSTGRES_{name}" for name in DATABASE_VARIABLES),
                (str(url[part]) for part in ("host", "port", "user", "password", "dbname")),
                strict=True,
            )
        )
    except BaseException:
        warehouse.down()
        raise


@contextmanager
def sandbox(crm: Crm, deals: int) -> Iterator[dict[str, str]]:
    """The sandbox's account: the same in every run, but for the 1 % that changed since the last."""
    now = datetime.now(UTC).replace(microsecond=0)
    life: dict[str, Any] = {"deals": deals, "born": now.isoformat(), "lived": []}
    demo = RUN / f"demo-{crm.name.lower()}.json"
    if demo.exists():
        life = json.loads(demo.read_text())
        life["lived"].append(now.isoformat())
    if life["deals"] != deals:
        raise RunError(f"The demo's account has {life['deals']:,} deals: `make clean` first to get another.")
    demo.write_text(json.dumps(life))
    say(f"Starting the sandbox: a {crm.name} account of {deals:,} deals, as .env names no API token")
    age = (now - datetime.fromisoformat(life["born"])).total_seconds()
    with tempfile.TemporaryDirectory() as folder:
        ready = Path(folder) / "ready.json"
        command = [str(BIN / crm.sandbox[0]), *crm.sandbox[1:], "--figures", str(DEMO_SEEDS)]
        command += ["--port", "0", "--ready-file", str(ready), "--deals", str(deals)]
        command += ["--now", life["born"], "--clock-offset", str(age)]
        command += [part for moment in life["lived"] for part in ("--live-at", moment)]
        log = _log_file("sandbox")
        with log.open("wb") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
        try:
            while not ready.exists():
                if process.poll() is not None:
                    raise RunError(f"The sandbox did not start; it said: {log.read_text().strip()[-500:]}")
                time.sleep(0.05)
            address = json.loads(ready.read_text())
            yield {
                **{name: address[part] for name, part in crm.way_to_sandbox.items()},
                "DEMO_SEEDS": "true",
                "ACQUISITION_CHANNEL_COLUMN": "canal_de_aquisicao",
            }
        finally:
            process.terminate()
            process.wait()


def install(environment: Mapping[str, str], plugins: Iterable[str]) -> None:
    """Install plugins of Meltano's, but for those of which that was done since their versions changed."""
    stamps = {name: RUN / "installed" / name for name in plugins}
    sources = [ROOT / "meltano.yml", ROOT / "tap-pipedrive/pyproject.toml", *(ROOT / "plugins").rglob("*.*")]
    changed = max(path.stat().st_mtime for path in sources)
    missing = [
        name for name, stamp in stamps.items() if not stamp.exists() or stamp.stat().st_mtime < changed
    ]
    if not missing:
        return
    say(f"Installing the plugins: {', '.join(missing)}")
    result = subprocess.run(
        [BIN / "meltano", "install", *missing],
        cwd=ROOT,
        env=dict(environment),
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        raise RunError(f"meltano install failed:\n{(result.stdout + result.stderr)[-2000:]}")
    for name in missing:
        stamps[name].parent.mkdir(exist_ok=True)
        stamps[name].touch()


@contextmanager
def _connected(environment: Mapping[str, str]) -> Iterator[psycopg.Connection]:
    settings = {name: environment.get(f"TARGET_POSTGRES_{name}", "") for name in DATABASE_VARIABLES}
    with psycopg.connect(
        host=settings["HOST"],
        port=settings["PORT"] or "5432",
        user=settings["USER"],
        password=settings["PASSWORD"],
        dbname=settings["DATABASE"],
        sslmode=environment.get("TARGET_POSTGRES_SSL_MODE") or "prefer",
        connect_timeout=10,
        autocommit=True,
    ) as connection:
        yield connection


def _check_database(environment: Mapping[str, str], schema: str, *, is_demo: bool) -> None:
    """Find out before tokens are spent whether the rows have somewhere to go; a demo marks its schema.

    The marts have the customers of all CRMs: invented ones never stand beside those of an account.
    """
    schemas = [each.raw_schema(environment) for each in CRMS.values()]
    try:
        with _connected(environment) as connection:
            found = connection.execute(
                "select nspname, obj_description(oid, 'pg_namespace') from pg_namespace "
                "where nspname = any(%s)",
                [schemas],
            )
            marks = dict(found.fetchall())
            for name, mark in marks.items():
                if is_demo != (mark == DEMO_MARK):
                    there, coming = (
                        ("an account", "the sandbox") if is_demo else ("the sandbox", "the account")
                    )
                    raise RunError(
                        f"The schema {name} of the database holds data of {there}, which those of {coming} "
                        "would be mixed with: name another database in .env, or `make clean` the embedded one."
                    )
            if is_demo and schema not in marks:
                connection.execute(SQL("create schema {}").format(Identifier(schema)))
                connection.execute(
                    SQL("comment on schema {} is {}").format(Identifier(schema), Literal(DEMO_MARK))
                )
    except psycopg.Error as error:
        problem = " ".join(str(error).split())
        raise RunError(f"The database cannot be used: {problem}. Check TARGET_POSTGRES_* in .env.") from None


def _is_empty(environment: Mapping[str, str], schema: str) -> bool:
    """Whether nothing was loaded yet: then a state of earlier runs, into another database, does not count."""
    with _connected(environment) as connection:
        row = connection.execute(
            "select count(*) = 0 from pg_tables where schemaname = %s and tablename = 'deals'",
            [schema],
        ).fetchone()
    return bool(row and row[0])


def _run_job(crm: Crm, job: str, environment: Mapping[str, str], *, is_first: bool) -> str:
    """Run the Meltano job, show what matters of its log, and return the API tokens that the tap counted."""
    command: list[str | Path] = [BIN / "meltano", "--log-format=json", "run", job]
    if is_first:
        say(f"The warehouse is empty: everything is loaded (meltano run {job})")
        command.insert(-1, "--full-refresh")
    else:
        say(f"Incremental: only what changed since the last run is loaded (meltano run {job})")
    tokens, problem, last_lines = "", "", deque[str](maxlen=15)
    log = _log_file("meltano")
    with (
        log.open("w") as output,
        subprocess.Popen(
            command,
            cwd=ROOT,
            env=dict(environment),
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process,
    ):
        try:
            for line in process.stderr or ():
                output.write(line)
                event, level, logger = _parse(line)
                if found := TOKENS.search(event):
                    tokens = found[1]
                if logger.startswith(crm.tap) and (level == "error" or event.startswith("CRITICAL ")):
                    problem = event.removeprefix("CRITICAL ")
                if not event.startswith("METRIC"):
                    last_lines.append(event[:500])
                if _is_worth_showing(crm, event, level, logger):
                    say(f"  {event}")
        except BaseException:
            process.terminate()
            raise
    if process.returncode and problem:
        raise RunError(f"{problem} (The whole log: {log.relative_to(ROOT)})")
    if process.returncode:
        shown = "\n".join(f"  {line}" for line in last_lines)
        raise RunError(f"meltano run {job} failed. The end of its log, {log.relative_to(ROOT)}:\n{shown}")
    return tokens


def _parse(line: str) -> tuple[str, str, str]:
    """Event, level and logger of a line of Meltano's log."""
    try:
        entry = json.loads(line)
        return ANSI.sub("", str(entry["event"])), str(entry.get("level")), str(entry.get("name", ""))
    except (ValueError, KeyError, TypeError):
        return line.rstrip(), "info", ""


def _is_worth_showing(crm: Crm, event: str, level: str, logger: str) -> bool:
    if level in ("warning", "error", "critical"):
        return "No state was found" not in event
    marks = crm.progress if logger.startswith(crm.tap) else DBT_LINES
    return any(mark in event for mark in marks)


def _show_tables(connection: psycopg.Connection, schema: str, since: datetime) -> None:
    say("")
    say(f"{'table of schema ' + schema:<28}{'rows':>10}{'written now':>14}")
    tables = connection.execute(
        "select table_name from information_schema.tables where table_schema = %s order by 1", [schema]
    )
    for (table,) in tables.fetchall():
        counted = SQL("select count(*), count(*) filter (where _sdc_batched_at >= {}) from {}.{}").format(
            since.replace(tzinfo=None), Identifier(schema), Identifier(table)
        )
        rows, written = connection.execute(counted).fetchone() or (0, 0)
        say(f"{table:<28}{rows:>10,}{written:>14,}")


def _show_figures(connection: psycopg.Connection, mart: str) -> None:
    say("")
    figures = connection.execute(
        SQL("select figure, currency, value, detail from marts.{} order by position, currency").format(
            Identifier(mart)
        )
    )
    for figure, currency, value, detail in figures.fetchall():
        number = "nothing yet" if value is None else f"{value:,.2f}".removesuffix(".00")
        say(f"{figure:<28}{number:>20} {currency or '':<4} {detail}")
    say("")


def _show_how_to_go_on(environment: Mapping[str, str], crm: Crm, *, is_embedded: bool) -> None:
    query = f"select * from marts.{crm.example} limit 5;"
    if is_embedded:
        say(f"Look at the tables:  .venv/bin/warehouse psql   (then, for one: {query})")
        say("Stop the database:   make stop      Remove everything: make clean")
    else:
        user, host, database = (
            environment[f"TARGET_POSTGRES_{name}"] for name in ("USER", "HOST", "DATABASE")
        )
        say(f"Look at the tables:  psql -h {host} -U {user} {database}   ({query})")
    again = "make run" if crm is CRMS["pipedrive"] else f"make run CRM={crm.name.lower()}"
    say(f"Run it again:        {again:<21} What is in the tables: README.md")


def _log_file(name: str) -> Path:
    folder = RUN / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{name}.log"


def say(text: str) -> None:
    """Print a line at once, also into a pipe."""
    click.echo(text)


if __name__ == "__main__":
    main()
