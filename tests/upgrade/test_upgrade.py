"""The present code continues where an older version stopped: nothing is duplicated, lost, loaded again or
revoked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import psycopg
import pytest
from embedded_postgres.warehouse import Warehouse
from pipedrive_sandbox.testing import Reply, Sandbox
from psycopg.rows import dict_row
from psycopg.sql import SQL, Identifier

from ..pipeline.expected import Expected, Key, Table, after_run, expected, moment
from ..pipeline.raw import LOADER_COLUMNS, differences, read
from .fixture import FIXTURES, Fixture, pinned
from .make_fixture import HUBSPOT, PIPEDRIVE, PLUGINS, READER, RENAMED, UNFIT, Project, Row

ROOT = Path(__file__).resolve().parents[2]

LISTINGS = {
    "organizations": "/api/v2/organizations",
    "persons": "/api/v2/persons",
    "products": "/api/v2/products",
    "deals": "/api/v2/deals",
    "activities": "/api/v2/activities",
    "leads": "/api/v1/leads",
    "notes": "/api/v1/notes",
}
"""Lists that can be asked for changes, by table."""

LONG_AGO = datetime(1970, 1, 1)  # noqa: DTZ001  (as the warehouse has it: UTC, without zone)

NEW_NAME, NEW_FIELD = "Terceiro nome", "Campo da versão nova"


@dataclass
class Upgraded:
    """A warehouse of the older version after a run of the present one, with the account's changes between
    them.
    """

    fixture: Fixture
    database: str
    project: Project
    before: dict[str, Table]
    """Pipedrive's raw tables as the older version left them."""
    after: dict[str, Table]
    now: Expected
    """The truth."""
    since: datetime
    """When the account's later changes began, in UTC without zone."""
    requests: list[dict[str, Any]]
    """The requests of the present version."""
    tokens: int
    """What that cost."""
    renamed: str
    """The key of the field that was renamed since."""
    hubspot: dict[str, list[Row]]
    """HubSpot's raw tables as the older version left them."""
    rights: list[tuple[str, ...]]
    """The rights of the BI tool's role."""
    runs: list[tuple[Any, ...]]
    """The earlier runs in Meltano's database."""

    def asked(self, table: str) -> datetime:
        """Return the time since which the one request for a table's list asked for changes."""
        (query,) = [seen["query"] for seen in self.requests if seen["path"] == LISTINGS[table]]
        assert "updated_since" in query, f"{table} are read in full"
        found = moment(query["updated_since"])
        assert found
        return found

    def rewritten(self, table: str) -> set[Key]:
        """Return the keys of the rows that the run wrote."""
        before = self.before[table].rows
        return {
            key
            for key, row in self.after[table].rows.items()
            if key not in before or before[key]["_sdc_received_at"] != row["_sdc_received_at"]
        }


class Fitting:
    """The account's values that fit their columns, with the part of a sandbox's interface that `expected`
    reads.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def truth(self, table: str) -> list[Row]:
        """Return the rows of a table; a rejected value is null."""
        rows = self._sandbox.truth(table)
        for row in rows:
            if custom := row.get("custom_fields"):
                row["custom_fields"] = {k: None if v == UNFIT else v for k, v in custom.items()}
        return rows

    def api(self, path: str) -> Reply:
        """Return the token's user."""
        return self._sandbox.api(path)


@pytest.fixture(scope="module", params=sorted(FIXTURES.iterdir()), ids=lambda folder: folder.name)
def fixture(request: pytest.FixtureRequest) -> Fixture:
    """What one older version left behind."""
    return Fixture(request.param)


@pytest.fixture(scope="module")
def restored(fixture: Fixture, warehouse: Warehouse) -> Iterator[str]:
    """The URL of a database as that version left it."""
    database = warehouse.create_database("upgraded")
    with psycopg.connect(database) as connection:
        connection.execute(f"create role {READER}")
    try:
        fixture.restore_warehouse(database)
        yield database
    finally:
        warehouse.drop_database("upgraded")
        with psycopg.connect(warehouse.url) as connection:
            connection.execute(f"drop role {READER}")


@pytest.fixture(scope="module")
def upgraded(
    fixture: Fixture,
    restored: str,
    installed: Callable[[str, str], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Upgraded:
    """The result of one run of the present code, including the models, on what the older version left behind."""
    for kind in ("extractor", "loader", "utility"):
        installed(kind, PLUGINS[kind][0])
    project = Project.copy(ROOT, tmp_path_factory.mktemp("upgraded") / "project", restored)
    fixture.restore_system_database(project.system_database)
    before, hubspot, rights = read(restored), hubspot_tables(restored), rights_of_reader(restored)
    runs = project.runs()
    with fixture.sandbox() as sandbox:
        since, renamed = live_on(sandbox)
        now = expected(cast("Sandbox", Fitting(sandbox)), pinned(fixture.names))
        sandbox.post("/sandbox/stats/reset")
        api = {"TAP_PIPEDRIVE_API_TOKEN": sandbox.token, "TAP_PIPEDRIVE_API_URL": sandbox.url}
        api["TAP_PIPEDRIVE_SOURCE_CHECKS"] = "none"  # they read the same lists
        project.meltano("run", "tap-pipedrive", "target-postgres", "dbt-postgres:build", **api)
        stats = sandbox.stats()
    return Upgraded(
        fixture=fixture,
        database=restored,
        project=project,
        before=before,
        after=read(restored),
        now=now,
        since=since,
        requests=stats["log"],
        tokens=stats["tokens"],
        renamed=renamed,
        hubspot=hubspot,
        rights=rights,
        runs=runs,
    )


def live_on(sandbox: Sandbox) -> tuple[datetime, str]:
    """A day later, rename a field again, add one and change some rows; return the time and the key."""
    since = moment(sandbox.post("/sandbox/clock", {"advance_seconds": 86400})["now"])
    assert since
    fields = [row for row in sandbox.truth("fields") if row["entity"] == "deal" and row["is_custom_field"]]
    texts = [row for row in fields if row["field_type"] == "varchar"]
    earlier = [row["field_code"] for row in texts if row["field_name"].endswith(RENAMED)]
    assert len(earlier) == 3
    renamed: str = next(row["field_code"] for row in texts if row["field_code"] not in earlier)
    sandbox.patch(f"/sandbox/fields/deal/{renamed}", {"field_name": NEW_NAME})
    new = sandbox.post("/sandbox/fields/deal", {"field_name": NEW_FIELD, "field_type": "monetary"})
    values: Row = dict.fromkeys([*earlier, renamed], "valor da versão nova")
    values[new["field_code"]] = {"value": 17, "currency": "EUR"}
    living = [row for row in sandbox.truth("deals") if not row["is_deleted"] and not row["is_archived"]]
    sandbox.patch(f"/sandbox/records/deals/{living[-1]['id']}", {"custom_fields": values})
    deal = next(row for row in living if row["status"] == "open")
    stages = [row["id"] for row in sandbox.truth("stages") if row["pipeline_id"] == deal["pipeline_id"]]
    other = next(stage for stage in stages if stage != deal["stage_id"])
    sandbox.post(f"/sandbox/deals/{deal['id']}/move", {"stage_id": other})
    kinds = ["update", "move", "close", "create", "archive"]
    sandbox.post("/sandbox/change", {"share": 0.03, "seed": 7, "kinds": kinds})
    return since, renamed


def hubspot_tables(database: str) -> dict[str, list[Row]]:
    """Return all rows of HubSpot's raw tables by table."""
    with psycopg.connect(database, row_factory=dict_row) as connection:
        query = "select table_name from information_schema.tables where table_schema = 'hubspot' order by 1"
        names = [row["table_name"] for row in connection.execute(query)]
        return {
            name: connection.execute(
                SQL("select * from hubspot.{} order by _sdc_sequence, 1").format(Identifier(name))
            ).fetchall()
            for name in names
        }


def rights_of_reader(database: str) -> list[tuple[str, ...]]:
    """Return schemas and raw tables that the BI tool's role may use and read."""
    query = """
        select 'schema', nspname from pg_namespace where has_schema_privilege(%(role)s, oid, 'usage')
            and nspname in ('pipedrive', 'hubspot', 'marts')
        union all
        select schemaname, tablename from pg_tables where schemaname in ('pipedrive', 'hubspot')
            and has_table_privilege(%(role)s, format('%%I.%%I', schemaname, tablename), 'select')
        order by 1, 2
    """
    with psycopg.connect(database) as connection:
        return connection.execute(query, {"role": READER}).fetchall()


def test_the_fixture_contains_everything_that_an_upgrade_can_break(upgraded: Upgraded) -> None:
    """It has renamed fields, marked rows, rejected values, history, rights and runs."""
    fields, fixture = upgraded.before["fields"].rows, upgraded.fixture
    assert sum(row["field_name"].endswith(RENAMED) for row in fields.values()) == 5
    gone = {key for key in fields if key[0] == "deal"} - upgraded.now["fields"].rows.keys()
    assert len(gone) == 1
    assert {key for _, key in gone} < fixture.names["deals"].keys()
    for table in ("organizations", "persons", "activities", "leads"):
        assert sum(row["_sdc_deleted_at"] is not None for row in upgraded.before[table].rows.values()) > 0
    assert len(upgraded.before["rejected_values"].rows) > 0
    assert len(upgraded.before["deal_changes"].rows) > 60
    assert len(upgraded.rights) == 3 + len(upgraded.before) + len(upgraded.hubspot)
    assert len(upgraded.runs) > 5
    assert upgraded.hubspot.keys() == {"companies", "contacts", "deals", "deal_pipelines"}


def test_every_column_of_every_row_equals_the_account(upgraded: Upgraded) -> None:
    before = {
        name: Table(
            {column: kind for column, kind in table.columns.items() if column not in LOADER_COLUMNS},
            {
                key: {column: value for column, value in row.items() if column not in LOADER_COLUMNS}
                for key, row in table.rows.items()
            },
        )
        for name, table in upgraded.before.items()
    }
    known = Expected(before, pinned(upgraded.fixture.names).names)
    wanted = after_run(known, upgraded.now, LONG_AGO)
    for key, row in wanted["rejected_values"].rows.items():  # its parent record may have been read again
        row["seen_at"] = max(row["seen_at"], upgraded.after["rejected_values"].rows[key]["seen_at"])
    marked = [
        f"{name}: row {key} is marked deleted"
        for name, table in upgraded.before.items()
        for key, row in table.rows.items()
        if row["_sdc_deleted_at"] is not None
    ]
    assert sorted(differences(upgraded.database, wanted)) == sorted(marked)


def test_no_field_has_a_second_column(upgraded: Upgraded) -> None:
    new = {"campo_da_versao_nova": "numeric", "campo_da_versao_nova_currency": "text"}
    grown = {"deals": new, "leads": new}
    for name, table in upgraded.before.items():
        assert upgraded.after[name].columns == table.columns | grown.get(name, {}), name
    of_the_run = {"run_statements", "source_counts", "source_samples"}
    assert upgraded.after.keys() - of_the_run == {*upgraded.before, "field_columns"}


def test_a_renamed_field_keeps_its_column(upgraded: Upgraded) -> None:
    columns = upgraded.fixture.names["deals"]
    fields = upgraded.after["fields"].rows
    assert fields["deal", upgraded.renamed]["field_name"] == NEW_NAME
    earlier = [
        key
        for (entity, key), row in fields.items()
        if entity == "deal" and row["field_name"].endswith(RENAMED)
    ]
    for key in (*earlier, upgraded.renamed):
        assert fields["deal", key]["column_name"] == columns[key]
        filled = [
            row
            for row in upgraded.after["deals"].rows.values()
            if row[columns[key]] == "valor da versão nova"
        ]
        assert len(filled) == 1


def test_lists_are_asked_for_changes_since_the_older_version_ran(upgraded: Upgraded) -> None:
    for table in LISTINGS:
        changes = [row["update_time"] for row in upgraded.before[table].rows.values() if row["update_time"]]
        newest = max(changes)
        assert newest - timedelta(hours=1) < upgraded.asked(table) <= newest, table


def test_only_changes_since_then_are_written(upgraded: Upgraded) -> None:
    for table in LISTINGS:
        rows = upgraded.after[table].rows
        asked = upgraded.asked(table)
        changed = {key for key, row in rows.items() if row["update_time"] and row["update_time"] >= asked}
        assert upgraded.rewritten(table) == changed, table
        assert 0 < len(changed) < len(rows) / 2, table
    deals = upgraded.rewritten("deals")
    for table in ("deal_products", "deal_changes"):
        rows, written = upgraded.after[table].rows, upgraded.rewritten(table)
        assert written, table
        assert {(rows[key]["deal_id"],) for key in written} <= deals, table
    histories = [seen["path"] for seen in upgraded.requests if seen["path"].endswith("/changelog")]
    moved = {
        key[0]
        for key, row in upgraded.after["deals"].rows.items()
        if row["stage_change_time"] and row["stage_change_time"] >= upgraded.since
    }
    assert moved
    assert {f"/api/v1/deals/{deal}/changelog" for deal in moved} <= set(histories)
    assert len(histories) <= len(deals)
    with_history = {row["deal_id"] for row in upgraded.after["deal_changes"].rows.values()}
    assert upgraded.tokens < 20 * len(with_history), "the cost of the history of all deals"


def test_no_right_is_lost(upgraded: Upgraded) -> None:
    assert rights_of_reader(upgraded.database) == upgraded.rights


def test_tables_of_hubspot_stay_unchanged(upgraded: Upgraded) -> None:
    """The models ignore the tables of an earlier tap, which a full load replaces; see docs/hubspot.md."""
    assert hubspot_tables(upgraded.database) == upgraded.hubspot


def test_meltano_has_its_earlier_runs_and_states(upgraded: Upgraded) -> None:
    runs = upgraded.project.runs()
    assert runs[: len(upgraded.runs)] == upgraded.runs
    assert [run[:2] for run in runs[len(upgraded.runs) :]] == [(PIPEDRIVE, "SUCCESS")]
    assert upgraded.project.read_state(HUBSPOT) == upgraded.fixture.states[HUBSPOT]
