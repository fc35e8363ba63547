# Over 400 lines: every stream is stopped at each of its messages with the same helpers.
"""State: a run can be continued from every STATE message without losing a row."""

from __future__ import annotations

import re
from collections.abc import Iterator
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from pipedrive_sandbox.testing import NOW, Sandbox
from tap_pipedrive import listings
from tap_pipedrive.errors import PipedriveError

from .harness import Asked, Record, Run, Say, account, discover, fake, replay, run, say, select

INCREMENTAL = ("deals", "persons", "organizations", "products", "activities", "leads", "notes")
WHOLE_SECONDS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listings, "PAGE", 13)


@pytest.fixture(scope="module")
def catalog(shared: Sandbox) -> Record:
    return select(discover(shared.url), *INCREMENTAL)


def bookmarks(state: Record, stream: str) -> list[Record]:
    """Return the bookmark of each list of a stream."""
    found = state["bookmarks"][stream]
    return found.get("partitions") or [found]


def times(state: Record, stream: str) -> list[datetime]:
    return [datetime.fromisoformat(one["replication_key_value"]) for one in bookmarks(state, stream)]


def test_a_state_is_written_when_it_has_changed_and_only_then(shared: Sandbox, catalog: Record) -> None:
    states = [message["value"] for message in run(shared.url, catalog=catalog).good().of("STATE")]
    assert len(states) > len(INCREMENTAL)
    assert all(state != following for state, following in pairwise(states))


def assert_equals_truth(sandbox: Sandbox, tables: dict[str, dict[Any, Record]]) -> None:
    """Check that every row of the account is there in its present form."""
    for stream in INCREMENTAL:
        held = {key[0]: row for key, row in tables.get(stream, {}).items()}
        for row in sandbox.truth(stream):
            assert row["id"] in held, f"{stream} {row['id']} was lost"
            ours = held[row["id"]]["update_time"]
            if row["update_time"] is None:
                assert ours is None
            else:
                assert datetime.fromisoformat(ours) == datetime.fromisoformat(row["update_time"]), stream
            for column in {"is_archived", "done", "owner_id", "status"} & row.keys():
                assert held[row["id"]][column] == row[column]


def cuts(done: Run) -> Iterator[tuple[list[Record], Record]]:
    """Yield the messages up to each STATE with that state, as if the run had been killed there."""
    for position, message in enumerate(done.messages):
        if message["type"] == "STATE":
            yield done.messages[: position + 1], message["value"]


# Resuming


def test_a_first_load_stopped_at_any_state_is_completed_by_the_next_run(
    living: Sandbox, catalog: Record
) -> None:
    """Rows also change in between."""
    first = run(living.url, catalog=catalog).good()
    living.post("/sandbox/change", {"share": 0.05, "seed": 3})
    points = list(cuts(first))
    assert len(points) > 40
    for kept, state in points[::5]:
        second = run(living.url, catalog=catalog, state=state).good()
        assert_equals_truth(living, replay(second.messages, replay(kept)))


def test_an_incremental_run_stopped_at_any_state_is_completed_by_the_next_run(
    living: Sandbox, catalog: Record
) -> None:
    first = run(living.url, catalog=catalog).good()
    for seed in range(8):
        living.post("/sandbox/clock", {"advance_seconds": 1200})
        living.post("/sandbox/change", {"share": 0.1, "seed": seed})
    second = run(living.url, catalog=catalog, state=first.state).good()
    living.post("/sandbox/clock", {"advance_seconds": 1200})
    living.post("/sandbox/change", {"share": 0.05, "seed": 99})
    points = list(cuts(second))
    assert len(points) > 15
    for kept, state in points[::4]:
        third = run(living.url, catalog=catalog, state=state).good()
        assert_equals_truth(living, replay(third.messages, replay(kept, replay(first.messages))))


@pytest.mark.parametrize("stream", ["deals", "persons", "notes", "leads"])
def test_an_aborted_first_load_continues_where_it_stopped(living: Sandbox, stream: str) -> None:
    """The load is aborted at every page; only the last row before the abort is read twice."""
    catalog = select(discover(living.url), stream)
    path = f"/{stream}\\?"
    whole = run(living.url, catalog=catalog).good()
    pages = len(living.requests(f"/{stream}"))
    assert pages >= 2
    for page in range(2, pages):
        living.delete("/sandbox/faults")
        living.post("/sandbox/faults", {"kind": "daily429", "path": path, "at": [page]})
        aborted = run(living.url, catalog=catalog).good()
        assert len(aborted.records(stream)) < len(whole.records(stream))
        living.delete("/sandbox/faults")
        rest = run(living.url, catalog=catalog, state=aborted.state).good()
        ids = [row["id"] for row in aborted.records(stream) + rest.records(stream)]
        assert set(ids) == {row["id"] for row in whole.records(stream)}
        assert len(ids) == len(set(ids))


@pytest.mark.parametrize("lie", ["nonsense", "bm9uc2Vuc2U"])
def test_an_expired_cursor_restarts_the_walk(living: Sandbox, lie: str) -> None:
    catalog = select(discover(living.url), "persons")
    state = {"bookmarks": {"persons": {"first_load": {"began": "2026-01-01T00:00:00Z", "cursor": lie}}}}
    done = run(living.url, catalog=catalog, state=state).good()
    assert {row["id"] for row in done.records("persons")} == {row["id"] for row in living.truth("persons")}
    asked = [seen["query"].get("updated_since") for seen in living.requests("/persons")]
    assert set(asked[:2]) == {None}
    assert asked[-1] == "2025-12-31T23:59:00Z", "changes since the reading began are read, too"


# Bookmarks


@pytest.mark.parametrize("hours", [-1, 0, 1, -1000], ids=lambda hours: f"{hours:+}h")
def test_the_bookmark_is_pipedrives_clock_at_the_start(hours: int) -> None:
    clock = NOW + timedelta(hours=hours)
    with Sandbox(deals=50, now=clock) as sandbox:
        living = select(discover(sandbox.url), *INCREMENTAL)
        call = {"path": "/sandbox/clock", "json": {"advance_seconds": 600}}
        sandbox.post("/sandbox/faults", {"kind": "change", "path": "/", "every": 1, "call": call})
        before = datetime.fromisoformat(sandbox.get("/sandbox/clock")["now"])
        done = run(sandbox.url, catalog=living).good()
        after = datetime.fromisoformat(sandbox.get("/sandbox/clock")["now"])
        for stream in INCREMENTAL:
            for bookmark in times(done.state, stream):
                assert before <= bookmark < after
        assert max(times(done.state, "activities")) < after - timedelta(seconds=600 * 5), (
            "not the reading's end"
        )


@pytest.mark.parametrize("hours", [-1, 1])
def test_the_next_run_reads_a_change_during_this_one_whatever_the_clock(hours: int) -> None:
    with Sandbox(deals=50, now=NOW + timedelta(hours=hours)) as sandbox:
        chosen = select(discover(sandbox.url), "persons")
        victim = min(row["id"] for row in sandbox.truth("persons"))
        call = {"method": "PATCH", "path": f"/sandbox/records/persons/{victim}", "json": {"name": "Changed"}}
        sandbox.post("/sandbox/faults", {"kind": "change", "path": "/persons", "at": [3], "call": call})
        first = run(sandbox.url, catalog=chosen).good()
        second = run(sandbox.url, catalog=chosen, state=first.state).good()
    assert "Changed" not in {row["name"] for row in first.records("persons")}
    assert "Changed" in {row["name"] for row in second.records("persons") if row["id"] == victim}


@pytest.mark.parametrize("lookback", [0, 60, 3600])
def test_an_incremental_run_reads_from_the_bookmark_minus_the_lookback(
    living: Sandbox, catalog: Record, lookback: int
) -> None:
    first = run(living.url, catalog=catalog, lookback_seconds=lookback).good()
    living.post("/sandbox/stats/reset")
    run(living.url, catalog=catalog, state=first.state, lookback_seconds=lookback).good()
    wanted = {
        "/api/v2/deals": times(first.state, "deals")[0],
        "/api/v2/deals/archived": times(first.state, "deals")[1],
        "/api/v2/persons": times(first.state, "persons")[0],
        "/api/v2/products": times(first.state, "products")[0],
        "/api/v2/activities": times(first.state, "activities")[0],
        "/api/v1/leads": times(first.state, "leads")[0],
        "/api/v1/notes": times(first.state, "notes")[0],
    }
    asked: dict[str, dict[str, str]] = {}
    for seen in living.requests():
        asked.setdefault(seen["path"], seen["query"])
    for path, bookmark in wanted.items():
        since = asked[path]["updated_since"]
        assert WHOLE_SECONDS.fullmatch(since)
        assert datetime.fromisoformat(since) == bookmark - timedelta(seconds=lookback)
        order = asked[path].get("sort") or f"{asked[path]['sort_by']} {asked[path]['sort_direction']}"
        assert order.lower() == "update_time asc"
    assert "updated_since" not in asked["/api/v1/leads/archived"]
    assert asked["/api/v1/leads/archived"]["sort"] == "update_time DESC"


def test_a_run_without_changes_does_not_move_bookmarks(living: Sandbox, catalog: Record) -> None:
    first = run(living.url, catalog=catalog).good()
    living.post("/sandbox/clock", {"advance_seconds": 600})
    second = run(living.url, catalog=catalog, state=first.state).good()
    third = run(living.url, catalog=catalog, state=second.state).good()
    recent = NOW - timedelta(seconds=120)
    for stream in INCREMENTAL:
        changed = {
            row["id"]
            for row in living.truth(stream)
            if row["update_time"] and datetime.fromisoformat(row["update_time"]) > recent
        }
        archived = {row["id"] for row in living.truth("leads") if row["is_archived"]}
        for done in (second, third):
            assert {row["id"] for row in done.records(stream)} <= changed | (
                archived if stream == "leads" else set()
            )


def test_bookmarks_never_go_back(living: Sandbox, catalog: Record) -> None:
    state = run(living.url, catalog=catalog).good().state
    for seed in range(3):
        living.post("/sandbox/clock", {"advance_seconds": 300})
        living.post("/sandbox/change", {"share": 0.1, "seed": seed, "kinds": ["update", "archive"]})
        done = run(living.url, catalog=catalog, state=state).good()
        for stream in INCREMENTAL:
            values = [times(message["value"], stream) for message in done.of("STATE")]
            for before, after in zip([times(state, stream), *values], values, strict=False):
                assert after >= before
        state = done.state


MEMORY = {"has_had_rows", "last_complete_pass", "unread", "starved", "began", "checked_on"}
MEMORY |= {"read_at", "last_row_at", "known", "shape"}  # these lists are read by age
MEMORY |= {"parents", "parents_at", "asked", "unasked"}  # these belong to histories
"""The keys of a state besides bookmarks."""


def test_a_state_contains_only_bookmarks_and_known_keys(living: Sandbox, catalog: Record) -> None:
    state = run(living.url, catalog=catalog).good().state
    for stream in INCREMENTAL:
        for one in bookmarks(state, stream):
            assert one.keys() - MEMORY - {"custom_fields", "custom_field_names", "complete_pass_rows"} <= {
                "context",
                "replication_key",
                "replication_key_value",
            }
            assert WHOLE_SECONDS.fullmatch(one["replication_key_value"])


def test_later_versions_can_read_the_keys_of_every_state(living: Sandbox) -> None:
    """The keys are those of every stream after a complete load and after the run that follows."""
    catalog = discover(living.url)
    chosen = select(catalog, *(entry["tap_stream_id"] for entry in catalog["streams"]))
    first = run(living.url, catalog=chosen).good()
    second = run(living.url, catalog=chosen, state=first.state).good()
    keys = MEMORY | {
        *("replication_key", "replication_key_value", "complete_pass_rows", "place"),
        *("custom_fields", "custom_field_names"),
    }
    for state in first.state, second.state:
        for stream, mark in state["bookmarks"].items():
            parts = mark.get("partitions", [])
            assert mark.keys() <= keys | {"partitions"}, stream
            assert all(part.keys() <= keys | {"context"} for part in parts), stream


def test_live_and_archived_records_have_separate_bookmarks(living: Sandbox, catalog: Record) -> None:
    state = run(living.url, catalog=catalog).good().state
    for stream in ("deals", "leads"):
        assert [one["context"] for one in bookmarks(state, stream)] == [
            {"listing": "live"},
            {"listing": "archived"},
        ]
    for stream in ("persons", "notes", "activities"):
        assert "partitions" not in state["bookmarks"][stream]


def test_a_record_archived_between_two_runs_is_read_from_the_other_list(
    living: Sandbox, catalog: Record
) -> None:
    first = run(living.url, catalog=catalog).good()
    moved = {}
    for stream in ("deals", "leads"):
        live = [row for row in living.truth(stream) if not row["is_archived"] and not row.get("is_deleted")]
        old = [row for row in living.truth(stream) if row["is_archived"]]
        living.post(f"/sandbox/{stream}/{live[0]['id']}/archive")
        living.post(f"/sandbox/{stream}/{old[0]['id']}/unarchive")
        moved[stream] = {live[0]["id"]: True, old[0]["id"]: False}
    second = run(living.url, catalog=catalog, state=first.state).good()
    for stream, expected in moved.items():
        seen = {row["id"]: row["is_archived"] for row in second.records(stream)}
        assert {id_: seen.get(id_) for id_ in expected} == expected


def test_rows_without_an_update_time_are_read_in_the_first_load(living: Sandbox, catalog: Record) -> None:
    blank = {
        (stream, row["id"])
        for stream in INCREMENTAL
        for row in living.truth(stream)
        if not row["update_time"]
    }
    assert blank
    done = run(living.url, catalog=catalog).good()
    rows = [(stream, row) for stream in INCREMENTAL for row in done.records(stream)]
    assert {(stream, row["id"]) for stream, row in rows if row["update_time"] is None} == blank


def test_a_reset_stream_is_read_whole_again(living: Sandbox, catalog: Record) -> None:
    state = run(living.url, catalog=catalog).good().state
    del state["bookmarks"]["persons"]
    done = run(living.url, catalog=catalog, state=state).good()
    assert len(done.records("persons")) == len(living.truth("persons"))


def test_full_table_reads_everything_and_later_runs_continue_from_there(
    living: Sandbox, catalog: Record
) -> None:
    first = run(living.url, catalog=catalog).good()
    whole = deepcopy(catalog)
    for entry in whole["streams"]:
        entry["replication_method"] = "FULL_TABLE"
        for item in entry["metadata"]:
            if not item["breadcrumb"]:
                item["metadata"]["forced-replication-method"] = "FULL_TABLE"
    living.post("/sandbox/clock", {"advance_seconds": 600})
    second = run(living.url, catalog=whole, state=first.state).good()
    for stream in INCREMENTAL:
        assert {row["id"] for row in second.records(stream)} == {row["id"] for row in first.records(stream)}
        assert min(times(second.state, stream)) >= NOW + timedelta(seconds=600)


# start_date


def test_a_start_date_leaves_out_rows_last_updated_before_it(living: Sandbox, catalog: Record) -> None:
    start = NOW - timedelta(days=200)
    done = run(living.url, catalog=catalog, start_date=start.isoformat(), lookback_seconds=0).good()
    for stream in INCREMENTAL:
        wanted = {
            row["id"]
            for row in living.truth(stream)
            if row["update_time"] and datetime.fromisoformat(row["update_time"]) >= start
        }
        got = {row["id"] for row in done.records(stream)}
        assert wanted <= got
        assert got < {row["id"] for row in living.truth(stream)} or got == wanted


def test_a_start_date_never_moves_a_bookmark_back(living: Sandbox, catalog: Record) -> None:
    first = run(living.url, catalog=catalog).good()
    living.post("/sandbox/stats/reset")
    run(living.url, catalog=catalog, state=first.state, start_date="2020-01-01").good()
    assert all("2020" not in seen["query"].get("updated_since", "") for seen in living.requests())


@pytest.mark.parametrize("start", ["0001-01-01", "0001-01-01T00:00:30Z", "0999-06-01", "1970-01-01"])
def test_the_earliest_start_dates_select_all_rows_with_a_time(living: Sandbox, start: str) -> None:
    chosen = select(discover(living.url), "persons", "notes")
    done = run(living.url, catalog=chosen, start_date=start).good()
    for stream in ("persons", "notes"):
        wanted = {row["id"] for row in living.truth(stream) if row["update_time"]}
        assert {row["id"] for row in done.records(stream)} >= wanted


# Invalid states


def sentence(error: BaseException | None, *words: str) -> None:
    assert isinstance(error, PipedriveError), repr(error)
    assert "\n" not in str(error)
    for word in words:
        assert word in str(error)


def test_a_bookmark_in_the_future_is_reported(living: Sandbox) -> None:
    chosen = select(discover(living.url), "persons")
    state = {
        "bookmarks": {
            "persons": {"replication_key": "update_time", "replication_key_value": "2099-01-01T00:00:00Z"}
        }
    }
    done = run(living.url, catalog=chosen, state=state)
    sentence(done.error, "persons", "2099-01-01T00:00:00Z", "later than Pipedrive's clock")
    assert done.records("persons") == []


def test_a_start_date_in_the_future_is_reported(living: Sandbox) -> None:
    done = run(living.url, catalog=select(discover(living.url), "persons"), start_date="2099-01-01")
    sentence(done.error, "2099-01-01", "start_date")


def test_a_bookmark_a_few_minutes_ahead_is_accepted(living: Sandbox) -> None:
    ahead = (NOW + timedelta(minutes=50)).isoformat()
    state = {"bookmarks": {"persons": {"replication_key": "update_time", "replication_key_value": ahead}}}
    run(living.url, catalog=select(discover(living.url), "persons"), state=state).good()


BROKEN = [
    {"replication_key": "update_time", "replication_key_value": "yesterday"},
    {"replication_key": "update_time", "replication_key_value": 1_700_000_000},
    {"replication_key": "update_time", "replication_key_value": ["2026-01-01T00:00:00Z"]},
    {"first_load": {"began": "yesterday"}},
    {"first_load": {"began": 5}},
    {"first_load": "here"},
    {"first_load": 5},
    {"first_load": ["cursor"]},
    {"custom_fields": ["cnpj"]},
    {"custom_fields": {"de984e915402bdf0c291df5705bfdaf2f88bb863": "cnpj"}},
    {"custom_fields": {"de984e915402bdf0c291df5705bfdaf2f88bb863": {}}},
]


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: str(broken)[:60])
def test_a_malformed_state_is_reported(living: Sandbox, broken: Record) -> None:
    chosen = select(discover(living.url), "organizations")
    done = run(living.url, catalog=chosen, state={"bookmarks": {"organizations": broken}})
    sentence(done.error, "organizations", "state")
    assert done.records("organizations") == []


@pytest.mark.parametrize(
    "place", [{"start": "x"}, {"start": -5, "last_id": 1}, {"start": 10**9, "last_id": "x"}, {"start": None}]
)
def test_a_malformed_place_restarts_the_walk_or_is_reported(living: Sandbox, place: Record) -> None:
    chosen = select(discover(living.url), "notes")
    state = {"bookmarks": {"notes": {"first_load": {"began": "2026-01-01T00:00:00Z", **place}}}}
    done = run(living.url, catalog=chosen, state=state)
    if done.error:
        sentence(done.error)
    else:
        assert {row["id"] for row in done.records("notes")} == {row["id"] for row in living.truth("notes")}


@pytest.mark.parametrize("value", ["2026-02-30T00:00:00Z", "9999-12-31T23:59:59-05:00", {"a": 1}, 5, "never"])
def test_a_record_with_a_malformed_update_time_does_not_move_the_bookmark(value: Any) -> None:
    rows = [{"id": 1, "update_time": "2026-11-01T00:00:00Z"}, {"id": 2, "update_time": value}]
    with fake(account({"/api/v2/persons": rows})) as server:
        chosen = select(discover(server.url), "persons", "rejected_values")
        first = run(server.url, catalog=chosen).good()
        second = run(server.url, catalog=chosen, state=first.state).good()
    for done in (first, second):
        assert [row["id"] for row in done.records("persons")] == [1, 2]
        assert len(done.records("rejected_values")) == 1
        assert times(done.state, "persons") <= [datetime(2026, 11, 22, 1, tzinfo=UTC)]


@pytest.mark.parametrize("far", ["9999-12-31T23:59:59Z", "2099-01-01T00:00:00Z"])
def test_a_record_from_the_future_does_not_move_the_bookmark_there(far: str) -> None:
    rows = [{"id": 1, "update_time": "2026-11-01T00:00:00Z"}, {"id": 2, "update_time": far}]
    with fake(account({"/api/v2/persons": rows})) as server:
        chosen = select(discover(server.url), "persons")
        state = run(server.url, catalog=chosen).good().state
        for _ in range(2):
            state = run(server.url, catalog=chosen, state=state).good().state
    assert times(state, "persons") == [datetime(2026, 11, 22, 1, tzinfo=UTC)]


def test_an_unsorted_answer_saves_no_place() -> None:
    """The server ignores the order, so a state within the walk must not be later than any unread row."""
    rows = [{"id": n, "update_time": f"2026-11-{(n * 7) % 20 + 1:02}T00:00:00Z"} for n in range(1, 20)]

    def page(asked: Asked) -> Say | None:
        start = int(asked.params.get("cursor", 0))
        following = str(start + 5) if start + 5 < len(rows) else None
        if asked.path != "/api/v2/persons":
            return None
        return say({"data": rows[start : start + 5], "additional_data": {"next_cursor": following}})

    with fake(account({}, spoil=page)) as server:
        chosen = select(discover(server.url), "persons")
        done = run(server.url, catalog=chosen, start_date="2026-10-01").good()
    for kept, state in cuts(done):
        if "persons" in state["bookmarks"] and "replication_key_value" in state["bookmarks"]["persons"]:
            seen = {key[0] for key in replay(kept).get("persons", {})}
            unseen = [row["update_time"] for row in rows if row["id"] not in seen]
            bookmark = state["bookmarks"]["persons"]["replication_key_value"]
            assert all(bookmark <= moment for moment in unseen)


@pytest.mark.parametrize(("first", "then"), [("archive", "unarchive"), ("unarchive", "archive")])
@pytest.mark.parametrize("listing", ["deals", "deals/archived"])
def test_a_complete_pass_reads_rows_that_move_between_lists_meanwhile(
    living: Sandbox, first: str, then: str, listing: str
) -> None:
    """Otherwise a deal that moves from the list read last to the one read first would count as deleted."""
    chosen = select(discover(living.url), "deals")
    deals = [deal["id"] for deal in living.truth("deals") if not deal["is_deleted"]][:20]
    for deal in deals:
        living.post(f"/sandbox/deals/{deal}/{first}", {})
    state = run(living.url, catalog=chosen).good().state
    living.post("/sandbox/clock", {"advance_seconds": 600})
    for deal in deals:
        call = {"method": "POST", "path": f"/sandbox/deals/{deal}/{then}"}
        living.post("/sandbox/faults", {"kind": "change", "path": rf"/{listing}\?", "at": [1], "call": call})
    done = run(living.url, catalog=chosen, state=state, reconcile=True, concurrency=1).good()
    assert done.of("ACTIVATE_VERSION")
    assert {row["id"] for row in done.records("deals")} == {deal["id"] for deal in living.truth("deals")}
