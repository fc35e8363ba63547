"""Checks of loaded data against the source: when they are made, and what they cost."""

from __future__ import annotations

from decimal import Decimal

import pytest
from pipedrive_sandbox.testing import Sandbox
from tap_pipedrive.checks import SAMPLE, SAMPLED, drawn, is_turn
from tap_pipedrive.values import clean_timestamp

from .harness import Record, Run, discover, run, select

MOST = 120
"""Tokens that the checks of one day cost."""

FEW = (
    "users",
    "deals",
    "persons",
    "organizations",
    "activities",
    "products",
    "source_counts",
    "source_samples",
)


@pytest.fixture(scope="module")
def catalog() -> Record:
    with Sandbox(deals=5) as sandbox:
        return select(discover(sandbox.url), *FEW)


def spent(done: Run) -> int:
    """Tokens of the checks."""
    assert done.tap
    tokens = done.tap.run.client.limits.tokens
    return sum(count for (stream, _), count in tokens.items() if stream.startswith("source_"))


def test_checks_are_made_once_a_day(living: Sandbox, catalog: Record) -> None:
    done = run(living.url, catalog=catalog).good()
    assert 0 < spent(done) <= MOST
    for hours, is_due in ((1, False), (24, True), (1, False)):
        living.post("/sandbox/clock", {"advance_seconds": 3600 * hours})
        done = run(living.url, catalog=catalog, state=done.state).good()
        assert (spent(done) > 0) is is_due
        assert spent(done) <= MOST
        assert bool(done.records("source_counts")) is is_due


@pytest.mark.parametrize(("setting", "times"), [("each", 2), ("none", 0)])
def test_the_setting_asks_for_more_checks_or_none(
    living: Sandbox, catalog: Record, setting: str, times: int
) -> None:
    first = run(living.url, catalog=catalog, source_checks=setting).good()
    second = run(living.url, catalog=catalog, source_checks=setting, state=first.state).good()
    assert sum(spent(done) > 0 for done in (first, second)) == times


def test_counts_equal_those_of_the_source(shared: Sandbox, catalog: Record) -> None:
    done = run(shared.url, catalog=catalog).good()
    found = {(row["stream"], row["figure"], row["currency"]): row for row in done.records("source_counts")}
    deals = [row for row in shared.truth("deals") if row["status"] != "deleted" and not row["is_archived"]]
    assert found["deals", "count", "all"]["value"] == len(deals)
    for currency in {row["currency"] for row in deals}:
        values = [Decimal(str(row["value"] or 0)) for row in deals if row["currency"] == currency]
        assert found["deals", "count", currency]["value"] == len(values)
        assert found["deals", "value", currency]["value"] == sum(values)
    assert found["deals", "changed", "all"]["value"] == 0
    for stream in SAMPLED:
        rows = {row["id"]: row for row in shared.truth(stream)}
        newest = found[stream, "highest_id", "all"]
        living = [id_ for id_, row in rows.items() if not row.get("is_deleted")]
        assert newest["value"] == max(living)
        assert clean_timestamp(newest["moment"]) == clean_timestamp(rows[max(living)]["add_time"])


def test_samples_are_the_rows_that_were_written(shared: Sandbox, catalog: Record) -> None:
    done = run(shared.url, catalog=catalog).good()
    samples = done.records("source_samples")
    assert len({row["stream"] for row in samples}) == 2
    for stream in {row["stream"] for row in samples}:
        written = {str(row["id"]): row for row in done.records(stream)}
        mine = [row for row in samples if row["stream"] == stream]
        assert 0 < len(mine) <= SAMPLE
        for row in mine:
            assert row["content"] == written[row["record_id"]]


def test_a_sample_holds_no_column_that_is_not_selected(living: Sandbox, catalog: Record) -> None:
    hidden = {
        "deals": "title",
        "persons": "name",
        "organizations": "name",
        "activities": "subject",
        "products": "name",
    }
    chosen = select(catalog, *FEW, without=[f"{stream}.{column}" for stream, column in hidden.items()])
    samples = run(living.url, catalog=chosen).good().records("source_samples")
    assert samples
    assert not [row for row in samples if hidden[row["stream"]] in row["content"]]
    maps = {stream: {"name": "'x'", "title": "'x'", "subject": "'x'"} for stream in hidden}
    assert run(living.url, catalog=catalog, stream_maps=maps).good().records("source_samples") == []


@pytest.mark.parametrize("status", [402, 404, 500])
def test_failing_checks_fail_nothing_else(
    living: Sandbox, catalog: Record, status: int, sleeps: list[float]
) -> None:
    living.post(
        "/sandbox/faults", {"kind": "status", "status": status, "path": "deals/summary|sort_by=id|ids="}
    )
    done = run(living.url, catalog=catalog).good()
    assert {row["figure"] for row in done.records("source_counts")} == {"changed"}
    assert len(done.records("deals")) == 60


def test_missing_tokens_for_the_checks_leave_no_stream_undone(
    living: Sandbox, catalog: Record, caplog: pytest.LogCaptureFixture
) -> None:
    whole = run(living.url, catalog=catalog, source_checks="none").good()
    assert whole.tap
    run(living.url, catalog=catalog, token_budget=whole.tap.run.client.limits.tokens_spent + 5).good()
    assert "Left undone: the checks of what was read" in caplog.text


def test_each_list_is_checked_within_three_days() -> None:
    days = [clean_timestamp(f"2026-11-{day}T10:00:00Z") for day in (21, 22, 23)]
    for stream in SAMPLED:
        assert any(is_turn(stream, day) for day in days if day), stream
    for day in days:
        assert day
        assert sum(is_turn(stream, day) for stream in SAMPLED) == 2


def test_sampled_ids_are_drawn_from_the_whole_list() -> None:
    assert drawn("a", 3) == [1, 2, 3]
    assert len(set(drawn("a", 5_000))) == SAMPLE
    assert drawn("a", 5_000) != drawn("b", 5_000)
    assert max(drawn(str(seed), 500)[-1] for seed in range(20)) > 490
