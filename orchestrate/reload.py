"""`make reload`: the next run reads everything again, and each custom field keeps its column.

Without a state, the tap names columns by the present names of fields, so that the values of a renamed field
would go to a new column. The table `field_columns` knows the existing columns.
"""

import json
import re
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from difflib import get_close_matches
from typing import Any

import click
import psycopg
from psycopg.rows import dict_row
from psycopg.sql import SQL, Identifier

from orchestrate import database, environment, masking
from orchestrate.crms import CRMS
from orchestrate.errors import RunError
from orchestrate.output import say
from orchestrate.paths import BIN, ROOT
from orchestrate.processes import end_by_exception
from orchestrate.warehouse import embedded_postgres

CRM = CRMS["pipedrive"]
DEMO_TAP = f"{CRM.tap}-demo"

QUERY = """
    select named.*
    from {}.field_columns as named
    inner join pg_attribute
        on attrelid = to_regclass(format('%%I.%%I', %(schema)s::text, stream))
        and attname = column_name
        and not attisdropped
    order by stream, attnum
"""


@click.command()
@click.option("--state-id", help="By default, every state of the pipelines that load this database's data.")
def main(state_id: str | None) -> None:
    """Replace the state of a pipeline, named as in `meltano state list`, by one that has only the columns."""
    end_by_exception()
    variables = environment.settings()
    with ExitStack() as cleanup:
        if not variables.get("TARGET_POSTGRES_HOST"):
            variables |= cleanup.enter_context(embedded_postgres())
        masking.learn(variables)
        schema = CRM.raw_schema(variables)
        with database.connected(variables) as connection:
            state = state_of(connection, schema)
            is_demo = database.holds_demo(connection, variables, schema)
    existing = _meltano_state(variables, "list").split()
    if state_id not in existing and (nearest := get_close_matches(state_id or "", existing, n=1)):
        raise RunError(f"There is no state {state_id}. Did you mean {nearest[0]}?")
    environment_name = variables.get("MELTANO_ENVIRONMENT", "dev")
    count = sum(len(each["custom_fields"]) for each in state["bookmarks"].values())
    for each in [state_id] if state_id else states_to_change(existing, environment_name, is_demo=is_demo):
        _meltano_state(variables, "set", "--force", each, json.dumps({"singer_state": state}))
        if each in existing:
            say(
                f"The next run of {each} reads everything again; {count:,} columns of custom fields are kept."
            )
        else:
            say(
                f"There was no state {each}, so that the next run reads everything anyway; "
                f"a new state keeps {count:,} columns of custom fields."
            )


def states_to_change(existing: Iterable[str], environment_name: str, *, is_demo: bool) -> list[str]:
    """Return the existing states of the demo or of the account's pipelines.

    If none exists, as after a loss of the state, return the one that `make run` will use.
    """
    name = re.compile(f"{re.escape(environment_name)}:({CRM.tap}(?:-\\w+)?)-to-{CRM.loader}")
    found = [each for each in existing if (own := name.fullmatch(each)) and (own[1] == DEMO_TAP) == is_demo]
    return found or [f"{environment_name}:{DEMO_TAP if is_demo else CRM.tap}-to-{CRM.loader}"]


def _meltano_state(variables: Mapping[str, str], action: str, *arguments: str) -> str:
    """Run a subcommand of `meltano state`, and return what it printed."""
    result = subprocess.run(
        [BIN / "meltano", "state", action, *arguments],
        cwd=ROOT,
        env=dict(variables),
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        raise RunError(f"meltano state {action} failed:\n{(result.stdout + result.stderr)[-2000:]}")
    return result.stdout


def state_of(connection: psycopg.Connection, schema: str) -> dict[str, Any]:
    """Return a state of the tap that contains only the columns of custom fields.

    A field that has two columns of its present type, as after a run without a state, keeps the older one.

    Raises:
        RunError: The database does not know the columns.
    """
    with connection.cursor(row_factory=dict_row) as cursor:
        try:
            cursor.execute(SQL(QUERY).format(Identifier(schema)), {"schema": schema})
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
            raise RunError(
                f"The database has no table {schema}.field_columns, which says what the columns of custom fields "
                "are: run once with this version, and with the stream field_columns."
            ) from None
        rows = cursor.fetchall()
    fields: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        fields[row["stream"], row["field_code"]].append(row)
    bookmarks: dict[str, Any] = {}
    for (stream, code), columns in fields.items():
        newest = max(columns, key=lambda row: (row["is_current"], row["_sdc_extracted_at"]))
        present = next(row for row in columns if row["field_type"] == newest["field_type"])
        pins = bookmarks.setdefault(stream, {"custom_fields": {}})["custom_fields"]
        for row in columns:
            key = code if row is present else f"{code} {row['column_name']}"
            pins[key] = {"name": row["column_name"], "type": row["field_type"]}
    return {"bookmarks": bookmarks}


if __name__ == "__main__":
    main()
