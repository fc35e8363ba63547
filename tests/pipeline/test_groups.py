"""The job `sync-groups` loads the same tables as a single extractor, and can continue its warehouse."""

import os
import subprocess
from collections.abc import Callable
from dataclasses import replace

import psycopg
import pytest
import yaml
from embedded_postgres.warehouse import Warehouse
from pipedrive_sandbox.testing import Sandbox
from psycopg.sql import SQL, Identifier

from .expected import Expected, Table, expected
from .pipe import ROOT
from .project import MELTANO, Project
from .raw import LOADER_COLUMNS, differences, read
from .test_incremental import KNOWN_KINDS
from .test_reconcile import VANISHING, first_ids

MELTANO_FILE = yaml.safe_load((ROOT / "meltano.yml").read_text())
GROUPS = tuple(
    word
    for job in MELTANO_FILE["jobs"]
    if job["name"] == "sync-groups"
    for task in job["tasks"]
    for word in task.split()
    if not word.startswith("dbt-")
)
"""The extractors and loaders of the job."""

pytestmark = pytest.mark.airflow


@pytest.fixture
def name(database: str) -> str:
    """The name of the test's database."""
    with psycopg.connect(database) as connection:
        return connection.info.dbname


def in_groups(tables: Expected) -> Expected:
    """Remove the one column that groups leave empty: the field list does not know the columns of other
    extractors.
    """
    for row in tables.tables["fields"].rows.values():
        row.pop("column_name", None)
    return tables


def test_groups_fill_an_empty_warehouse_as_a_single_run_does(
    new_project: Callable[[], Project], sandbox: Sandbox, database: str
) -> None:
    replace(new_project(), blocks=GROUPS).run(sandbox, database)
    assert differences(database, in_groups(expected(sandbox))) == []


def test_groups_continue_a_warehouse_that_a_single_run_loaded(
    new_project: Callable[[], Project], sandbox: Sandbox, database: str, name: str, warehouse: Warehouse
) -> None:
    """Fields are renamed, and rows change and vanish; then the groups read one copy and the single extractor
    another.
    """
    project, before = new_project(), expected(sandbox)
    project.run(sandbox, database)
    copy = f"{name}_single"
    with psycopg.connect(warehouse.url, autocommit=True) as connection:
        connection.execute(SQL("create database {} template {}").format(Identifier(copy), Identifier(name)))
    for extractor in GROUPS[::2]:
        copy_state(project, extractor)

    sandbox.post("/sandbox/clock", {"advance_seconds": 3600})
    sandbox.post("/sandbox/change", {"share": 0.03, "seed": 7, "kinds": [*KNOWN_KINDS]})
    field = next(row for row in sandbox.truth("fields") if row["entity"] == "deal" and row["is_custom_field"])
    sandbox.patch(f"/sandbox/fields/deal/{field['field_code']}", {"field_name": "Another name"})
    for entity in VANISHING:
        for row_id in first_ids(sandbox, entity, 2):
            sandbox.delete(f"/sandbox/records/{entity}/{row_id}")

    replace(project, blocks=GROUPS).run(sandbox, database, TAP_PIPEDRIVE_RECONCILE="true")
    single = database.replace(name, copy)
    project.run(sandbox, single, TAP_PIPEDRIVE_RECONCILE="true")
    grouped, alone = comparable(database), comparable(single)
    warehouse.drop_database(copy)
    assert {table for table, (_, rows) in alone.items() if any(row["is_marked"] for row in rows.values())}
    assert grouped == alone
    assert before.names["deals"].items() <= expected(sandbox, before).names["deals"].items()


def copy_state(project: Project, extractor: str) -> None:
    """Copy bookmarks and column names of the single extractor to that of a group, as the runbook says."""
    states = (f"dev:{each}-to-target-postgres" for each in ("tap-pipedrive", extractor))
    subprocess.run(
        [MELTANO, "state", "copy", "--force", *states],
        cwd=project.folder,
        env=os.environ | {"MELTANO_PROJECT_ROOT": str(project.folder)},
        check=True,
    )


def comparable(database: str) -> dict[str, tuple[dict[str, str], dict[object, dict[str, object]]]]:
    """Return columns and rows of each table; of the loader's columns, only whether a row is marked as
    deleted.
    """
    return {name: (table.columns, dict(rows_of(name, table))) for name, table in read(database).items()}


def rows_of(name: str, table: Table) -> list[tuple[object, dict[str, object]]]:
    left_out = {*LOADER_COLUMNS, *(["column_name"] if name == "fields" else [])}
    return [
        (
            key,
            {column: value for column, value in row.items() if column not in left_out}
            | {"is_marked": row["_sdc_deleted_at"] is not None},
        )
        for key, row in table.rows.items()
    ]
