"""The runbook of docs/operate.md: a pipeline on a laptop becomes a service, is backed up, lost and restored.

The first test creates the roles as the server's administrator, who may change them afterwards.
"""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from embedded_postgres.server import programs
from embedded_postgres.warehouse import Warehouse
from pipedrive_sandbox.testing import Sandbox
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.conftest import started
from tests.pipeline.expected import Expected, expected
from tests.pipeline.raw import differences
from tests.pipeline.test_incremental import V1_LISTINGS, V2_LISTINGS
from tests.project.documents import OPERATE, ROOT, blocks

from .projects import copy_of_project

LOAD = "meltano run tap-pipedrive target-postgres"
OURS = ("TAP_", "TARGET_", "MELTANO", "DBT_", "PG", "VIRTUAL_ENV", "PYTHON")


@dataclass
class Operator:
    """An operator with a shell in a copy of the project and the right to own databases."""

    folder: Path
    url: str
    """The URL of the warehouse for its owner."""

    def __call__(self, script: str, **variables: str) -> str:
        """Run a script, check that it succeeds, and return its output."""
        owner = conninfo_to_dict(self.url)
        keys = ("host", "port", "user", "password")
        names = {f"PG{key.upper()}": key for key in keys} | {"PGDATABASE": "dbname"}
        done = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", script],
            cwd=self.folder,
            env={
                **{name: value for name, value in os.environ.items() if not name.startswith(OURS)},
                **{name: str(owner[key]) for name, key in names.items()},
                "PATH": f"{programs()}:{self.folder}/.venv/bin:{os.environ['PATH']}",
                "MELTANO_PROJECT_ROOT": str(self.folder),
                "DBT_TARGET_PATH": str(self.folder / "target"),
                "DBT_LOG_PATH": str(self.folder / "logs"),
                "DBT_RESOURCE_TYPES": "model seed",
                **variables,
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{script}\n{(done.stdout + done.stderr)[-5000:]}"
        return done.stdout + done.stderr

    def follow(self, chapter: str) -> list[str]:
        """Run the commands of a chapter block by block."""
        return [self(commands) for commands in self.commands(chapter)]

    def commands(self, chapter: str) -> list[str]:
        """Return the blocks of commands in a chapter."""
        found = [each.text for each in blocks(OPERATE) if each.language == "sh" and each.chapter == chapter]
        assert found, chapter
        return found

    def asks(self, role: str, query: str, database: str = "") -> list[tuple[object, ...]]:
        """Return the result of a query by a role whose password is in .env."""
        lines = dict(line.partition("=")[::2] for line in (self.folder / ".env").read_text().splitlines())
        passwords = {
            "loader": lines["TARGET_POSTGRES_PASSWORD"],
            "transformer": lines["DBT_POSTGRES_PASSWORD"],
            "bi": lines["BI_PASSWORD"],
            "orchestrator": conninfo_to_dict(lines["MELTANO_DATABASE_URI"].replace("+psycopg", ""))[
                "password"
            ],
        }
        changes = {"user": role, "password": passwords[role], **({"dbname": database} if database else {})}
        with psycopg.connect(make_conninfo(self.url, **changes)) as connection:
            return connection.execute(query.encode()).fetchall()


@pytest.fixture(scope="module")
def server(run_folder: Path) -> Iterator[Warehouse]:
    """A Postgres for this file alone, because roles belong to a whole server."""
    server = started(run_folder, "service")
    yield server
    server.down()


@pytest.fixture
def operator(server: Warehouse, every_plugin: None, tmp_path: Path) -> Operator:
    """An operator with an empty warehouse."""
    return Operator(copy_of_project(tmp_path / "project"), server.create_database("warehouse"))


OWNERS = """
    select schemaname::text, tableowner::text from pg_tables where schemaname in ('marts', 'pipedrive')
    union all
    select proname::text, proowner::regrole::text from pg_proc where pronamespace = 'marts'::regnamespace
    order by 1
"""


def test_roles_need_no_superuser_and_take_over_existing_tables(server: Warehouse) -> None:
    url = server.create_database("managed")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("create role administrator login createrole createdb password 'secret'")
        connection.execute("alter database managed owner to administrator")
    owner = make_conninfo(url, user="administrator", password="secret")
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute("create schema marts create table marts.main_bi (deal_id int)")
        connection.execute("create function marts.one() returns int return 1")
        connection.execute("create schema pipedrive create table pipedrive.deals (id int)")
    passwords = {f"{role}_PASSWORD": f'it\'s $ "{role}"' for role in ("LOADER", "BI")}
    roles = ("--no-psqlrc", "--quiet", "--dbname", owner, "--file", str(ROOT / "deploy/roles.sql"))
    for variables in (passwords, {}):  # the second time, passwords stay as they are
        subprocess.run([str(programs() / "psql"), *roles], check=True, env={**os.environ, **variables})
    bi = make_conninfo(url, user="bi", password=passwords["BI_PASSWORD"])
    with psycopg.connect(bi, autocommit=True) as connection:
        assert connection.execute("select * from marts.main_bi").fetchall() == []
        connection.execute("set default_transaction_read_only = off")
        for refused in (
            "select from pipedrive.deals",
            "create table marts.mine ()",
            "delete from marts.main_bi",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(refused.encode())
    with psycopg.connect(url) as connection:
        assert connection.execute(OWNERS.encode()).fetchall() == [
            ("marts", "transformer"),
            ("one", "transformer"),
            ("pipedrive", "loader"),
        ]
    server.drop_database("managed")


@pytest.mark.service
def test_a_laptop_pipeline_becomes_a_service_and_is_restored(operator: Operator) -> None:
    with Sandbox(deals=60) as sandbox:
        before = loaded_on_a_laptop(operator, sandbox)
        rename_a_field(sandbox)
        operator.follow("Roles")
        operator("python -m orchestrate.prepare & python -m orchestrate.prepare; wait $!")
        operator.follow("State in Postgres")

        sandbox.post("/sandbox/stats/reset")
        operator("meltano run sync")
        assert is_incremental(sandbox)
        assert differences(operator.url, expected(sandbox, before)) == []
        assert rights_that_are_wrong(operator) == []

        again = operator("meltano run sync")
        assert "marts.load_completeness" in again, "the models of the run's statement"
        assert "marts.main_bi" not in again, "nothing else has changed"
        back_up, restore = operator.commands("Back up and restore")
        operator(back_up)
        sandbox.post("/sandbox/clock", {"advance_seconds": 3600})
        sandbox.post("/sandbox/change", {"share": 0.05, "seed": 7, "kinds": ["update", "move", "create"]})
        operator(LOAD)
        operator(restore)
        sandbox.post("/sandbox/stats/reset")
        operator(LOAD)
        assert is_incremental(sandbox)
        assert differences(operator.url, expected(sandbox, before)) == []
        assert rights_that_are_wrong(operator) == []


def loaded_on_a_laptop(operator: Operator, sandbox: Sandbox) -> Expected:
    """Load the account as the database's owner with the state in a file, and return the expected tables."""
    owner = conninfo_to_dict(operator.url)
    settings = {
        "TAP_PIPEDRIVE_API_TOKEN": sandbox.token,
        "TAP_PIPEDRIVE_API_URL": sandbox.url,
        "TAP_PIPEDRIVE_REFERENCE_MAX_AGE": "0",
        "TAP_PIPEDRIVE_CACHE_SECONDS": "0",
        **{f"TARGET_POSTGRES_{name.upper()}": owner[name] for name in ("host", "port", "user", "password")},
        "TARGET_POSTGRES_DATABASE": owner["dbname"],
    }
    dotenv = operator.folder / ".env"
    dotenv.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    dotenv.chmod(0o600)
    operator(LOAD)
    before = expected(sandbox)
    assert differences(operator.url, before) == []
    return before


def rename_a_field(sandbox: Sandbox) -> None:
    """Rename a field of deals, and change some rows an hour later."""
    field = next(
        row
        for row in sandbox.truth("fields")
        if row["entity"] == "deal" and row["is_custom_field"] and row["field_type"] == "varchar"
    )
    sandbox.patch(
        f"/sandbox/fields/deal/{field['field_code']}", {"field_name": f"{field['field_name']} (novo)"}
    )
    sandbox.post("/sandbox/clock", {"advance_seconds": 3600})
    sandbox.post(
        "/sandbox/change", {"share": 0.03, "seed": 1, "kinds": ["update", "move", "close", "create"]}
    )


def is_incremental(sandbox: Sandbox) -> bool:
    """Return whether the last run asked each big list for changes only."""
    return all(
        [seen for seen in sandbox.requests(path) if "updated_since" in seen["query"]]
        for path in (*V2_LISTINGS, *V1_LISTINGS)
    )


READABLE = """
    select nspname::text, bool_and(has_table_privilege(current_user, pg_class.oid, 'select'))::text
    from pg_class join pg_namespace on pg_namespace.oid = relnamespace
    where relkind in ('r', 'v', 'm') and nspname <> 'information_schema' and nspname !~ '^pg_'
    group by 1
"""

CREATABLE = """
    select nspname::text from pg_namespace
    where has_schema_privilege(current_user, oid, 'create') and nspname !~ '^pg_'
"""

MAY_READ = {
    "loader": {"pipedrive"},
    "transformer": {"pipedrive", "seeds", "staging", "intermediate", "snapshots", "marts"},
    "bi": {"marts"},
}
MAY_MAKE = {
    "loader": {"pipedrive", "hubspot"},
    "transformer": {"seeds", "staging", "intermediate", "snapshots", "marts", "compat"},
    "bi": set[str](),
}


def rights_that_are_wrong(operator: Operator) -> list[str]:
    """Return the rights that the roles have and should not have, or lack."""
    wrong = []
    for role, schemas in MAY_READ.items():
        readable = {schema for schema, is_readable in operator.asks(role, READABLE) if is_readable == "true"}
        creatable = {schema for (schema,) in operator.asks(role, CREATABLE)}
        if (readable, creatable) != (schemas, MAY_MAKE[role]):
            wrong.append(f"{role} reads {readable} and may make tables in {creatable}")
    for role, database in (("bi", "meltano"), ("loader", "meltano"), ("orchestrator", "")):
        try:
            operator.asks(role, "select * from marts.main_bi limit 1", database)
        except psycopg.Error:
            continue
        wrong.append(f"{role} may look into {database or 'the warehouse'}")
    return wrong
