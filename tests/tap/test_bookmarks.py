# Over 400 lines: each kind of bookmark is tested with the same interruptions.
"""Bookmarks never go back, never pass what was read, and lose nothing wherever a run stops."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pipedrive_sandbox.testing import Sandbox
from tap_pipedrive import listings
from tap_pipedrive.bookmarks import Walk
from tap_pipedrive.children import ChildListing
from tap_pipedrive.client import Request
from tap_pipedrive.errors import PipedriveError
from tap_pipedrive.listings import CursorListing, OffsetListing
from tap_pipedrive.settings import Settings
from tap_pipedrive.source import Listing, Page, Source
from tap_pipedrive.streams.deals import DealProducts

from .harness import TOKEN, FakeClient, Record, Run, discover, replay, run, select, source_of

START = datetime(2026, 11, 22, tzinfo=UTC)


def moment(state: Record) -> datetime | None:
    value = state.get("replication_key_value")
    return datetime.fromisoformat(value) if value else None


class Killed(Exception):
    """The end of a run at one of the states that it wrote."""


# An account whose rows change while they are read


@dataclass
class Living:
    """Rows with a version each; every request takes time and may change one of them."""

    times: list[datetime | None]
    script: Iterator[tuple[int, int]]
    """For each request: the seconds that pass before it, and the row that changes then, if there is one."""
    now: datetime = START
    versions: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.versions = [0] * len(self.times)

    def rows(self) -> list[Record]:
        return [
            {"id": id_, "version": version, "update_time": at and at.isoformat()}
            for id_, (version, at) in enumerate(zip(self.versions, self.times, strict=True))
        ]

    def tick(self) -> None:
        seconds, victim = next(self.script, (0, -1))
        self.now += timedelta(seconds=seconds)
        if 0 <= victim < len(self.times):
            self.versions[victim] += 1
            self.times[victim] = self.now

    def chosen(self, params: Mapping[str, Any]) -> list[Record]:
        """Return the rows that a request selects, in its order."""
        self.tick()
        rows = self.rows()
        if since := params.get("updated_since"):
            start = datetime.fromisoformat(since)
            rows = [row for row in rows if row["update_time"] and self._time(row) >= start]
            return sorted(rows, key=lambda row: (self._time(row), row["id"]))
        return rows

    @staticmethod
    def _time(row: Record) -> datetime:
        return datetime.fromisoformat(row["update_time"])

    def by_cursor(self, _endpoint: str, params: Mapping[str, Any]) -> Record:
        """Page as v2 does: a cursor is the last row's place in the order, and the server stores nothing."""
        rows = self.chosen(params)
        place = (lambda row: [row["update_time"], row["id"]]) if "updated_since" in params else None
        keys = [str(place(row) if place else f"{row['id']:04}") for row in rows]
        if cursor := params.get("cursor"):
            rows = [row for row, key in zip(rows, keys, strict=True) if key > cursor]
            keys = [key for key in keys if key > cursor]
        size = params["limit"]
        following = keys[size - 1] if len(rows) > size else None
        return {"data": rows[:size], "additional_data": {"next_cursor": following}}

    def by_count(self, _endpoint: str, params: Mapping[str, Any]) -> Record:
        """Page as v1 does: offsets count from the start of the list as it is at the time of the request."""
        rows = self.chosen(params)
        start, end = params["start"], params["start"] + params["limit"]
        more = {"start": start, "more_items_in_collection": end < len(rows), "next_start": end}
        return {"data": rows[start:end] or None, "additional_data": {"pagination": more}}


class Clocked(FakeClient):
    """Dates its answers by the account's clock."""

    def __init__(self, account: Living, answer: Any) -> None:
        super().__init__(answer)
        self._account = account

    def get(self, request: Request) -> Any:
        return replace(super().get(request), served_at=self._account.now)


def read_once(
    listing: Listing,
    source: Source,
    state: Record,
    held: dict[int, int],
    lookback: int,
    saves: int,
) -> list[Record]:
    """Do one run that is killed at one of its states, and return the states. Rows after the last state are
    lost.
    """
    states: list[Record] = []
    kept = dict(held)

    def save() -> None:
        states.append(deepcopy(state))
        kept.update(held)
        if len(states) == saves:
            raise Killed

    chosen = Settings(api_token=TOKEN, lookback_seconds=lookback)
    make = partial(Walk, "rows", listing, state, bookmark="update_time", is_whole=False, settings=chosen)
    try:
        walk = make()
        again = [walk]
        for one in again:
            for page in one.follow(one.pages(source), save):
                held.update({row["id"]: row["version"] for row in page.rows})
            if one.is_resumed:
                again.append(make())
    except Killed:
        held.clear()
        held.update(kept)
    return states


seconds = st.integers(-5, -1) | st.none()
steps = st.tuples(st.integers(0, 3), st.integers(-6, 9))
LISTINGS: dict[str, tuple[Listing, Any]] = {
    "cursor": (CursorListing("/api/v2/rows", price=10), Living.by_cursor),
    "count": (OffsetListing("/api/v1/rows", price=20), Living.by_count),
}


@pytest.mark.parametrize("paging", LISTINGS)
@settings(max_examples=150, deadline=None)
@given(
    times=st.lists(seconds, max_size=10),
    changes=st.lists(steps, max_size=60),
    ends=st.lists(st.integers(1, 6), max_size=4),
    lookback=st.sampled_from([0, 2]),
)
def test_no_row_is_lost_whenever_runs_end_and_whatever_changes(
    paging: str,
    times: list[int | None],
    changes: list[tuple[int, int]],
    ends: list[int],
    lookback: int,
) -> None:
    started = [None if at is None else START + timedelta(seconds=at) for at in times]
    account = Living(started, iter(changes))
    listing, answer = LISTINGS[paging]
    held: dict[int, int] = {}
    state: Record = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listings, "PAGE", 3)
        for end in [*ends, 0, 0]:
            if not end:
                account.script = iter(())
            client = Clocked(account, partial(answer, account))
            before = moment(state)
            states = read_once(listing, source_of(client), state, held, lookback, end)
            marks = [mark for one in [state, *states] if (mark := moment(one))]
            assert all(old <= new for old, new in pairwise([*([before] if before else []), *marks[1:]]))
            assert all(mark <= account.now for mark in marks)
            state = deepcopy(states[-1])
    assert held == dict(enumerate(account.versions))


# Child streams


@dataclass(frozen=True)
class Batches(Listing):
    """A child's list with what matters for its bookmark."""

    reached: tuple[datetime | None, ...]
    served_at: datetime
    name: str = ""

    @property
    def bookmark(self) -> str:
        return "rows.update_time"

    def pages(self, source: Any, *, since: datetime | None = None, checkpoint: Any) -> Iterator[Page]:
        for second in self.reached:
            if since is None or (second and second >= since):
                yield Page(list, {}, self.served_at, reached=second)
        yield Page(list, {}, self.served_at, reached=self.served_at)


@settings(deadline=None)
@given(
    ages=st.lists(st.integers(-30, 90), min_size=1, max_size=8).map(sorted),
    unknown=st.integers(0, 2),
    lookback=st.sampled_from([0, 60]),
    ends=st.lists(st.integers(1, 9), min_size=1, max_size=5),
)
def test_a_child_bookmark_never_passes_an_unread_parent_nor_goes_back(
    ages: list[int], unknown: int, lookback: int, ends: list[int]
) -> None:
    """This includes parents dated in the future."""
    moved = [START - timedelta(seconds=60 - age) for age in ages]
    listing = Batches((*[None] * unknown, *moved), START)
    state: Record = {}
    asked: set[int] = set()
    for end in ends:
        before = moment(state)
        chosen = Settings(api_token=TOKEN, lookback_seconds=lookback)
        walk = Walk("c", listing, state, bookmark="rows.update_time", is_whole=False, settings=chosen)
        assert not walk.is_resumed, "a child's first load has no place but its bookmark"
        skipped = (
            len(moved)
            + unknown
            - sum(
                walk.since is None or (second is not None and second >= walk.since)
                for second in listing.reached
            )
        )
        pages = walk.follow(listing.pages(None, since=walk.since, checkpoint=walk.checkpoint), lambda: None)
        for number, _ in zip(range(end + 1), pages, strict=False):
            if mark := moment(state):
                assert mark <= START
                assert before is None or mark >= before
                before = mark
                unread = [at for place, at in enumerate(listing.reached) if place not in asked]
                assert None not in unread
                assert all(at is None or at >= mark for at in unread)
            asked.add(number + skipped)


# The whole tap, stopped after any of its states


CHILDREN = ("deal_products", "deal_changes", "person_changes")


@pytest.fixture
def cut_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use many pages and many calls, with a state after each of them."""
    monkeypatch.setattr(listings, "PAGE", 13)
    monkeypatch.setattr("tap_pipedrive.bookmarks.SAVE_SECONDS", -1)
    (listing,) = DealProducts.listings
    assert isinstance(listing, ChildListing)
    monkeypatch.setattr(DealProducts, "listings", (replace(listing, batch=4),))


@pytest.fixture
def living() -> Iterator[Sandbox]:
    """An account that belongs to one test only and has no rate limit."""
    with Sandbox(deals=40, burst=1000) as sandbox:
        yield sandbox


def children_of(sandbox: Sandbox) -> dict[str, set[tuple[Any, ...]]]:
    """Return the rows that each child stream must have; line items only with the keys that change."""
    items = sandbox.truth("deal_products")
    what = ("time", "field_key", "old_value", "new_value")
    return {
        "deal_products": {(row["id"], row["deal_id"], int(row["quantity"] * 1000)) for row in items},
        "deal_changes": {
            (row["deal_id"], *(row[column] for column in what))
            for row in sandbox.truth("deal_changes")
            if row["field_key"] == "stage_id"
        },
        "person_changes": {
            (row["person_id"], *(row[column] or None for column in what))
            for row in sandbox.truth("person_changes")
        },
    }


def held_of(messages: list[Record]) -> dict[str, set[tuple[Any, ...]]]:
    tables = {name: table.values() for name, table in replay(messages).items()}
    what = ("time", "field_key", "old_value", "new_value")
    return {
        "deal_products": {
            (row["id"], row["deal_id"], int(row["quantity"] * 1000))
            for row in tables.get("deal_products", ())
        },
        "deal_changes": {
            (row["deal_id"], *(row[column] for column in what)) for row in tables.get("deal_changes", ())
        },
        "person_changes": {
            (row["person_id"], *(row[column] for column in what)) for row in tables.get("person_changes", ())
        },
    }


def cuts(done: Run, step: int) -> list[tuple[list[Record], Record]]:
    """Yield the messages up to some of the states, with that state."""
    places = [place for place, message in enumerate(done.messages) if message["type"] == "STATE"]
    return [(done.messages[: place + 1], done.messages[place]["value"]) for place in places[::step]]


@pytest.mark.usefixtures("cut_small")
def test_a_first_load_of_children_stopped_at_any_state_is_completed(living: Sandbox) -> None:
    chosen = select(discover(living.url), "deals", "persons", *CHILDREN)
    first = run(living.url, catalog=chosen).good()
    assert held_of(first.messages) == children_of(living)
    points = cuts(first, 11)
    assert len(points) > 5
    for kept, state in points:
        second = run(living.url, catalog=chosen, state=state).good()
        assert held_of(kept + second.messages) == children_of(living)


@pytest.mark.usefixtures("cut_small")
def test_an_incremental_run_of_children_stopped_at_any_state_is_completed(living: Sandbox) -> None:
    chosen = select(discover(living.url), "deals", "persons", *CHILDREN)
    first = run(living.url, catalog=chosen).good()
    for seed in range(5):
        living.post("/sandbox/clock", {"advance_seconds": 900})
        living.post(
            "/sandbox/change",
            {
                "share": 0.2,
                "seed": seed,
                "kinds": ["update"],
                "entities": ["deals", "persons", "deal_products"],
            },
        )
    second = run(living.url, catalog=chosen, state=first.state).good()
    living.post("/sandbox/clock", {"advance_seconds": 900})
    living.post("/sandbox/change", {"share": 0.2, "seed": 9, "kinds": ["update"], "entities": ["deals"]})
    points = cuts(second, 2)
    assert len(points) > 5
    for kept, state in points:
        third = run(living.url, catalog=chosen, state=state).good()
        assert held_of(first.messages + kept + third.messages) == children_of(living)


@pytest.mark.usefixtures("cut_small")
def test_a_child_bookmark_never_goes_back_in_a_real_run(living: Sandbox) -> None:
    """This also holds if each run ends at its first call."""
    chosen = select(discover(living.url), "deals", "deal_products")
    state = run(living.url, catalog=chosen).good().state
    values = [state["bookmarks"]["deal_products"]["replication_key_value"]]
    for seed in range(4):
        living.post("/sandbox/clock", {"advance_seconds": 20})
        living.post(
            "/sandbox/change", {"share": 0.3, "seed": seed, "kinds": ["update"], "entities": ["deals"]}
        )
        living.delete("/sandbox/faults")
        living.post("/sandbox/faults", {"kind": "daily429", "path": "/deals/products", "at": [5 - seed]})
        done = run(living.url, catalog=chosen, state=state, concurrency=1, lookback_seconds=600).good()
        values += [
            message["value"]["bookmarks"]["deal_products"]["replication_key_value"]
            for message in done.of("STATE")
        ]
        state = done.state
    assert values == sorted(values)


@pytest.mark.parametrize("broken", ["yesterday", 5, ["2026-01-01T00:00:00Z"]])
def test_a_malformed_child_bookmark_is_reported_in_one_sentence(living: Sandbox, broken: Any) -> None:
    chosen = select(discover(living.url), "deals", "deal_products")
    state = {"bookmarks": {"deal_products": {"replication_key_value": broken}}}
    done = run(living.url, catalog=chosen, state=state)
    assert isinstance(done.error, PipedriveError)
    assert "deal_products" in str(done.error)


def test_a_child_bookmark_in_the_future_is_reported_in_one_sentence(living: Sandbox) -> None:
    chosen = select(discover(living.url), "deals", "deal_products")
    state = {"bookmarks": {"deal_products": {"replication_key_value": "2099-01-01T00:00:00Z"}}}
    done = run(living.url, catalog=chosen, state=state)
    assert isinstance(done.error, PipedriveError)
    assert "later than Pipedrive's clock" in str(done.error)


# The row count of the last complete pass, which reveals a token that lost rights


def remembered(state: Record, stream: str) -> int:
    """Return the row count of the last complete reading of all lists of a stream."""
    own = state["bookmarks"][stream]
    return sum(one.get("complete_pass_rows", 0) for one in own.get("partitions") or [own])


@pytest.mark.usefixtures("cut_small")
@pytest.mark.parametrize(
    ("path", "at"),
    [(r"/deals\?", 2), ("/deals/archived", 1), ("/deals/products", 3), ("/deals/products", 6), ("/notes", 2)],
)
def test_a_first_load_in_two_runs_is_counted_in_full(living: Sandbox, path: str, at: int) -> None:
    chosen = select(discover(living.url), "deals", "notes", "deal_products")
    living.post("/sandbox/faults", {"kind": "daily429", "path": path, "at": [at]})
    first = run(living.url, catalog=chosen, concurrency=1).good()
    second = run(living.url, catalog=chosen, state=first.state, concurrency=1).good()
    for stream in "deals", "notes", "deal_products":
        rows = len(living.truth(stream))
        assert remembered(first.state, stream) < rows or second.records(stream) == []
        assert rows <= remembered(second.state, stream) <= rows * 1.3, stream


@pytest.mark.usefixtures("cut_small")
@pytest.mark.parametrize("path", ["/deals/archived", "/deals/products", "/persons"])
def test_a_token_that_sees_a_third_of_the_rows_deletes_nothing_in_its_first_reconcile(path: str) -> None:
    """The first load took two runs."""
    with Sandbox(deals=60, burst=1000, tokens=["all"], limited_tokens=["some"]) as sandbox:
        chosen = select(discover(sandbox.url, api_token="all"), "deals", "persons", "deal_products")
        sandbox.post("/sandbox/faults", {"kind": "daily429", "path": path, "at": [1]})
        first = run(sandbox.url, catalog=chosen, token="all").good()
        sandbox.delete("/sandbox/faults")
        second = run(sandbox.url, catalog=chosen, token="all", state=first.state).good()
        third = run(sandbox.url, catalog=chosen, token="some", state=second.state, reconcile=True).good()
        assert third.records("deals")
        assert third.of("ACTIVATE_VERSION") == []
        fourth = run(sandbox.url, catalog=chosen, token="all", state=third.state, reconcile=True).good()
        assert {message["stream"] for message in fourth.of("ACTIVATE_VERSION")} == {
            "deals",
            "persons",
            "deal_products",
        }


def test_a_start_date_does_not_reset_the_row_count(living: Sandbox) -> None:
    chosen = select(discover(living.url), "persons")
    done = run(living.url, catalog=chosen, start_date="2025-01-01").good()
    assert remembered(done.state, "persons") == len(done.records("persons")) > 0
