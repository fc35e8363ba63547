"""Changes of deals through tap and target: each of them once, whenever runs die."""

from __future__ import annotations

from typing import Any

import psycopg
from pipedrive_sandbox.testing import Sandbox

from .pipe import Break, Pipe
from .test_reconcile import reconcile
from .verdicts import Judge

Change = tuple[Any, ...]


def changes(database: str) -> list[Change]:
    """Return the table's changes by deal, oldest first."""
    query = """
        select deal_id, field_key, old_value, new_value, actor_user_id, time
        from pipedrive.deal_changes where _sdc_deleted_at is null order by deal_id, sequence
    """
    with psycopg.connect(database) as connection:
        return [(*row[:5], row[5].isoformat() + "Z") for row in connection.execute(query)]


def truth(sandbox: Sandbox, *, stages_only: bool) -> list[Change]:
    """Return the account's changes by deal; an empty text is null."""
    keys = ("deal_id", "field_key", "old_value", "new_value", "actor_user_id", "time")
    found = [
        tuple(None if row[key] == "" else row[key] for key in keys)
        for row in sandbox.truth("deal_changes")
        if row["field_key"] == "stage_id" or not stages_only
    ]
    return sorted(found, key=lambda row: row[0])


def open_deal(sandbox: Sandbox) -> dict[str, Any]:
    """Return a deal that can be moved."""
    return next(row for row in sandbox.truth("deals") if row["status"] == "open" and not row["is_archived"])


def move_about(sandbox: Sandbox, times: int) -> None:
    """Move a deal back and forth between two stages."""
    deal = open_deal(sandbox)
    stages = [row["id"] for row in sandbox.truth("stages") if row["pipeline_id"] == deal["pipeline_id"]]
    other = next(stage for stage in stages if stage != deal["stage_id"])
    for number in range(times):
        stage = deal["stage_id"] if number % 2 else other
        sandbox.post(f"/sandbox/deals/{deal['id']}/move", {"stage_id": stage})


def test_history_equals_the_account_after_kills_and_changes(
    pipe: Pipe, sandbox: Sandbox, database: str
) -> None:
    deaths = {"stage": Break("deal_changes", 1, "line"), "all": Break("deal_changes", 1, "target")}
    for history, death in deaths.items():
        pipe.api["history"] = history
        run = pipe.run(break_after=death)
        assert -9 in (run.tap_exit, run.target_exit)
        assert run.records["deal_changes"]
        pipe.run().succeeded()
        assert changes(database) == truth(sandbox, stages_only=history == "stage")

    sandbox.post("/sandbox/clock", {"advance_seconds": 3600})
    move_about(sandbox, 5)
    run = pipe.run().succeeded()
    assert 0 < run.records["deal_changes"] < 60, "only the deal that changed is read"
    everything = truth(sandbox, stages_only=False)
    assert changes(database) == everything

    sandbox.delete(f"/sandbox/records/deals/{open_deal(sandbox)['id']}")
    sandbox.post("/sandbox/clock", {"advance_seconds": 40 * 86400})
    assert len(truth(sandbox, stages_only=False)) < len(everything)
    reconcile(pipe).succeeded()
    assert [row for row in changes(database) if row in set(everything)] == everything


def test_a_warehouse_is_complete_without_the_history_too(pipe: Pipe, judge: Judge, database: str) -> None:
    for number, history in enumerate(("none", "stage", "none")):
        pipe.api["history"] = history
        pipe.run().succeeded()
        verdicts = judge.verdicts(database, pipe.loader)
        assert {said.verdict for said in verdicts.values()} == {"complete"}, verdicts
        assert ("deal_changes" in verdicts) == (number > 0)
