"""Fixtures: dbt on a real Postgres with the tap's raw tables, which the tests fill."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from subprocess import PIPE
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import psycopg
import pytest
from embedded_postgres.warehouse import Warehouse
from filelock import FileLock
from pipedrive_sandbox.data.figures import write_figures
from pipedrive_sandbox.data.generate import generate
from pipedrive_sandbox.testing import Sandbox
from psycopg import sql
from psycopg.types.json import Jsonb
from tap_pipedrive.streams import STREAMS

from .. import warm
from ..pipeline.pipe import Pipe

ROOT = Path(__file__).parents[2]
PROJECT = ROOT / "transform"
TABLES: dict[str, Any] = {stream.name: stream for stream in list[Any](STREAMS)}
LOAD_COLUMNS = {
    "_sdc_extracted_at": "timestamp",
    "_sdc_received_at": "timestamp",
    "_sdc_batched_at": "timestamp",
    "_sdc_deleted_at": "timestamp",
    "_sdc_sequence": "bigint",
    "_sdc_table_version": "bigint",
    "_sdc_sync_started_at": "bigint",
}
TIMES = {"date-time": "timestamp", "date": "date", "time": "time"}
TYPES = {
    "string": "text",
    "integer": "bigint",
    "number": "numeric",
    "boolean": "boolean",
    "array": "jsonb",
    "object": "jsonb",
}


def column_type(schema: Mapping[str, Any]) -> str:
    """Return the Postgres type that target-postgres gives a column with this schema."""
    kinds = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
    return TIMES.get(schema.get("format", ""), TYPES[kinds[0]])


def project_with(seeds: Path, folder: Path) -> Path:
    """Make a copy of the project that has these seeds."""
    folder.mkdir(exist_ok=True)
    for path in PROJECT.iterdir():
        link = folder / path.name
        if not link.exists():
            link.symlink_to(seeds if path.name == "seeds" else path)
    return folder


class Dbt(NamedTuple):
    """The dbt of this process, with the parsed project that it reuses for each account.

    dbt parses the project again for each database name, which takes longer than many a build. Therefore each
    account's database has the same name while dbt works on it.
    """

    program: Path
    parsed: Path
    """The project as dbt parsed it for the first account."""
    database: str
    """The name of an account's database while dbt works on it."""


class Account:
    """The raw tables of one account in their own database, and dbt on it."""

    def __init__(self, url: str, folder: Path, dbt: Dbt) -> None:
        self.url = url
        self.target = folder
        self._dbt = dbt
        parts = urlsplit(url)
        self._name = parts.path.removeprefix("/")
        self._environment = os.environ | {
            "DBT_PROFILES_DIR": str(PROJECT),
            "DBT_PROJECT_DIR": str(PROJECT),
            "DBT_TARGET_PATH": str(folder),
            "DBT_LOG_PATH": str(folder / "logs"),
            "DBT_LOG_LEVEL_FILE": "none",  # this saves a quarter of dbt's time
            "TARGET_POSTGRES_HOST": str(parts.hostname),
            "TARGET_POSTGRES_PORT": str(parts.port),
            "TARGET_POSTGRES_USER": str(parts.username),
            "TARGET_POSTGRES_PASSWORD": unquote(str(parts.password)),
            "TARGET_POSTGRES_DATABASE": dbt.database,
        }

    def create_raw_tables(self, custom_deal_columns: Mapping[str, str]) -> None:
        """Make an empty table for every stream."""
        with psycopg.connect(self.url) as connection:
            connection.execute("create schema pipedrive")
            for table, stream in TABLES.items():
                columns = {name: column_type(schema) for name, schema in stream.entity.columns().items()}
                if table == "deals":
                    columns |= custom_deal_columns
                declared = [
                    sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(kind))
                    for name, kind in (columns | LOAD_COLUMNS).items()
                ]
                declared.append(
                    sql.SQL("primary key ({})").format(
                        sql.SQL(", ").join(map(sql.Identifier, stream.primary_keys))
                    )
                )
                connection.execute(
                    sql.SQL("create table {} ({})").format(
                        sql.Identifier("pipedrive", table), sql.SQL(", ").join(declared)
                    )
                )

    def insert(self, table: str, *rows: dict[str, Any], schema: str = "pipedrive") -> None:
        """Add rows to a raw table; columns that a row leaves out are null."""
        with psycopg.connect(self.url) as connection:
            for row in rows:
                connection.execute(
                    sql.SQL("insert into {} ({}) values ({})").format(
                        sql.Identifier(schema, table),
                        sql.SQL(", ").join(map(sql.Identifier, row)),
                        sql.SQL(", ").join(sql.Placeholder() * len(row)),
                    ),
                    [Jsonb(value) if isinstance(value, list | dict) else value for value in row.values()],
                )

    def execute(self, statement: str) -> None:
        """Run a statement that returns no rows."""
        with psycopg.connect(self.url) as connection:
            connection.execute(statement.encode())

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """Return all rows of a query."""
        with psycopg.connect(self.url) as connection:
            return connection.execute(statement.encode()).fetchall()

    def columns(self, schema: str, table: str) -> list[str]:
        """Return the names of a table's or view's columns in order."""
        return [
            name
            for (name,) in self.query(
                f"select column_name from information_schema.columns where table_schema = '{schema}' "
                f"and table_name = '{table}' order by ordinal_position"
            )
        ]

    def dbt(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run dbt, whatever its exit code. `SEEDS` names a folder with other seeds than the project's."""
        if seeds := environment.pop("SEEDS", ""):
            environment["DBT_PROJECT_DIR"] = str(project_with(Path(seeds), self.target / "project"))
        parsed = self.target / self._dbt.parsed.name
        if self._dbt.parsed.exists() and not parsed.exists():
            shutil.copy(self._dbt.parsed, parsed)
        with self._named_for_dbt():
            run = self._run(arguments, self._environment | environment)
        if run.returncode == 0 and not self._dbt.parsed.exists():
            shutil.copy(parsed, self._dbt.parsed)
        return run

    def _run(
        self, arguments: Sequence[str], environment: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        command: list[str | Path] = [self._dbt.program, "--no-use-colors", *arguments]
        errors = self.target / "stderr.txt"
        with (
            errors.open("w") as stderr,
            warm.start(command, stdout=PIPE, stderr=stderr, environment=environment) as process,
        ):
            output, _ = process.communicate()
        return subprocess.CompletedProcess(command, process.wait(), output.decode(), errors.read_text())

    @contextmanager
    def _named_for_dbt(self) -> Iterator[None]:
        if self._name == self._dbt.database:
            yield
            return
        rename = sql.SQL("alter database {} rename to {}")
        own, lent = sql.Identifier(self._name), sql.Identifier(self._dbt.database)
        with psycopg.connect(self.url, dbname="postgres", autocommit=True) as connection:
            connection.execute(rename.format(own, lent))
            try:
                yield
            finally:
                connection.execute(rename.format(lent, own))

    def build(self, *options: str) -> dict[str, str]:
        """Run `dbt build`, and return the status by node, without exposures."""
        warnings = '{"error": "all", "silence": ["LogTestResult"]}'
        run = self.dbt("build", "--warn-error-options", warnings, *options)
        assert run.returncode == 0, run.stdout
        results = json.loads((self.target / "run_results.json").read_text())["results"]
        return {
            result["unique_id"].split(".")[2]: result["status"]
            for result in results
            if not result["unique_id"].startswith("exposure.")
        }

    def manifest(self) -> dict[str, Any]:
        """Return dbt's manifest of the project after a build."""
        manifest: dict[str, Any] = json.loads((self.target / "manifest.json").read_text())
        return manifest


@pytest.fixture(scope="session")
def dbt(
    installed: Callable[[str, str], Path], tmp_path_factory: pytest.TempPathFactory, worker_id: str
) -> Dbt:
    """The dbt that Meltano installs for the project."""
    program = installed("utility", "dbt-postgres") / "dbt"
    return Dbt(program, tmp_path_factory.mktemp("parsed") / "partial_parse.msgpack", f"dbt_{worker_id}")


@pytest.fixture(scope="session")
def new_database(warehouse: Warehouse, worker_id: str) -> Callable[..., str]:
    """A function that makes a database for an account, empty or as a copy of another, and returns its URL."""
    numbers = count(1)

    def make(name: str, *template: str) -> str:
        return warehouse.create_database(f"{name}_{worker_id}_{next(numbers)}", *template)

    return make


@pytest.fixture(scope="session")
def new_account(
    dbt: Dbt, new_database: Callable[..., str], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Account]:
    """A function that makes an account without rows."""

    def make(name: str, custom_deal_columns: Mapping[str, str] | None = None) -> Account:
        account = Account(new_database(name), tmp_path_factory.mktemp(name), dbt)
        account.create_raw_tables(custom_deal_columns or {})
        return account

    return make


NASTY = (
    "<script>document.title='broken'</script></script><img src=x onerror=\"document.title='broken'\">';"
    " {{rows}} --"
)
"""A name that breaks out of a page or a statement that does not escape it."""


DRAWN = (
    *("goals", "roles", "call_logs", "mail_threads", "mail_messages", "deal_installments"),
    *("projects", "project_boards", "project_phases", "tasks"),
)
"""Streams that are off by default and that charts use."""


@pytest.fixture(scope="session")
def account_of_today(
    installed: Callable[[str, str], Path], warehouse: Warehouse, dbt: Dbt, run_folder: Path
) -> Account:
    """An account of 600 deals with present dates and some nasty names, loaded and modelled; tests only read
    it.

    The first process makes it for all.
    """
    folder, url = run_folder / "today", run_folder / "today.url"
    with FileLock(run_folder / "today.lock"):
        if not url.exists():
            folder.mkdir()
            made = Account(warehouse.create_database("today"), folder, dbt)
            _load_today(made, folder, installed("loader", "target-postgres") / "target-postgres")
            url.write_text(made.url)
    return Account(url.read_text(), folder, dbt)


def _load_today(account: Account, folder: Path, target: Path) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    write_figures(folder / "seeds", 600, 1, now, now)
    dataset = generate(600, 1, now)
    for entity, key in (
        ("deals", "title"),
        ("organizations", "name"),
        ("stages", "name"),
        ("pipelines", "name"),
    ):
        dataset.records[entity][0][key] = NASTY
    dataset.records["users"][0]["name"] = NASTY
    with Sandbox(dataset=dataset, now=now) as sandbox:
        settings = {"api_token": sandbox.token, "api_url": sandbox.url, "history": "all"}
        pipe = Pipe(target, folder, account.url, settings)
        pipe.also = DRAWN
        pipe.run().succeeded()
    built = account.dbt(
        *("build", "--exclude-resource-type", "test", "unit_test"),
        SEEDS=str(folder / "seeds"),
        ACQUISITION_CHANNEL_COLUMN="canal_de_aquisicao",
    )
    assert built.returncode == 0, built.stdout[-3000:]


@pytest.fixture(scope="module")
def connection(account_of_today: Account) -> Iterator[psycopg.Connection]:
    """A connection to that account's warehouse."""
    with psycopg.connect(account_of_today.url, autocommit=True) as connection:
        yield connection


DATA_ONLY = ("--exclude-resource-type", "unit_test")
"""Options that leave out unit tests, which have the same result on every account."""


class Built(NamedTuple):
    """An account after `dbt build`."""

    account: Account
    statuses: dict[str, str]


@pytest.fixture(scope="session")
def empty(warehouse: Warehouse, dbt: Dbt, new_database: Callable[..., str], run_folder: Path) -> Built:
    """A new account: all tables, no rows, no custom fields. The first process builds it for all."""
    folder, statuses = run_folder / "empty", run_folder / "empty.json"
    with FileLock(run_folder / "empty.lock"):
        if not statuses.exists():
            folder.mkdir()
            first = Account(warehouse.create_database("empty"), folder, dbt)
            first.create_raw_tables({})
            statuses.write_text(json.dumps(first.build()))
        url = new_database("empty", "empty")
    own = folder.with_name(urlsplit(url).path[1:])
    shutil.copytree(folder, own)
    return Built(Account(url, own, dbt), json.loads(statuses.read_text()))
