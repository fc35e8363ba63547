"""A field that is replaced by one of another type keeps its column, if `custom_field_names` says so."""

from typing import Any

import psycopg
import pytest
from pipedrive_sandbox.testing import Sandbox
from psycopg.sql import SQL, Identifier

from .pipe import Pipe


@pytest.mark.parametrize(("old", "new"), [("varchar", "enum"), ("double", "varchar")])
def test_a_field_of_another_type_takes_over_a_column(
    pipe: Pipe, sandbox: Sandbox, database: str, old: str, new: str
) -> None:
    """A text column can take an option. The loader refuses text in a numeric column and names it, until that
    column is renamed in the database.
    """

    def make(kind: str) -> dict[str, Any]:
        options = {"options": ["Hot"]} if kind == "enum" else {}
        definition = {"field_name": "Temperature", "field_type": kind, **options}
        made: dict[str, Any] = sandbox.post("/sandbox/fields/deal", definition)
        return made

    gone = make(old)["field_code"]
    pipe.run().succeeded()
    sandbox.delete(f"/sandbox/fields/deal/{gone}")
    field = make(new)
    value = field["options"][0]["id"] if new == "enum" else "Hot"
    deal = sandbox.rows("/api/v2/deals", limit=1)[0]["id"]
    sandbox.patch(f"/sandbox/records/deals/{deal}", {"custom_fields": {field["field_code"]: value}})

    pipe.api["custom_field_names"] = {field["field_code"]: "temperature"}
    run = pipe.run()
    assert "takes over the column temperature of a deleted field" in run.tap_log
    with psycopg.connect(database, autocommit=True) as connection:
        if old == "double":
            assert run.target_exit
            assert "Could not convert column 'pipedrive.deals.temperature'" in run.target_log
            for table in ("deals", "leads"):  # leads have the deals' fields
                rename = SQL("alter table pipedrive.{} rename column temperature to temperature_before")
                connection.execute(rename.format(Identifier(table)))
            run = pipe.run()
        run.succeeded()
        row = connection.execute(
            "select to_jsonb(d) from pipedrive.deals as d where id = %s", [deal]
        ).fetchone()
    assert row
    assert row[0]["temperature"] == "Hot"
    assert row[0].get("temperature_id") == (value if new == "enum" else None)
