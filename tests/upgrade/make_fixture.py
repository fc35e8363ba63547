"""Write a fixture of the upgrade test: what the code of one commit leaves behind for the next one.

A fixture is a folder of text files under `tests/upgrade/fixtures/`, named after the version that wrote it:

- `account.json`: the Pipedrive account at the end, and its time. Each list begins with the names of its
  columns; `custom_fields` has those with a value.
- `warehouse.sql`: the database as `pg_dump` writes it, with the rows of raw tables and without those of dbt.
- `meltano.sql`: Meltano's system database with its runs, jobs and states.
- `state.json`: the states as `meltano state get` prints them, by state ID.

To write a fixture of another version, run this script in a worktree of that version's commit with the
programs of that worktree, and copy the folder here:

    git worktree add ../release <commit>
    cd ../release && make .venv/ready
    .venv/bin/python <this clone>/tests/upgrade/make_fixture.py tests/upgrade/fixtures/<version>

The account is the same each time, but target and Meltano record the actual times of their runs.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import unquote, urlsplit

import orjson
import psycopg
from embedded_postgres.server import programs
from embedded_postgres.warehouse import Warehouse
from pipedrive_sandbox.hubspot.testing import HubspotSandbox
from pipedrive_sandbox.testing import NOW, Sandbox

DEALS, HUBSPOT_DEALS, SEED = 60, 40, 1

PLUGINS = {
    "extractor": ("tap-pipedrive", "tap-hubspot"),
    "loader": ("target-postgres",),
    "utility": ("dbt-postgres",),
}

PIPEDRIVE = "dev:tap-pipedrive-to-target-postgres"
HUBSPOT = "dev:tap-hubspot-to-target-postgres-hubspot"
"""State IDs."""

LISTS = (
    "activities", "activity_types", "currencies", "deal_products", "deals", "filters", "lead_labels", "leads",
    "notes", "organizations", "persons", "pipelines", "products", "stages", "users",
)  # fmt: skip
"""The account's lists of the default streams, and the filters that rows refer to."""

RENAMED = " (novo)"
"""The suffix of renamed fields."""

UNFIT = "a combinar"
"""An invalid value that some rows have in a numeric field."""

READER = "bi_reader"
"""The role of a BI tool, which may read the raw tables and the marts."""

Row = dict[str, Any]


@dataclass
class Project:
    """A copy of a project with the original's plugins, and with its own runs and states."""

    folder: Path
    database: str
    """URL of the warehouse."""

    @classmethod
    def copy(cls, root: Path, folder: Path, database: str) -> Project:
        """Make a copy in a folder that does not exist yet."""
        (folder / ".meltano").mkdir(parents=True)
        shutil.copy(root / "meltano.yml", folder)
        plugins = (".meltano/extractors", ".meltano/loaders", ".meltano/utilities")
        for name in ("plugins", "tap-pipedrive", "transform", *plugins):
            (folder / name).symlink_to(root / name)
        return cls(folder, database)

    @property
    def system_database(self) -> Path:
        """Return the path of Meltano's own database."""
        return self.folder / ".meltano" / "meltano.db"

    def meltano(self, *arguments: str, **settings: str) -> str:
        """Run Meltano, with settings as in .env, and return its output. Raises AssertionError if it fails."""
        url = urlsplit(self.database)
        own = {
            "MELTANO_PROJECT_ROOT": str(self.folder),
            "DBT_TARGET_PATH": str(self.folder / "target"),
            "DBT_LOG_PATH": str(self.folder / "logs"),
            "TARGET_POSTGRES_HOST": str(url.hostname),
            "TARGET_POSTGRES_PORT": str(url.port),
            "TARGET_POSTGRES_USER": str(url.username),
            "TARGET_POSTGRES_PASSWORD": unquote(url.password or ""),
            "TARGET_POSTGRES_DATABASE": unquote(url.path[1:]),
        }
        ours = ("TAP_", "TARGET_", "MELTANO_", "DBT_")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        run = subprocess.run(
            [Path(sys.executable).with_name("meltano"), *arguments],
            cwd=self.folder,
            env=inherited | own | settings,
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, (run.stdout + run.stderr)[-5000:]
        return run.stdout + run.stderr

    def runs(self) -> list[tuple[Any, ...]]:
        """Return job, outcome, start, end and payload of the runs in Meltano's database."""
        query = "select job_name, state, started_at, ended_at, payload from runs order by id"
        with closing(sqlite3.connect(self.system_database)) as database:
            return database.execute(query).fetchall()

    def read_state(self, state: str) -> Any:
        """Return a state as `meltano state get` prints it."""
        printed = self.meltano("--log-level", "error", "state", "get", state)
        return json.loads(printed[printed.index("{") :])


class Life:
    """The changes of the fixture's account, run by run."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def later(self, hours: int) -> None:
        """Set the account's clock to this many hours after its start."""
        now = NOW.timestamp() + hours * 3600
        self._sandbox.post("/sandbox/clock", {"set": datetime.fromtimestamp(now, NOW.tzinfo).isoformat()})

    def rename_and_delete_fields(self) -> None:
        """Rename three fields of deals and one of persons and organizations each, and delete one of deals."""
        *renamed, deleted = self._fields("deal")[:4]
        for field in (*renamed, self._fields("person")[0], self._fields("organization")[0]):
            path = f"/sandbox/fields/{field['entity']}/{field['field_code']}"
            self._sandbox.patch(path, {"field_name": field["field_name"] + RENAMED})
            self._change(f"{field['entity']}s", {field["field_code"]: "valor depois do novo nome"})
        self._sandbox.delete(f"/sandbox/fields/deal/{deleted['field_code']}")

    def spoil_values(self) -> None:
        """Give some persons and deals a value that does not fit its column."""
        for entity in ("person", "deal"):
            number = next(field for field in self._custom(entity) if field["field_type"] == "double")
            self._change(f"{entity}s", {number["field_code"]: UNFIT})

    def move_deals(self) -> None:
        """Move two deals to another stage and back."""
        stages = self._sandbox.truth("stages")
        live = [
            deal for deal in self._living("deals") if deal["status"] == "open" and not deal["is_archived"]
        ]
        for deal in live[:2]:
            other = next(
                stage["id"]
                for stage in stages
                if stage["pipeline_id"] == deal["pipeline_id"] and stage["id"] != deal["stage_id"]
            )
            for stage in (other, deal["stage_id"]):
                self._sandbox.post(f"/sandbox/deals/{deal['id']}/move", {"stage_id": stage})

    def delete_rows(self) -> None:
        """Delete two rows of each list that does not show deleted rows; only a reconcile detects that."""
        for entity in ("organizations", "persons", "activities", "leads"):
            for row in self._living(entity)[-2:]:
                self._sandbox.delete(f"/sandbox/records/{entity}/{row['id']}")

    def change_some(self, seed: int) -> None:
        """Change a few rows of each list."""
        kinds = ["update", "move", "close", "create", "archive"]
        self._sandbox.post("/sandbox/change", {"share": 0.03, "seed": seed, "kinds": kinds})

    def _change(self, entity: str, values: Row) -> None:
        for row in self._living(entity)[:3]:
            self._sandbox.patch(f"/sandbox/records/{entity}/{row['id']}", {"custom_fields": values})

    def _custom(self, entity: str) -> list[Row]:
        fields = self._sandbox.truth("fields")
        return [field for field in fields if field["is_custom_field"] and field["entity"] == entity]

    def _fields(self, entity: str) -> list[Row]:
        """Return text fields of an entity with unique names and with values."""
        custom = self._custom(entity)
        names = [field["field_name"] for field in custom]
        rows = self._living(f"{entity}s")
        return [
            field
            for field in custom
            if field["field_type"] == "varchar"
            and names.count(field["field_name"]) == 1
            and sum(bool(row["custom_fields"][field["field_code"]]) for row in rows) >= 3
        ]

    def _living(self, entity: str) -> list[Row]:
        return [row for row in self._sandbox.truth(entity) if not row.get("is_deleted")]


def fill(project: Project) -> bytes:
    """Load a changing account run by run, and a HubSpot portal once; return the account as JSON."""
    with Sandbox(deals=DEALS, seed=SEED, now=NOW) as sandbox:
        life = Life(sandbox)
        load = ("run", "tap-pipedrive", "target-postgres")
        api = {"TAP_PIPEDRIVE_API_TOKEN": sandbox.token, "TAP_PIPEDRIVE_API_URL": sandbox.url}
        life.spoil_values()
        project.meltano(*load, **api)
        life.later(24)
        life.rename_and_delete_fields()
        life.move_deals()
        project.meltano(*load, **api)
        life.later(48)
        life.delete_rows()
        project.meltano(*load, **api, TAP_PIPEDRIVE_RECONCILE="true")
        load_hubspot(project)
        life.later(72)
        life.change_some(seed=1)
        project.meltano(*load, "dbt-postgres:build", **api)
        return account(sandbox)


def load_hubspot(project: Project) -> None:
    """Load a HubSpot portal."""
    with HubspotSandbox(deals=HUBSPOT_DEALS, seed=SEED, now=NOW) as hubspot:
        project.meltano(
            "run",
            "tap-hubspot",
            "target-postgres-hubspot",
            TAP_HUBSPOT_ACCESS_TOKEN=hubspot.token,
            TAP_HUBSPOT_API_URL=hubspot.url,
        )


def account(sandbox: Sandbox) -> bytes:
    """Return the account as JSON, one row per line, with all digits of its numbers."""
    tables = {name: sandbox.truth(name) for name in LISTS}
    tables["fields"] = [*sandbox.truth("fields"), *sandbox.truth("project_fields")]
    tables["deal_changes"] = sandbox.truth("deal_changes")
    texts = [b'"now": ' + orjson.dumps(sandbox.get("/sandbox/clock")["now"])]
    for name, rows in tables.items():
        columns = list(dict.fromkeys(column for row in rows for column in row))
        lines = [columns, *([_cell(column, row.get(column)) for column in columns] for row in rows)]
        text = b",\n".join(orjson.dumps(line, default=_exact) for line in lines)
        texts.append(orjson.dumps(name) + b": [\n" + text + b"\n]")
    return b"{\n" + b",\n".join(texts) + b"\n}\n"


def _cell(column: str, value: Any) -> Any:
    """Leave out the custom fields that a row does not fill."""
    if column != "custom_fields":
        return value
    return {key: filled for key, filled in value.items() if filled is not None}


def _exact(number: object) -> orjson.Fragment:
    assert isinstance(number, Decimal)
    return orjson.Fragment(str(number))


def grant_rights(database: str) -> None:
    """Let the BI tool's role read the raw tables and the marts."""
    with psycopg.connect(database) as connection:
        connection.execute(f"create role {READER}")
        for schema in ("pipedrive", "hubspot", "marts"):
            connection.execute(f"grant usage on schema {schema} to {READER}")
            connection.execute(f"grant select on all tables in schema {schema} to {READER}")


def dump_warehouse(warehouse: Warehouse) -> str:
    """Return the database as SQL, without the rows that dbt can build again."""
    without = [f"--exclude-table-data={schema}.*" for schema in ("staging", "intermediate", "marts")]
    command: list[str | Path] = [programs() / "pg_dump", "--no-owner", "--no-comments", *without]
    dump = subprocess.run(
        command, env=warehouse.client_environment(), capture_output=True, text=True, check=True
    )
    noise = r"^\\(un)?restrict .*\n|^--\n-- (Data for )?Name: .*\n--\n\n?"  # a random key, and headings
    return re.sub(noise, "", dump.stdout, flags=re.MULTILINE)


def dump_system_database(path: Path) -> str:
    """Return Meltano's own database as SQL."""
    with closing(sqlite3.connect(path)) as database:
        return "\n".join(database.iterdump()) + "\n"


def main() -> None:
    """Write the fixture of the commit that is checked out in the current folder."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="the fixture's folder, e.g. tests/upgrade/fixtures/0.1.0")
    fixture: Path = parser.parse_args().folder
    root = Path.cwd()
    for kind, names in PLUGINS.items():
        for name in names:
            meltano = Path(sys.executable).with_name("meltano")
            subprocess.run([meltano, "install", kind, name], cwd=root, check=True)
    with TemporaryDirectory() as name, Warehouse(Path(name) / "warehouse") as warehouse:
        try:
            project = Project.copy(root, Path(name) / "project", warehouse.url)
            written = fill(project)
            grant_rights(warehouse.url)
            fixture.mkdir(parents=True, exist_ok=True)
            (fixture / "account.json").write_bytes(written)
            (fixture / "warehouse.sql").write_text(dump_warehouse(warehouse))
            states = {state: project.read_state(state) for state in (PIPEDRIVE, HUBSPOT)}
            (fixture / "state.json").write_text(json.dumps(states, indent=1, ensure_ascii=False) + "\n")
            (fixture / "meltano.sql").write_text(dump_system_database(project.system_database))
        finally:
            warehouse.delete()


if __name__ == "__main__":
    main()
