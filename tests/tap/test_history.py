# Over 400 lines: reading, resuming and numbering of histories use the same small account and its truth.
"""Histories: every change of a record once, under its own key, however the log is read."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pipedrive_sandbox.testing import NOW, Sandbox
from tap_pipedrive import listings, sync
from tap_pipedrive.history import ChangeListing
from tap_pipedrive.listings import CursorListing
from tap_pipedrive.parents import Parents

from .harness import Asked, Record, Run, Say, account, discover, fake, run, say, select

LOG = "/changelog"
WHAT = ("field_key", "old_value", "new_value", "actor_user_id", "change_source", "is_bulk_update_flag")


@pytest.fixture
def living() -> Iterator[Sandbox]:
    """An account that belongs to one test only and has no rate limit."""
    with Sandbox(deals=60, burst=1000) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def catalog(shared: Sandbox) -> Record:
    return select(discover(shared.url), "deals", "deal_changes")


def changes(*runs: Run, stream: str = "deal_changes") -> dict[str, Record]:
    """Return changes by key, where the last one wins."""
    return {row["change_id"]: row for done in runs for row in done.records(stream)}


def asked(sandbox: Sandbox) -> list[int]:
    """Return the record ids whose logs were requested, page by page."""
    return [int(seen["path"].split("/")[-2]) for seen in sandbox.requests(LOG)]


def logs(rows: Sequence[Record], key: str) -> dict[int, list[tuple[Any, ...]]]:
    """Return the changes of each record in order, with times parsed."""
    found: dict[int, list[tuple[Any, ...]]] = defaultdict(list)
    for row in rows:
        what = (None if row[column] == "" else row[column] for column in WHAT)
        found[row[key]].append((row["sequence"], datetime.fromisoformat(row["time"]), *what))
    return found


def truth(
    sandbox: Sandbox, *, only: str | None = "stage_id", entity: str = "deal", key: str = "deal_id"
) -> dict[int, list[tuple[Any, ...]]]:
    """Return the same from the account itself: changes are numbered from the oldest, over all fields."""
    rows: list[Record] = []
    numbers: dict[int, int] = defaultdict(int)
    for row in sandbox.truth(f"{entity}_changes"):
        numbers[row[key]] += 1
        if only in (None, row["field_key"]):
            rows.append({**row, "sequence": numbers[row[key]]})
    return logs(rows, key)


def assert_is_the_truth(sandbox: Sandbox, found: dict[str, Record], *, only: str | None = "stage_id") -> None:
    ordered = sorted(found.values(), key=lambda row: (row["deal_id"], row["sequence"]))
    assert logs(ordered, "deal_id") == truth(sandbox, only=only)


def move(sandbox: Sandbox, deal: int, *stages: int, at: datetime | None = None) -> None:
    """Move a deal through stages, within one second if `at` is given."""
    for stage in stages:
        if at:
            sandbox.post("/sandbox/clock", {"set": at.isoformat()})
        sandbox.post(f"/sandbox/deals/{deal}/move", {"stage_id": stage})


def open_deal(sandbox: Sandbox, *, moved: bool) -> Record:
    """Return a deal that can be moved."""
    return next(
        row
        for row in sandbox.truth("deals")
        if row["status"] == "open"
        and not row["is_archived"]
        and not row["is_deleted"]
        and row["update_time"]
        and bool(row["stage_change_time"]) == moved
    )


def other_stages(sandbox: Sandbox, deal: Record) -> list[int]:
    """Return stages of the deal's pipeline, its present one first."""
    stages = [row["id"] for row in sandbox.truth("stages") if row["pipeline_id"] == deal["pipeline_id"]]
    return [deal["stage_id"], *(id_ for id_ in stages if id_ != deal["stage_id"])]


# What is read, and what it costs


@pytest.mark.parametrize(("history", "only"), [("stage", "stage_id"), ("all", None)])
def test_the_history_equals_the_account(
    shared: Sandbox, catalog: Record, history: str, only: str | None
) -> None:
    done = run(shared.url, catalog=catalog, history=history).good()
    assert len(done.records("deal_changes")) == len(changes(done)) > 100
    assert_is_the_truth(shared, changes(done), only=only)


def test_only_stage_changes_are_read_by_default(shared: Sandbox, catalog: Record) -> None:
    done = run(shared.url, catalog=catalog).good()
    assert {row["field_key"] for row in done.records("deal_changes")} == {"stage_id"}


def test_the_setting_all_includes_custom_fields(shared: Sandbox, catalog: Record) -> None:
    done = run(shared.url, catalog=catalog, history="all").good()
    assert any(len(row["field_key"]) >= 40 for row in done.records("deal_changes"))


@pytest.mark.parametrize("entity", ["person", "organization"])
def test_changes_of_contacts_equal_the_account(shared: Sandbox, entity: str) -> None:
    chosen = select(discover(shared.url), f"{entity}s", f"{entity}_changes")
    done = run(shared.url, catalog=chosen).good()
    rows = done.records(f"{entity}_changes")
    assert len({row["change_id"] for row in rows}) == len(rows) > 10
    key = {"person": "person_id", "organization": "org_id"}[entity]
    found = sorted(rows, key=lambda row: row["sequence"])
    assert logs(found, f"{entity}_id") == truth(shared, only=None, entity=entity, key=key)


def test_a_deal_that_never_moved_costs_nothing(living: Sandbox, catalog: Record) -> None:
    run(living.url, catalog=catalog).good()
    moved = {row["id"] for row in living.truth("deals") if row["stage_change_time"]}
    assert len(moved) < len(living.truth("deals"))
    assert sorted(asked(living)) == sorted(moved)
    spent = sum(line["tokens"] for name, line in living.stats()["endpoints"].items() if LOG in name)
    assert spent == 20 * len(moved)


def test_the_setting_all_includes_changes_in_the_second_in_which_the_deal_was_added(
    living: Sandbox, catalog: Record
) -> None:
    second = NOW + timedelta(hours=1)
    living.post("/sandbox/clock", {"set": second.isoformat()})
    model = open_deal(living, moved=False)
    given = {"title": "Added by an automation", "stage_id": model["stage_id"]}
    deal = living.post("/sandbox/records/deals", given)["id"]
    living.post("/sandbox/clock", {"set": second.isoformat()})
    living.patch(f"/sandbox/records/deals/{deal}", {"title": "Changed by it"})
    added = next(row for row in living.truth("deals") if row["id"] == deal)
    assert added["update_time"] == added["add_time"]
    done = run(living.url, catalog=catalog, history="all").good()
    assert [row["field_key"] for row in done.records("deal_changes") if row["deal_id"] == deal] == ["title"]
    assert_is_the_truth(living, changes(done), only=None)


def test_no_call_is_made_if_nothing_changed(living: Sandbox, catalog: Record) -> None:
    state = run(living.url, catalog=catalog).good().state
    living.post("/sandbox/clock", {"advance_seconds": 600})
    living.post("/sandbox/change", {"share": 0.3, "kinds": ["update"], "entities": ["persons"]})
    living.post("/sandbox/stats/reset")
    assert run(living.url, catalog=catalog, state=state).good().records("deal_changes") == []
    assert asked(living) == []


def test_the_setting_none_reads_no_history(living: Sandbox, catalog: Record) -> None:
    done = run(living.url, catalog=catalog, history="none").good()
    assert done.records("deal_changes") == []
    assert asked(living) == []


def test_a_deal_with_other_changes_does_not_have_its_stages_read_again(
    living: Sandbox, catalog: Record
) -> None:
    state = run(living.url, catalog=catalog).good().state
    living.post("/sandbox/clock", {"advance_seconds": 600})
    deal = open_deal(living, moved=True)
    living.patch(f"/sandbox/records/deals/{deal['id']}", {"title": "Changed"})
    living.post("/sandbox/stats/reset")
    run(living.url, catalog=catalog, state=state).good()
    assert asked(living) == []


# An account that changes during the run


@pytest.mark.parametrize("moved", [True, False], ids=["moved before", "never moved before"])
def test_a_later_move_of_an_old_deal_is_read(living: Sandbox, catalog: Record, moved: bool) -> None:
    first = run(living.url, catalog=catalog).good()
    living.post("/sandbox/clock", {"advance_seconds": 15 * 86400})
    quiet = run(living.url, catalog=catalog, state=first.state).good()
    deal = open_deal(living, moved=moved)
    move(living, deal["id"], other_stages(living, deal)[1])
    living.post("/sandbox/stats/reset")
    second = run(living.url, catalog=catalog, state=quiet.state).good()
    assert asked(living) == [deal["id"]]
    assert changes(first).keys() < changes(first, second).keys()
    assert_is_the_truth(living, changes(first, second))


@pytest.mark.parametrize("deal_was_moved", [True, False])
def test_stages_entered_again_within_a_second_are_all_kept(
    living: Sandbox, catalog: Record, deal_was_moved: bool
) -> None:
    deal = open_deal(living, moved=deal_was_moved)
    here, there, *_ = other_stages(living, deal)
    move(living, deal["id"], *[there, here] * 3, there, at=NOW + timedelta(hours=1))
    done = run(living.url, catalog=catalog).good()
    last = sorted(
        (row for row in changes(done).values() if row["deal_id"] == deal["id"]), key=lambda r: r["sequence"]
    )[-7:]
    ways = [(row["old_value"], row["new_value"]) for row in last]
    assert ways == [(str(here), str(there)), (str(there), str(here))] * 3 + [(str(here), str(there))]
    assert len({row["time"] for row in last}) == 1
    assert_is_the_truth(living, changes(done))


def test_a_stage_entered_again_within_a_second_between_two_runs_is_kept(
    living: Sandbox, catalog: Record
) -> None:
    """The first run sees half of what happens in that second."""
    deal = open_deal(living, moved=True)
    here, there, *_ = other_stages(living, deal)
    moment = NOW + timedelta(hours=1)
    move(living, deal["id"], there, here, at=moment)
    first = run(living.url, catalog=catalog).good()
    move(living, deal["id"], there, here, there, at=moment)
    second = run(living.url, catalog=catalog, state=first.state).good()
    assert changes(first).keys() < changes(first, second).keys()
    assert_is_the_truth(living, changes(first, second))


def test_a_second_run_without_changes_adds_nothing(shared: Sandbox, catalog: Record) -> None:
    first, second = (run(shared.url, catalog=catalog, history="all").good() for _ in range(2))
    assert changes(first) == changes(second)


def test_keys_are_the_same_in_every_process(shared: Sandbox, catalog: Record, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"api_url": shared.url, "api_token": shared.token}))
    (tmp_path / "catalog.json").write_text(json.dumps(catalog, default=str))
    tap = Path(sys.executable).with_name("tap-pipedrive")
    command: list[str | Path] = [
        tap,
        "--config",
        tmp_path / "config.json",
        "--catalog",
        tmp_path / "catalog.json",
    ]
    found = []
    for seed in "0", "1":
        environment = os.environ | {"PYTHONHASHSEED": seed, "TZ": "Asia/Tokyo" if seed == "1" else "UTC"}
        out = subprocess.run(command, env=environment, capture_output=True, check=True).stdout
        found.append(changes(Run([json.loads(line) for line in out.splitlines()])))
    assert found[0] == found[1] == changes(run(shared.url, catalog=catalog).good())
    assert found[0]


@pytest.mark.parametrize("page", [1, 3])
def test_a_move_between_two_pages_of_a_log_causes_no_duplicates(
    living: Sandbox, catalog: Record, page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows of a log shift when a change is added, so that the last row of a page is sent again."""
    monkeypatch.setattr(listings, "PAGE", 3)
    deal = open_deal(living, moved=True)
    here, there, *_ = other_stages(living, deal)
    move(living, deal["id"], *[there, here] * 5)
    for stage in (there, here):
        call = {"path": f"/sandbox/deals/{deal['id']}/move", "json": {"stage_id": stage}}
        fault = {"kind": "change", "path": f"/deals/{deal['id']}/changelog", "at": [page + (stage == here)]}
        living.post("/sandbox/faults", {**fault, "call": call})
    first = run(living.url, catalog=catalog, history="all").good()
    assert asked(living).count(deal["id"]) >= 3
    living.delete("/sandbox/faults")
    second = run(living.url, catalog=catalog, history="all", state=first.state).good()
    assert_is_the_truth(living, changes(first, second), only=None)


# Changed settings and interrupted runs


def test_switching_from_stages_to_all_keeps_the_keys(living: Sandbox, catalog: Record) -> None:
    stages = run(living.url, catalog=catalog).good()
    living.post("/sandbox/clock", {"advance_seconds": 86400})
    everything = run(living.url, catalog=catalog, history="all", state=stages.state).good()
    assert changes(stages).keys() < changes(everything).keys()
    assert all(changes(everything)[key] == row for key, row in changes(stages).items())
    assert_is_the_truth(living, changes(everything), only=None)
    deal = open_deal(living, moved=True)
    move(living, deal["id"], other_stages(living, deal)[1])
    back = run(living.url, catalog=catalog, history="stage", state=everything.state).good()
    assert_is_the_truth(living, changes(stages, back))


def test_a_history_that_is_selected_later_is_loaded_whole(living: Sandbox, catalog: Record) -> None:
    state = run(living.url, catalog=catalog, history="none").good().state
    living.post("/sandbox/clock", {"advance_seconds": 86400})
    state = run(living.url, catalog=select(catalog, "deals"), state=state).good().state
    alone = run(living.url, catalog=select(catalog, "deal_changes"), state=state).good()
    assert_is_the_truth(living, changes(alone))


@pytest.mark.parametrize("concurrency", [1, 8])
def test_a_load_that_ends_at_any_call_continues_there(
    living: Sandbox, catalog: Record, concurrency: int, caplog: pytest.LogCaptureFixture
) -> None:
    run(living.url, catalog=catalog).good()
    calls = len(asked(living))
    assert calls > 40
    for call in range(1, calls + 1, 15):
        living.post("/sandbox/faults", {"kind": "daily429", "path": LOG, "at": [call]})
        first = run(living.url, catalog=catalog, concurrency=concurrency).good()
        assert "Left undone: deal_changes" in caplog.text
        caplog.clear()
        living.delete("/sandbox/faults")
        living.post("/sandbox/stats/reset")
        second = run(living.url, catalog=catalog, state=first.state).good()
        assert_is_the_truth(living, changes(first, second))
        assert len(asked(living)) <= calls - call + 1 + concurrency


def test_a_budget_for_a_few_deals_a_day_completes_the_history(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is complete on the day that the run before had estimated, or on the day after."""
    with Sandbox(deals=200, burst=1000, daily_budget=2000) as sandbox:
        catalog = select(discover(sandbox.url), "deals", "deal_changes", "run_statements")
        runs: list[Run] = []
        foretold: list[int] = []
        while not runs or "Left undone" in caplog.text:
            caplog.clear()
            sandbox.post("/sandbox/clock", {"advance_seconds": 86400})
            runs.append(run(sandbox.url, catalog=catalog, state=runs[-1].state if runs else None).good())
            assert len(runs) < 20, "no headway"
            (said,) = [row for row in runs[-1].records("run_statements") if row["stream"] == "deal_changes"]
            if left := said["left_count"]:
                foretold.append(said["days_left"])
                assert said["days_left"] == math.ceil(left * 20 / 1000)
                days = f"{said['days_left']} day" + "s" * (said["days_left"] > 1)
                assert f"deal_changes ({left} records, done in about {days})" in caplog.text
        assert len(foretold) > 1
        assert foretold[0] <= len(runs) - 1 <= foretold[0] + 1
        assert_is_the_truth(sandbox, changes(*runs))


# Unusual answers


@pytest.mark.parametrize("status", [404, 410, 400])
def test_a_refused_log_does_not_end_the_stream(
    living: Sandbox, catalog: Record, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    refused = [row["id"] for row in living.truth("deals") if row["stage_change_time"]][5:7]
    for deal in refused:
        living.post("/sandbox/faults", {"kind": "status", "status": status, "path": f"/deals/{deal}/ch"})
    done = run(living.url, catalog=catalog).good()
    assert {row["deal_id"] for row in done.records("deal_changes")} == truth(living).keys() - set(refused)
    said = [line.getMessage() for line in caplog.records if line.levelname == "WARNING"]
    unread = refused if status == 400 else []
    assert len([line for line in said if "deal_changes" in line]) == len(unread[:1])
    assert done.state["bookmarks"]["deal_changes"].get("unread", []) == unread


def test_a_literal_null_is_requested_again(living: Sandbox, catalog: Record, sleeps: list[float]) -> None:
    living.post("/sandbox/faults", {"kind": "null", "path": LOG, "every": 3})
    done = run(living.url, catalog=catalog).good()
    assert_is_the_truth(living, changes(done))


def deals(*ids: int) -> list[Record]:
    moved = "2026-11-02T00:00:00Z"
    return [{"id": id_, "stage_change_time": moved, "update_time": moved} for id_ in ids]


def change(number: int, **differing: Any) -> Record:
    moment = datetime(2026, 11, 1, tzinfo=UTC) + timedelta(minutes=number)
    return {
        "field_key": "stage_id",
        "old_value": str(number),
        "new_value": str(number + 1),
        "actor_user_id": 7,
        "time": moment.strftime("%Y-%m-%d %H:%M:%S"),
    } | differing


@pytest.mark.parametrize("repeated", [0, 1])
def test_a_log_of_a_thousand_lines_is_read_to_its_end(catalog: Record, repeated: int) -> None:
    log = [change(number) for number in range(1234)][::-1]

    def page(request: Asked) -> Say | None:
        if LOG not in request.path:
            return None
        start, limit = int(request.params.get("cursor", 0)), int(request.params["limit"])
        end = start + limit
        body = {"data": log[max(start - repeated, 0) : end]}
        return say({**body, "additional_data": {"next_cursor": str(end) if end < len(log) else None}})

    with fake(account({"/api/v2/deals": deals(1)}, spoil=page)) as server:
        done = run(server.url, catalog=catalog).good()
        assert sum(LOG in seen.path for seen in server.asked) == 3
    assert [(row["sequence"], row["old_value"]) for row in done.records("deal_changes")] == [
        (number + 1, str(number)) for number in range(1234)
    ]


@pytest.mark.parametrize("body", [{"data": None}, {"success": True, "data": [], "additional_data": None}])
def test_an_empty_log_causes_no_error(catalog: Record, body: Record) -> None:
    def empty(request: Asked) -> Say | None:
        return say(body) if LOG in request.path else None

    with fake(account({"/api/v2/deals": deals(1, 2)}, spoil=empty)) as server:
        done = run(server.url, catalog=catalog).good()
    assert done.records("deal_changes") == []


# Numbers and keys


LISTING = ChangeListing(
    CursorListing("/api/v1/deals/{id}/changelog", price=20),
    Parents("deals", only_if_changed=True),
    key="deal_id",
)
STAGES = ChangeListing(
    CursorListing("/api/v1/deals/{id}/changelog", price=20),
    Parents("deals"),
    key="deal_id",
    only_field="stage_id",
)


@st.composite
def histories(draw: st.DrawFn) -> list[Record]:
    """Return a log as it is written, oldest change first: each change starts from the field's present value."""
    values: dict[str, str | None] = {"stage_id": "1", "owner": None}
    second = 0
    log: list[Record] = []
    steps = st.tuples(
        st.sampled_from(sorted(values)),
        st.sampled_from(["1", "2", None]),
        st.integers(0, 1),
        st.integers(1, 2),
    )
    for field, new, later, actor in draw(st.lists(steps, max_size=20)):
        second += later
        if new != values[field]:
            row = change(0, field_key=field, old_value=values[field], new_value=new, actor_user_id=actor)
            log.append({**row, "time": f"2026-11-01 00:00:{second:02}", "place": len(log)})
            values[field] = new
    return log


def read(log: list[Record], listing: ChangeListing = LISTING, deal: int = 1) -> list[Record]:
    """Read a log that is sent newest first; `place` is removed because Pipedrive does not send it."""
    rows: list[Record] = list(listing.of_parent(deal, log[::-1]))
    return rows


@given(histories())
def test_each_change_has_its_number_and_its_own_key(log: list[Record]) -> None:
    rows = read(log)
    assert [row["place"] for row in rows] == [row["place"] for row in log]
    assert [row["sequence"] for row in rows] == list(range(1, len(log) + 1))
    assert len({row["change_id"] for row in rows}) == len(log)
    assert not {row["change_id"] for row in rows} & {row["change_id"] for row in read(log, deal=2)}


@given(histories(), st.integers(0, 20))
def test_later_changes_do_not_alter_the_keys_of_earlier_ones(log: list[Record], length: int) -> None:
    early = read(log[:length])
    assert [row["change_id"] for row in read(log)][: len(early)] == [row["change_id"] for row in early]


@given(histories())
def test_stage_changes_have_the_same_numbers_and_keys_as_among_all_changes(log: list[Record]) -> None:
    assert read(log, STAGES) == [row for row in read(log) if row["field_key"] == "stage_id"]


@given(histories(), st.sets(st.integers(0, 19)))
def test_a_row_repeated_between_two_pages_is_counted_once(log: list[Record], seams: set[int]) -> None:
    doubled = [row for place, row in enumerate(log) for _ in range(2 if place in seams else 1)]
    assert [(row["sequence"], row["change_id"]) for row in read(doubled)] == [
        (row["sequence"], row["change_id"]) for row in read(log)
    ]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)
lines = st.dictionaries(st.sampled_from(["time", *WHAT, "change_id", "deal_id"]), json_values)


@settings(max_examples=60)
@given(st.lists(json_values | lines, max_size=6))
def test_malformed_log_lines_stop_no_reading(log: list[Any]) -> None:
    """Lines that are not objects are passed on to be rejected, and no line can replace the tap's own keys."""
    rows = LISTING.of_parent(1, log)
    assert len([row for row in rows if not isinstance(row, dict)]) == len(
        [row for row in log if not isinstance(row, dict)]
    )
    ours = [row for row in rows if isinstance(row, dict)]
    assert all(row["deal_id"] == 1 and len(row["change_id"]) == 32 for row in ours)
    assert [row["sequence"] for row in ours] == list(range(1, len(ours) + 1))


def test_a_long_walk_logs_its_progress_and_the_time_left(
    shared: Sandbox, catalog: Record, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sync, "PROGRESS_SECONDS", -1)
    with caplog.at_level("INFO"):
        run(shared.url, catalog=catalog).good()
    said = [one.getMessage() for one in caplog.records if "deal_changes: " in one.getMessage()]
    ahead = [
        int(found[1])
        for text in said
        if (
            found := re.fullmatch(
                r"deal_changes: [\d,]+ rows so far, [\d,]+ API tokens in all, (\d+) s to go", text
            )
        )
    ]
    assert len(ahead) > 10
    assert ahead[-1] == 0


SPELT: list[Record] = [
    {"time": "2025-01-03T16:31:46Z"},
    {"time": "2025-01-03T13:31:46.000-03:00"},
    {"old_value": 4, "new_value": 5},
    {"actor_user_id": "7"},
    {"actor_user_id": {"id": 7, "name": "Ana"}},
]


@pytest.mark.parametrize("spelt", SPELT, ids=lambda spelt: next(iter(spelt)))
def test_a_change_has_the_same_key_however_it_is_formatted(spelt: Record) -> None:
    row = {"field_key": "stage_id", "old_value": "4", "new_value": "5", "actor_user_id": 7}
    log = [{**row, "time": "2025-01-03 16:31:46"}]
    assert read([{**log[0], **spelt}])[0]["change_id"] == read(log)[0]["change_id"]


def test_keys_equal_those_in_existing_warehouses() -> None:
    """The expected keys hash a change as Pipedrive documents it and as earlier versions of the tap stored it."""
    row = {"field_key": "stage_id", "old_value": None, "new_value": "5", "actor_user_id": 7}
    (change,) = read([{**row, "time": "2025-01-03 16:31:46"}])
    assert change["change_id"] == "8e56ff2a63385360e61fa08ae76a6945"
    participants = ChangeListing(
        CursorListing("/api/v1/deals/{id}/participantsChangelog", price=10),
        Parents("deals"),
        key="deal_id",
        subject="person_id",
        identity=("time", "action", "person_id", "actor_user_id"),
    )
    log = [{"time": "2025-01-03 16:31:46", "action": "added", "person_id": 3, "actor_user_id": 7}]
    (added,) = read(log, participants)
    assert added["change_id"] == "cd3f4bee9efe08aae4cd9ccae66aabda"
    (spelt,) = read([{**log[0], "person_id": "3", "time": "2025-01-03T16:31:46Z"}], participants)
    assert spelt["change_id"] == added["change_id"]
