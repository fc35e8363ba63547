"""Fixtures of the whole path: a sandbox over HTTP, the tap, the target of meltano.yml, Postgres."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from embedded_postgres.warehouse import Warehouse
from pipedrive_sandbox.data.generate import generate
from pipedrive_sandbox.testing import NOW, Sandbox
from psycopg import sql

from .contract import INCREMENTAL
from .expected import Expected, expected
from .pipe import ROOT, Pipe
from .plugins import SECRET, Plugins, record, schema
from .project import Project
from .verdicts import Judge

TOKEN = "0123456789abcdef0123456789abcdef01234567"
"""A token in Pipedrive's format that is easy to find in a log."""


@pytest.fixture(scope="session")
def target(installed: Callable[[str, str], Path]) -> Path:
    """The target as Meltano installs it."""
    return installed("loader", "target-postgres") / "target-postgres"


@pytest.fixture(scope="session")
def dbt_queue(installed: Callable[[str, str], Path]) -> Path:
    """dbt as Meltano starts it."""
    return installed("utility", "dbt-postgres") / "dbt-queue"


@pytest.fixture(scope="session")
def judge(installed: Callable[[str, str], Path], tmp_path_factory: pytest.TempPathFactory) -> Judge:
    """A function that builds `load_completeness` in a database and reads it."""
    return Judge(installed("utility", "dbt-postgres") / "dbt", tmp_path_factory.mktemp("judge"))


@pytest.fixture
def new_plugins(target: Path, dbt_queue: Path, tmp_path: Path) -> Callable[[str], Plugins]:
    """A function that returns the starter of target and dbt for a database URL."""
    return lambda database: Plugins(target, dbt_queue, tmp_path, database)


@pytest.fixture
def plugins(new_plugins: Callable[[str], Plugins], database: str) -> Plugins:
    """The starter of target and dbt on the test's database."""
    return new_plugins(database)


@pytest.fixture(scope="session")
def template(
    target: Path,
    dbt_queue: Path,
    warehouse: Warehouse,
    worker_id: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    """The name of a database that has a table with one row."""
    name = f"sessions_{worker_id}"
    plugins = Plugins(target, dbt_queue, tmp_path_factory.mktemp(name), warehouse.create_database(name))
    program = plugins.load(schema(), record(id=1, name=SECRET, age=3))
    assert program.end() == 0, program.output
    yield name
    warehouse.drop_database(name)


@pytest.fixture
def loaded(plugins: Plugins, warehouse: Warehouse, database: str, template: str) -> Plugins:
    """The starter of target and dbt on a copy of the template database."""
    with psycopg.connect(warehouse.url, autocommit=True) as connection:
        name = sql.Identifier(plugins.connection["database"])
        connection.execute(sql.SQL("drop database {}").format(name))
        connection.execute(sql.SQL("create database {} template {}").format(name, sql.Identifier(template)))
    return plugins


@pytest.fixture
def tiny(plugins: Plugins) -> Plugins:
    """The same, with a dbt project of a single mart, which dbt parses quickly."""
    plugins.project = plugins.folder / "tiny"
    (plugins.project / "models").mkdir(parents=True)
    (plugins.project / "dbt_project.yml").write_text("name: tiny\nprofile: pipedrive_warehouse\n")
    mart = "{{ config(materialized='table') }} select 1 as id, 'Ana'::text as name"
    (plugins.project / "models" / "mart.sql").write_text(mart)
    return plugins


@pytest.fixture(scope="session")
def account() -> Iterator[Sandbox]:
    """An account with several pages of each list, which no test changes."""
    with Sandbox(deals=2000, tokens=[TOKEN]) as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def account_tables(account: Sandbox) -> Expected:
    """The tables that a load of the account must give."""
    return expected(account)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A small account for one test, with all kinds of bad data."""
    with Sandbox(deals=60, tokens=[TOKEN]) as sandbox:
        yield sandbox


@pytest.fixture
def pipe_from(target: Path, tmp_path: Path, database: str) -> Callable[[Sandbox], Pipe]:
    """A function that returns the pipe from a sandbox into the test's database."""
    return lambda sandbox: Pipe(
        target, tmp_path, database, {"api_token": sandbox.token, "api_url": sandbox.url}
    )


@pytest.fixture
def pipe(pipe_from: Callable[[Sandbox], Pipe], sandbox: Sandbox) -> Pipe:
    """The pipe from the test's own account into its database."""
    return pipe_from(sandbox)


def crowd(*update_times: str) -> Sandbox:
    """An account whose big lists have this many rows, which differ only in their ids and the given times."""
    data = generate(30, 1, NOW)
    records = data.records | {"deal_products": []}
    for entity in INCREMENTAL:
        model = next(
            row for row in records[entity] if not row.get("is_deleted") and not row.get("is_archived")
        )
        records[entity] = [
            model
            | {"id": str(UUID(int=i, version=4)) if entity == "leads" else i, "update_time": update_time}
            for i, update_time in enumerate(update_times, start=1)
        ]
    return Sandbox(dataset=replace(data, records=records, changes={}), tokens=[TOKEN], now=NOW)


@pytest.fixture(scope="session")
def new_project(
    installed: Callable[[str, str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], Project]:
    """A function that makes a project as it is after `meltano install`."""
    installed("extractor", "tap-pipedrive")
    installed("loader", "target-postgres")

    def make() -> Project:
        folder = tmp_path_factory.mktemp("project")
        (folder / ".meltano").mkdir()
        for name in ("meltano.yml", "logging.yaml"):
            shutil.copy(ROOT / name, folder)
        for name in ("plugins", "tap-pipedrive", ".meltano/extractors", ".meltano/loaders"):
            (folder / name).symlink_to(ROOT / name)
        return Project(folder)

    return make
