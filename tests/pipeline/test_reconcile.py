"""A reconciling run marks exactly the rows that Pipedrive no longer has as deleted."""

from typing import Any

import psycopg
import pytest
from pipedrive_sandbox.testing import Sandbox
from psycopg.sql import SQL, Identifier

from .pipe import Break, Pipe, Run

VANISHING = ("organizations", "persons", "activities", "products", "leads")
"""Lists that simply no longer contain a deleted row."""


def reconcile(pipe: Pipe, **settings: Any) -> Run:
    """Run the tap with `reconcile`."""
    usual = dict(pipe.api)
    pipe.api |= {"reconcile": True, **settings}
    try:
        return pipe.run(break_after=None)
    finally:
        pipe.api = usual


def marked(database: str) -> dict[str, set[Any]]:
    """Return the ids of rows marked as deleted by table."""
    with psycopg.connect(database) as connection:
        return {
            table: {
                row[0]
                for row in connection.execute(
                    SQL("select id from pipedrive.{} where _sdc_deleted_at is not null").format(
                        Identifier(table)
                    )
                )
            }
            for table in (*VANISHING, "deals", "notes", "users", "stages")
        }


def first_ids(sandbox: Sandbox, entity: str, count: int) -> list[Any]:
    return [row["id"] for row in sandbox.truth(entity)][:count]


def nobody(**ids: set[Any]) -> dict[str, set[Any]]:
    """Return the result of `marked` if exactly these rows are marked."""
    return {table: set[Any]() for table in (*VANISHING, "deals", "notes", "users", "stages")} | ids


def test_deleted_rows_are_marked_and_restored_ones_unmarked(
    pipe: Pipe, sandbox: Sandbox, database: str
) -> None:
    pipe.run().succeeded()
    gone = {entity: set(first_ids(sandbox, entity, 2)) for entity in VANISHING}
    for entity, ids in gone.items():
        for row_id in ids:
            sandbox.delete(f"/sandbox/records/{entity}/{row_id}")
    hidden = first_ids(sandbox, "persons", 3)
    sandbox.post("/sandbox/hide", {"entity": "persons", "ids": hidden})
    live = next(
        row["id"] for row in sandbox.truth("deals") if not row["is_archived"] and not row["is_deleted"]
    )
    sandbox.post(f"/sandbox/deals/{live}/archive?touch=false", {})

    pipe.run().succeeded()
    assert marked(database) == nobody(), "an incremental run cannot know"

    reconcile(pipe).succeeded()
    assert marked(database) == nobody(**gone | {"persons": gone["persons"] | set(hidden)})
    with psycopg.connect(database) as connection:
        (archived,) = (
            connection.execute("select is_archived from pipedrive.deals where id = %s", [live]).fetchone()
            or ()
        )
    assert archived, "archived without a change of update_time"

    sandbox.delete("/sandbox/hide")
    reconcile(pipe).succeeded()
    assert marked(database) == nobody(**gone)
    pipe.run().succeeded()
    assert marked(database) == nobody(**gone), "later runs keep the marks"


def test_every_stream_can_be_reconciled_whatever_the_names_of_its_fields(
    pipe: Pipe, sandbox: Sandbox, database: str
) -> None:
    reserved = ("Version", "Deletedate", "_sdc_table_version", "_sdc_deleted_at", "Order", "Table")
    for name in (*reserved, "ctid", "xmin", "Xmax", "cmin", "Cmax", "TableOID"):
        sandbox.post("/sandbox/fields/deal", {"field_name": name, "field_type": "varchar"})
    pipe.everything = True
    pipe.run().succeeded()
    gone = first_ids(sandbox, "persons", 1)[0]
    sandbox.delete(f"/sandbox/records/persons/{gone}")
    reconcile(pipe).succeeded()
    assert marked(database) == nobody(persons={gone})


def test_a_token_that_lost_rights_deletes_nothing(pipe: Pipe, sandbox: Sandbox, database: str) -> None:
    reconcile(pipe).succeeded()
    for entity in ("persons", "organizations", "activities"):
        sandbox.post("/sandbox/hide", {"entity": entity, "share": 0.7})
    run = reconcile(pipe).succeeded()
    assert marked(database) == nobody()
    for stream in ("persons", "organizations", "activities"):
        assert f"{stream}: no rows are marked as deleted" in run.tap_log
    assert "reconcile_min_ratio" in run.tap_log

    reconcile(pipe, reconcile_min_ratio=0).succeeded()
    assert all(marked(database)[entity] for entity in ("persons", "organizations", "activities"))


@pytest.mark.parametrize(("stream", "what"), [("persons", "tap"), ("activities", "target")])
def test_a_pass_that_dies_marks_nothing_in_streams_that_it_had_not_finished(
    pipe: Pipe, sandbox: Sandbox, database: str, stream: str, what: Any
) -> None:
    pipe.run().succeeded()
    gone = first_ids(sandbox, stream, 1)[0]
    sandbox.delete(f"/sandbox/records/{stream}/{gone}")
    pipe.api["reconcile"] = True
    pipe.run(break_after=Break(stream, 1, what))
    assert marked(database) == nobody()
    pipe.run().succeeded()
    assert marked(database) == nobody(**{stream: {gone}})


def test_a_fault_during_a_pass_marks_nothing(pipe: Pipe, sandbox: Sandbox, database: str) -> None:
    pipe.run().succeeded()
    gone = first_ids(sandbox, "persons", 1)[0]
    sandbox.delete(f"/sandbox/records/persons/{gone}")
    sandbox.post("/sandbox/faults", {"kind": "status", "status": 402, "path": r"/persons\?"})
    pipe.api["reconcile"] = True
    pipe.run(in_haste=True)
    assert marked(database)["persons"] == set()
