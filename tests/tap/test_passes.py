"""Complete passes and first loads: nothing that is there is marked as gone or left out, whatever clocks say."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import count
from typing import Any

import pytest
from pipedrive_sandbox.testing import Sandbox
from tap_pipedrive import clocks, listings
from tap_pipedrive.distinct import DistinctCount

from .harness import Asked, Record, Run, Say, discover, fake, run, say, select

Dates = Callable[[int], datetime | None]


def now() -> datetime:
    """The time at which it is asked for, in whole seconds: a test may run long after its module was imported."""
    return datetime.now(UTC).replace(microsecond=0)


def dated(answer: Say, moment: datetime | None) -> Say:
    return replace(answer, date=format_datetime(moment, usegmt=True) if moment else None)


def persons(ids: range, dates: Dates, *, size: int = 3, update_time: Callable[[int], str | None]) -> Any:
    """A server of persons, page by page, each answer with a date of its own."""
    numbers = count()

    def script(request: Asked) -> Say:
        page: Record = {"success": True, "data": []}
        if request.path == "/api/v2/persons":
            rows = [{"id": number, "update_time": update_time(number)} for number in ids]
            if since := request.params.get("updated_since"):
                rows = [row for row in rows if row["update_time"] and str(row["update_time"]) >= since]
            start = int(request.params.get("cursor", 0))
            following = str(start + size) if start + size < len(rows) else None
            page |= {"data": rows[start : start + size], "additional_data": {"next_cursor": following}}
        return dated(say(page), dates(next(numbers)))

    return script


@pytest.fixture(scope="module")
def catalog(shared: Sandbox) -> Record:
    return select(discover(shared.url), "persons")


def versions(done: Run) -> dict[int, int]:
    return {message["record"]["id"]: message["version"] for message in done.of("RECORD", "persons")}


def gone(*runs: Run) -> set[int]:
    """The rows that the target has marked as deleted after these runs."""
    held: dict[int, int] = {}
    for done in runs:
        held |= versions(done)
    (activated,) = (message["version"] for message in runs[-1].of("ACTIVATE_VERSION"))
    return {number for number, version in held.items() if version < activated}


WRONG_CLOCKS: dict[str, Dates] = {
    "right": lambda number: now(),
    "later pages are a second earlier": lambda number: now() - timedelta(seconds=number),
    "later pages have no date": lambda number: None if number > 4 else now(),
    "no page has a date": lambda number: None,
    "only later pages have one": lambda number: None if number < 4 else now() - timedelta(hours=1),
    "an hour back and forth": lambda number: now() + timedelta(hours=number % 3 - 1),
}


@pytest.mark.parametrize("dates", WRONG_CLOCKS.values(), ids=WRONG_CLOCKS)
@pytest.mark.parametrize("slow", [0, 10], ids=["", "the host is slow"])
def test_a_pass_marks_what_is_gone_and_nothing_else_whatever_the_clocks_say(
    catalog: Record, dates: Dates, slow: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(tz) - timedelta(seconds=slow)

    def earlier(number: int) -> datetime | None:
        return (at := dates(number)) and at - timedelta(hours=9)

    def time_of(number: int) -> str:
        return "2026-01-01T00:00:00Z"

    with monkeypatch.context() as patch, fake(persons(range(13), earlier, update_time=time_of)) as server:
        if earlier(0) is None:  # the host is the only clock
            monkeypatch.setattr(clocks, "datetime", Earlier)
        first = run(server.url, catalog=catalog).good()
        patch.undo()
    monkeypatch.setattr(clocks, "datetime", Slow)
    with fake(persons(range(1, 13), dates, update_time=time_of)) as server:
        second = run(server.url, catalog=catalog, state=first.state, reconcile=True).good()
    assert gone(first, second) == {0}
    assert len(versions(second)) == 12


class Earlier(datetime):
    """The host's clock nine hours before."""

    @classmethod
    def now(cls, tz: Any = None) -> Any:
        return datetime.now(tz) - timedelta(hours=9)


def test_what_another_run_writes_during_a_pass_is_newer_than_the_pass(catalog: Record) -> None:
    """Though it began with a server whose clock is a second behind, or just before the second that is full."""

    def versions_by(moment: datetime, **settings: Any) -> Run:
        served = persons(range(3), lambda _: moment, update_time=lambda _: "2026-01-01T00:00:00Z")
        with fake(served) as server:
            return run(server.url, catalog=catalog, **settings).good()

    began = now()
    other, complete = versions_by(began), versions_by(began + timedelta(seconds=1), reconcile=True)
    (activated,) = (message["version"] for message in complete.of("ACTIVATE_VERSION"))
    assert min(versions(other).values()) >= activated


# Distinct rows


def test_distinct_keys_are_counted() -> None:
    keys = [*range(1000), *map(str, range(1000)), *((number, "a") for number in range(1000))]
    counts = DistinctCount(), DistinctCount()
    counts[0].add(keys)
    counts[0].add(keys)
    counts[1].add([1, 2, "new"])
    assert [each.distinct() for each in counts] == [3000, 3]
    assert counts[0].distinct(counts[1]) == 3001


def leads(ids: list[int], removed_at: int = 0) -> Any:
    """A server of leads by row count, of which one is removed before a request, and one more page is unsorted."""
    numbers = count(1)
    rows = list(ids)

    def script(request: Asked) -> Say:
        if request.path != "/api/v1/leads":
            return say({"success": True, "data": []})
        if next(numbers) == removed_at:
            rows.pop(0)
        start, limit = int(request.params["start"]), int(request.params["limit"])
        data = [{"id": str(number), "update_time": None} for number in rows[start : start + limit]]
        more = {"start": start, "limit": limit, "more_items_in_collection": start + limit < len(rows)}
        return say({"success": True, "data": data, "additional_data": more})

    return script


@pytest.mark.parametrize(
    "ids", [range(100, 180), [n * 37 % 80 for n in range(80)]], ids=["sorted", "unsorted"]
)
@pytest.mark.parametrize("removed_at", [2, 5, 8])
def test_a_pass_counts_each_row_once_and_the_guard_holds(
    shared: Sandbox,
    ids: Any,
    removed_at: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(listings, "PAGE", 10)
    chosen = select(discover(shared.url), "leads")

    def pass_over(ids: Any, state: Record | None = None, removed_at: int = 0, **settings: Any) -> Run:
        with fake(leads(list(ids), removed_at)) as server:
            return run(server.url, catalog=chosen, state=state, reconcile=True, **settings).good()

    def remembered(done: Run) -> int:
        return sum(
            part.get("complete_pass_rows", 0) for part in done.state["bookmarks"]["leads"]["partitions"]
        )

    first = pass_over(ids, removed_at=removed_at)
    assert remembered(first) in (79, 80), "the removed one may have been seen"
    assert first.of("ACTIVATE_VERSION")
    hidden = pass_over(list(ids)[30:], first.state, removed_at)
    assert not hidden.of("ACTIVATE_VERSION")
    assert remembered(hidden) == remembered(first)
    ratio = re.search(r"set it to (0\.\d+) for one run", caplog.text)
    assert ratio
    overcome = pass_over(list(ids)[30:], hidden.state, reconcile_min_ratio=float(ratio[1]))
    assert overcome.of("ACTIVATE_VERSION")
    assert remembered(overcome) == 50
    assert pass_over(list(ids)[31:], overcome.state).of("ACTIVATE_VERSION")


def test_a_first_load_that_has_to_begin_anew_counts_each_row_once(catalog: Record) -> None:
    state = {
        "bookmarks": {
            "persons": {"first_load": {"began": "2026-01-01T00:00:00Z", "cursor": "old", "rows": 9}}
        }
    }
    served = persons(range(10), lambda _: now(), update_time=lambda _: "2026-01-01T00:00:00Z")

    def script(request: Asked) -> Say:
        return say({"error": "stale"}, 400) if request.params.get("cursor") == "old" else served(request)

    with fake(script) as server:
        done = run(server.url, catalog=catalog, state=state).good()
    assert done.state["bookmarks"]["persons"]["complete_pass_rows"] == 10


# Bookmarks and a server whose clock is ahead


@pytest.mark.parametrize("minutes", [10, 55])
def test_a_change_after_a_first_load_is_read_though_the_servers_clock_was_ahead(
    catalog: Record, minutes: int
) -> None:
    ahead = now() + timedelta(minutes=minutes)
    with fake(persons(range(7), lambda _: ahead, update_time=lambda _: "2026-01-01T00:00:00Z")) as server:
        first = run(server.url, catalog=catalog).good()
    changed = (now() + timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M:%SZ")
    times = {3: changed}

    def time_of(number: int) -> str:
        return times.get(number, "2026-01-01T00:00:00Z")

    with fake(persons(range(7), lambda _: ahead, update_time=time_of)) as server:
        second = run(server.url, catalog=catalog, state=first.state, lookback_seconds=0).good()
    assert [row["id"] for row in second.records("persons")] == [3]
    assert second.state["bookmarks"]["persons"]["replication_key_value"] == changed, "the row proves itself"


@pytest.mark.parametrize("minutes", [10, 55])
def test_the_same_of_children(minutes: int) -> None:
    """Line items are asked for by the change of their deals."""
    with Sandbox(deals=30, now=now() + timedelta(minutes=minutes)) as sandbox:
        chosen = select(discover(sandbox.url), "deals", "deal_products")
        done = run(sandbox.url, catalog=chosen).good()
        alone = run(sandbox.url, catalog=select(discover(sandbox.url), "deal_products")).good()
    for state in done.state, alone.state:
        mark = state["bookmarks"]["deal_products"]["replication_key_value"]
        assert datetime.fromisoformat(mark) <= datetime.now(UTC)


# start_date


def test_a_first_load_with_a_start_date_leaves_out_what_changed_before_and_nothing_else(
    living: Sandbox,
) -> None:
    """Rows without a time, and their children, are read; an own request for what changed would lack them."""
    start = "2026-06-01T00:00:00Z"
    deal = next(
        row["id"] for row in living.truth("deals") if row["products_count"] and not row["is_archived"]
    )
    living.patch(f"/sandbox/records/deals/{deal}?touch=false", {"update_time": None})
    chosen = select(discover(living.url), "deals", "persons", "notes", "leads", "deal_products")
    done = run(living.url, catalog=chosen, start_date=start).good()
    for stream in "deals", "persons", "notes", "leads":
        wanted = {
            row["id"]
            for row in living.truth(stream)
            if not row["update_time"]
            or datetime.fromisoformat(row["update_time"]).replace(tzinfo=UTC) >= datetime.fromisoformat(start)
        }
        assert {row["id"] for row in done.records(stream)} == wanted, stream
        assert len(wanted) < len(living.truth(stream))
    assert deal in {row["deal_id"] for row in done.records("deal_products")}
    alone = run(living.url, catalog=select(chosen, "deal_products"), start_date=start).good()
    assert {row["id"] for row in alone.records("deal_products")} == {
        row["id"] for row in done.records("deal_products")
    }


def test_a_start_date_that_moves_says_what_it_does(living: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    chosen = select(discover(living.url), "persons")
    first = run(living.url, catalog=chosen, start_date="2026-06-01").good()
    caplog.clear()
    for settings in {"start_date": "2020-01-01"}, {}:
        again = run(living.url, catalog=chosen, state=first.state, **settings).good()
        assert "persons: the first load left out what last changed before 2026-06-01T00:00:00Z" in caplog.text
        caplog.clear()
    run(living.url, catalog=chosen, state=again.state, start_date="2026-06-01").good()
    assert "left out" not in caplog.text
    whole = run(living.url, catalog=chosen, state=first.state, reconcile=True).good()
    assert len(whole.records("persons")) == len(living.truth("persons"))
    run(living.url, catalog=chosen, state=whole.state).good()
    assert "left out" not in caplog.text
    later = (datetime.fromisoformat(living.get("/sandbox/clock")["now"]) + timedelta(minutes=30)).isoformat()
    run(living.url, catalog=chosen, state=first.state, start_date=later).good()
    assert "is later than the bookmark" in caplog.text


def test_a_first_load_begins_anew_with_an_earlier_start_date(
    living: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listings, "PAGE", 13)
    chosen = select(discover(living.url), "persons")
    living.post("/sandbox/faults", {"kind": "daily429", "path": "/persons", "at": [4]})
    first = run(living.url, catalog=chosen, start_date="2026-06-01").good()
    living.delete("/sandbox/faults")
    assert "first_load" in first.state["bookmarks"]["persons"]
    second = run(living.url, catalog=chosen, state=first.state, start_date="2020-01-01").good()
    assert len(second.records("persons")) == len(living.truth("persons"))
