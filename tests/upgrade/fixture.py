"""Restores what an older version left behind: its account, its database, Meltano's own database."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

from embedded_postgres.server import environment, programs
from pipedrive_sandbox.data.generate import Dataset, generate
from pipedrive_sandbox.testing import NOW, Sandbox

from ..pipeline.contract import FIELDS_OF
from ..pipeline.expected import Expected
from .make_fixture import DEALS, PIPEDRIVE, SEED, Row

FIXTURES = Path(__file__).with_name("fixtures")


@dataclass(frozen=True)
class Fixture:
    """One folder of `fixtures/`; `make_fixture.py` describes its content."""

    folder: Path

    @cached_property
    def states(self) -> dict[str, Any]:
        """Return the Singer states by state ID."""
        found: dict[str, Any] = json.loads((self.folder / "state.json").read_text())
        return found

    @property
    def bookmarks(self) -> dict[str, Any]:
        """Return the bookmarks of each stream in Pipedrive's state."""
        found: dict[str, Any] = self.states[PIPEDRIVE]["singer_state"]["bookmarks"]
        return found

    @property
    def names(self) -> dict[str, dict[str, str]]:
        """Return columns of custom fields by table and key, as the state pins them."""
        pins = {
            table: self.bookmarks[table]["custom_fields"] for table in FIELDS_OF if table in self.bookmarks
        }
        return {table: {key: pin["name"] for key, pin in pinned.items()} for table, pinned in pins.items()}

    def sandbox(self) -> Sandbox:
        """Return a sandbox with the account and the clock from when the fixture was written."""
        lists = json.loads((self.folder / "account.json").read_text(), parse_float=Decimal)
        now = datetime.fromisoformat(lists.pop("now"))
        rows = {
            name: [dict(zip(columns, row, strict=True)) for row in rows]
            for name, (columns, *rows) in lists.items()
        }
        shape = generate(DEALS, SEED, NOW)  # for the keys of rows, which fixtures have only in part
        definitions = {entity: _of(rows["fields"], "entity", entity) for entity in shape.fields}
        changes: dict[int, list[Row]] = {}
        for change in rows.pop("deal_changes"):
            changes.setdefault(change.pop("deal_id"), []).append(change)
        records = {name: _complete(name, rows.get(name, []), shape, definitions) for name in shape.records}
        data = Dataset(records, definitions, {"deals": changes}, {})
        return Sandbox(dataset=data, now=now)

    def restore_warehouse(self, database: str) -> None:
        """Fill an empty database. Raises CalledProcessError if psql fails, which prints the reason."""
        script = self.folder / "warehouse.sql"
        psql: list[str | Path] = [programs() / "psql", "--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1"]
        subprocess.run(
            [*psql, "--dbname", database, "--file", script],
            env=environment(),
            stdout=subprocess.DEVNULL,
            check=True,
        )

    def restore_system_database(self, path: Path) -> None:
        """Write Meltano's own database to a file that does not exist yet."""
        with closing(sqlite3.connect(path)) as database:
            database.executescript((self.folder / "meltano.sql").read_text())


def pinned(names: dict[str, dict[str, str]]) -> Expected:
    """Return known column names in the form that `expected` needs."""
    return Expected({}, {table: names.get(table, {}) for table in FIELDS_OF})


def _of(rows: list[Row], key: str, value: str) -> list[Row]:
    """Return the rows with that value, without its key."""
    return [{name: part for name, part in row.items() if name != key} for row in rows if row[key] == value]


def _complete(name: str, rows: list[Row], shape: Dataset, definitions: dict[str, list[Row]]) -> list[Row]:
    """Give rows every key that the present sandbox expects."""
    keys = dict.fromkeys(shape.records[name][0] if shape.records[name] else ())
    codes = dict.fromkeys(
        field["field_code"]
        for field in definitions.get(FIELDS_OF.get(name, ""), ())
        if field["is_custom_field"]
    )
    custom = {"custom_fields"} & keys.keys()
    return [keys | row | {key: codes | (row[key] or {}) for key in custom} for row in rows]
