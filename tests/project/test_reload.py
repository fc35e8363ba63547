"""After `make reload`, everything is read again into the existing columns."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from orchestrate.database import DEMO_MARK
from orchestrate.errors import RunError
from orchestrate.reload import state_of, states_to_change

from ..pipeline.pipe import connection_settings, connection_variables
from ..tap.harness import Run, account, fake, field_definition, run

ROOT = Path(__file__).resolve().parents[2]
RENAMED, CLASHING, RETYPED, DELETED = (digit * 40 for digit in "1234")


def load(connection: psycopg.Connection[Any], done: Run) -> None:
    """Create the tables' columns and the rows of `field_columns` as the loader does."""
    connection.execute("create schema if not exists pipedrive")
    for table in ("deals", "leads", "field_columns"):
        name = Identifier("pipedrive", table)
        connection.execute(SQL("create table if not exists {} ()").format(name))
        for column in [*done.columns(table), "_sdc_extracted_at"]:
            kind = SQL("boolean" if column == "is_current" else "timestamp" if "_sdc" in column else "text")
            add = SQL("alter table {} add column if not exists {} {}")
            connection.execute(add.format(name, Identifier(column), kind))
    for row in done.records("field_columns"):
        key = [row["stream"], row["column_name"]]
        connection.execute("delete from pipedrive.field_columns where stream = %s and column_name = %s", key)
        connection.execute(
            "insert into pipedrive.field_columns (stream, column_name, field_code, field_type, is_current, "
            "_sdc_extracted_at) values (%s, %s, %s, %s, %s, clock_timestamp())",
            [*key, row["field_code"], row["field_type"], row["is_current"]],
        )


@pytest.mark.parametrize("is_late", [False, True], ids=["before a run without state", "after it"])
def test_fields_keep_their_columns(database: str, is_late: bool) -> None:
    """The fields are renamed, share a name with a former one, have a changed type, or are deleted."""
    names = {RENAMED: "Heat", CLASHING: "Score", RETYPED: "Size", DELETED: "Old"}
    fields = [field_definition(key, name, "varchar") for key, name in names.items()]
    lists: dict[str, Any] = {"/api/v2/dealFields": fields, "/api/v2/deals": [{"id": 1}]}
    with psycopg.connect(database, autocommit=True) as connection, fake(account(lists)) as server:
        done = [run(server.url).good()]
        load(connection, done[-1])
        fields[0]["field_name"] = "Warmth"
        if not is_late:  # otherwise the loader would refuse the first column of that name
            fields[2]["field_type"] = "double"
        fields[3:] = [field_definition("5" * 40, "Score", "varchar")]
        done.append(run(server.url, state=done[-1].state).good())
        load(connection, done[-1])
        there = set(done[-1].columns("deals"))
        assert {"heat", "score", "score_555555", "size" if is_late else "size_333333"} <= there
        if is_late:
            done.append(run(server.url).good())
            assert "warmth" in done[-1].columns("deals")
            load(connection, done[-1])
        state = state_of(connection, "pipedrive")
        assert state["bookmarks"].keys() == {"deals", "leads"}
        server.asked.clear()
        again = run(server.url, state=state, source_checks="none").good()
        assert set(again.columns("deals")) == there
        assert set(again.columns("leads")) == set(done[1].columns("leads"))
        (request,) = [seen for seen in server.asked if seen.path == "/api/v2/deals"]
        assert "updated_since" not in request.params
        fields.append(field_definition(DELETED, "Old", "varchar"))  # a restored field
        restored = run(server.url, state=again.state).good()
        assert set(restored.columns("deals")) == {*there, "old"}


def test_a_database_without_the_table_is_reported_in_one_sentence(database: str) -> None:
    with (
        psycopg.connect(database, autocommit=True) as connection,
        pytest.raises(RunError, match=r"The database has no table pipedrive\.field_columns"),
    ):
        state_of(connection, "pipedrive")


ACCOUNT, GROUP, DEMO = (f"dev:tap-pipedrive{part}-to-target-postgres" for part in ("", "-deals", "-demo"))


@pytest.mark.parametrize(
    ("existing", "is_demo", "expected"),
    [
        ([ACCOUNT, DEMO], False, [ACCOUNT]),
        ([ACCOUNT, DEMO], True, [DEMO]),
        ([ACCOUNT, GROUP, "dev:tap-hubspot-to-target-postgres", f"prod:{ACCOUNT}"], False, [ACCOUNT, GROUP]),
        ([DEMO], False, [ACCOUNT]),
        ([], True, [DEMO]),
    ],
)
def test_the_states_of_the_database_s_data_change(
    existing: list[str], is_demo: bool, expected: list[str]
) -> None:
    assert states_to_change(existing, "dev", is_demo=is_demo) == expected


def test_the_command_sets_the_state_in_meltano(database: str, tmp_path: Path) -> None:
    fields = [field_definition(RENAMED, "Heat", "varchar")]
    with (
        psycopg.connect(database, autocommit=True) as connection,
        fake(account({"/api/v2/dealFields": fields, "/api/v2/deals": [{"id": 1}]})) as server,
    ):
        load(connection, run(server.url).good())
        connection.execute(SQL("comment on schema pipedrive is {}").format(DEMO_MARK))
    variables = connection_variables(connection_settings(database))
    variables["MELTANO_DATABASE_URI"] = f"sqlite:///{tmp_path / 'meltano.db'}"
    environment = os.environ | variables

    def shown(*command: str | Path, code: int = 0) -> str:
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
        return done.stdout + (done.stderr if code else "")

    reload: list[str | Path] = [sys.executable, "-m", "orchestrate.reload"]
    meltano = Path(sys.executable).with_name("meltano")
    assert shown(*reload) == (
        f"There was no state {DEMO}, so that the next run reads everything anyway; "
        "a new state keeps 2 columns of custom fields.\n"
    )
    shown(meltano, "state", "set", "--force", DEMO, '{"singer_state": {"bookmarks": {}}}')
    assert shown(*reload) == (
        f"The next run of {DEMO} reads everything again; 2 columns of custom fields are kept.\n"
    )
    misspelt = DEMO.replace("pipedrive", "pipdrive")
    refused = f"Error: There is no state {misspelt}. Did you mean {DEMO}?\n"
    assert shown(*reload, "--state-id", misspelt, code=1) == refused
    assert "no state dev:somewhere," in shown(*reload, "--state-id", "dev:somewhere")
    assert shown(meltano, "state", "list").split() == [DEMO, "dev:somewhere"]
    pins = {RENAMED: {"name": "heat", "type": "varchar"}}
    assert json.loads(shown(meltano, "state", "get", DEMO)) == {
        "singer_state": {"bookmarks": {stream: {"custom_fields": pins} for stream in ("deals", "leads")}}
    }
