"""Line items and changes through tap and target: the tables equal the account, whatever happened in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from pipedrive_sandbox.testing import Sandbox
from psycopg.sql import SQL, Identifier

from .conftest import TOKEN
from .pipe import Break, Pipe
from .test_reconcile import reconcile

PipeFrom = Callable[[Sandbox], Pipe]
LIMITED = TOKEN[::-1]


@pytest.fixture
def two_tokens() -> Iterator[Sandbox]:
    """An account with a second token that sees a third of it."""
    with Sandbox(deals=60, tokens=[TOKEN], limited_tokens=[LIMITED]) as sandbox:
        yield sandbox


def rows(database: str, table: str, *, marked: bool) -> set[Any]:
    """Return keys of the rows that are marked as deleted, or of the others."""
    key = "change_id" if table.endswith("changes") else "id"
    query = SQL("select {} from {} where (_sdc_deleted_at is not null) = %s").format(
        Identifier(key), Identifier("pipedrive", table)
    )
    with psycopg.connect(database) as connection:
        return {row[0] for row in connection.execute(query, [marked])}


def items(sandbox: Sandbox) -> set[int]:
    """Return the line items of the account."""
    return {row["id"] for row in sandbox.truth("deal_products")}


def test_line_items_equal_the_account_whatever_happened_to_its_deals(
    pipe: Pipe, sandbox: Sandbox, database: str
) -> None:
    pipe.run().succeeded()
    assert rows(database, "deal_products", marked=False) == items(sandbox)
    changes = rows(database, "deal_changes", marked=False)

    everything = items(sandbox)
    removed = sorted(everything)[:3]
    for item in removed:
        sandbox.delete(f"/sandbox/records/deal_products/{item}")
    filled = [row["id"] for row in sandbox.truth("deals") if row["products_count"] and not row["is_deleted"]]
    live = [
        row["id"]
        for row in sandbox.truth("deals")
        if row["id"] in filled and not row["is_archived"] and row["status"] == "open"
    ] or filled
    kept, hidden = filled[0], filled[-1]
    sandbox.delete(f"/sandbox/records/deals/{filled[1]}")
    sandbox.post(f"/sandbox/deals/{filled[2]}/merge", {"with": kept})
    sandbox.post(f"/sandbox/deals/{live[-1]}/archive?touch=false")
    sandbox.post("/sandbox/hide", {"entity": "deals", "ids": [hidden]})
    behind = {row["id"] for row in sandbox.truth("deal_products") if row["deal_id"] == hidden}

    pipe.run().succeeded()
    assert rows(database, "deal_products", marked=True) == set(), "an incremental run cannot know"

    reconcile(pipe).succeeded()
    assert rows(database, "deal_products", marked=False) == items(sandbox) - behind
    assert rows(database, "deal_products", marked=True) >= {*removed, *behind}

    sandbox.delete("/sandbox/hide")
    reconcile(pipe).succeeded()
    assert rows(database, "deal_products", marked=False) == items(sandbox)
    assert rows(database, "deal_products", marked=True) == everything - items(sandbox) >= set(removed)
    assert rows(database, "deal_changes", marked=True) == set(), "the history of a deal stays"
    assert rows(database, "deal_changes", marked=False) >= changes


def test_a_token_that_sees_a_third_marks_no_line_item_and_logs_why(
    two_tokens: Sandbox, pipe_from: PipeFrom, database: str
) -> None:
    """No earlier run was a reconciling one."""
    pipe = pipe_from(two_tokens)
    pipe.run().succeeded()
    loaded = rows(database, "deal_products", marked=False)
    run = reconcile(pipe, api_token=LIMITED)
    assert run.records["deal_products"] < len(loaded) / 2
    for table in "deals", "deal_products":
        assert rows(database, table, marked=True) == set()
        assert f"{table}: no rows are marked as deleted, as only" in run.tap_log


def test_a_reconciling_run_that_dies_marks_no_line_item(pipe: Pipe, sandbox: Sandbox, database: str) -> None:
    pipe.run().succeeded()
    gone = min(items(sandbox))
    sandbox.delete(f"/sandbox/records/deal_products/{gone}")
    pipe.api["reconcile"] = True
    run = pipe.run(break_after=Break("deal_products", 1, "target"))
    assert run.target_exit == -9
    assert rows(database, "deal_products", marked=True) == set()
    pipe.run().succeeded()
    assert rows(database, "deal_products", marked=True) == {gone}
