# Over 400 lines: all kinds of lists are tested with the same faults, pages and servers.
"""Walks over lists: every row that exists throughout is read, whatever changes between two pages."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count, pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pipedrive_sandbox.testing import Sandbox
from tap_pipedrive import guards, listings
from tap_pipedrive.answers import Answer
from tap_pipedrive.auth import ApiToken
from tap_pipedrive.bookmarks import Walk
from tap_pipedrive.client import Client, PageSize, Request
from tap_pipedrive.errors import PipedriveError, Refused
from tap_pipedrive.listings import CursorListing, OffsetListing, WholeListing
from tap_pipedrive.settings import Settings
from tap_pipedrive.source import Listing, Page

from .harness import (
    PRICES,
    RESET,
    TOKEN,
    Asked,
    FakeClient,
    Record,
    Say,
    account,
    discover,
    fake,
    run,
    say,
    select,
    source_of,
)

SOME_PAGE = 5
START = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listings, "PAGE", SOME_PAGE)


def walk(
    listing: Listing,
    answer: Callable[[str, Mapping[str, Any]], Any],
    *,
    since: datetime | None = None,
    checkpoint: Mapping[str, Any] | None = None,
) -> list[Page]:
    source = source_of(FakeClient(answer))
    return list(listing.pages(source, since=since, checkpoint=checkpoint or {}))


LISTINGS = [CursorListing("/x", price=20), OffsetListing("/x", price=20), WholeListing("/x", price=20)]


def rows_of(pages: list[Page]) -> list[Any]:
    return [row for page in pages for row in page.rows]


def script(*bodies: Any) -> Callable[[str, Mapping[str, Any]], Any]:
    """Return bodies in turn and repeat the last one; an exception is raised."""
    number = count()

    def answer(_endpoint: str, _params: Mapping[str, Any]) -> Any:
        body = bodies[min(next(number), len(bodies) - 1)]
        if isinstance(body, Exception):
            raise body
        return body

    return answer


def page(*ids: int, **additional: Any) -> Record:
    return {"success": True, "data": [{"id": id_} for id_ in ids], "additional_data": additional or None}


# Cursors


@pytest.mark.parametrize("last", [{}, {"next_cursor": None}, {"next_cursor": ""}, {"pagination": {}}])
def test_a_cursor_walk_ends_when_there_is_no_next_cursor(last: Record) -> None:
    pages = walk(CursorListing("/x", price=20), script(page(1, next_cursor="a"), page(2, **last)))
    assert [row["id"] for row in rows_of(pages)] == [1, 2]
    assert [dict(one.checkpoint) for one in pages] == [{"cursor": "a"}, {}]


@pytest.mark.parametrize("body", [{"data": None}, {"data": []}, {"data": None, "additional_data": None}])
@pytest.mark.parametrize("listing", LISTINGS)
def test_an_empty_list_has_no_rows(listing: Listing, body: Record) -> None:
    assert rows_of(walk(listing, script(body))) == []


def test_an_empty_page_in_the_middle_does_not_end_a_cursor_walk() -> None:
    pages = walk(
        CursorListing("/x", price=20), script(page(1, next_cursor="a"), page(next_cursor="b"), page(2))
    )
    assert [row["id"] for row in rows_of(pages)] == [1, 2]


@pytest.mark.parametrize("circle", ["a", "ab", "abc"])
def test_a_repeated_cursor_is_an_error(circle: str) -> None:
    number = count()
    with pytest.raises(PipedriveError, match=r"/x .*cursor"):
        walk(
            CursorListing("/x", price=20), lambda *_: page(1, next_cursor=circle[next(number) % len(circle)])
        )


@pytest.mark.parametrize("cycle", [1, 2, 5])
@pytest.mark.parametrize("resumed", [{}, {"cursor": "old"}])
def test_a_repeated_page_under_a_new_cursor_is_an_error(cycle: int, resumed: Record) -> None:
    number = count()
    client = FakeClient(lambda *_: page((at := next(number)) % cycle, next_cursor=f"c{at}"))
    with pytest.raises(PipedriveError, match=r"/x .*same pages again"):
        list(CursorListing("/x", price=20).pages(source_of(client), checkpoint=resumed))
    assert len(client.asked) == cycle + guards.REPEATED_PAGES + 1


@pytest.mark.parametrize("data", ["[]", "null", "[ \n ]"])
def test_endless_empty_pages_are_an_error_after_a_few(data: str) -> None:
    number = count()
    rows = [{"id": 1}]

    def answer(*_: Any) -> Record:
        at = next(number)
        return {"data": rows if at == 3 else json.loads(data), "additional_data": {"next_cursor": f"c{at}"}}

    client = FakeClient(answer)
    found: list[Page] = []
    with pytest.raises(PipedriveError, match=r"/x .*without rows"):
        found.extend(CursorListing("/x", price=20).pages(source_of(client), checkpoint={}))
    assert rows_of(found) == rows
    assert len(client.asked) == 4 + guards.EMPTY_PAGES + 1


def test_empty_pages_before_each_row_do_not_end_a_cursor_walk() -> None:
    bodies = [
        page(*([number] if number % guards.EMPTY_PAGES == 0 else []), next_cursor=f"c{number}")
        for number in range(1, 6 * guards.EMPTY_PAGES)
    ]
    pages = walk(CursorListing("/x", price=20), script(*bodies, page(1000)))
    assert [row["id"] for row in rows_of(pages)] == [10, 20, 30, 40, 50, 1000]


@pytest.mark.parametrize(
    "listing", [OffsetListing("/x", price=20), OffsetListing("/x", price=20, is_sortable=False), LISTINGS[2]]
)
@pytest.mark.parametrize("data", [[{"name": "A"}] * 3, [5, 6], [{"id": 1}, {"id": 2}, {"id": 1}]])
def test_a_server_that_ignores_the_offset_is_detected_after_a_few_pages(
    listing: Listing, data: list[Any]
) -> None:
    """Rows without an id cannot show where a page begins, and the last row may be equal to the first."""
    client = FakeClient(lambda *_: {"data": data, "additional_data": flat(0, 500, True)})
    with pytest.raises(PipedriveError, match="/x "):
        list(listing.pages(source_of(client), checkpoint={}))
    assert len(client.asked) <= 2 + 2 * listings.RESTARTS


def test_a_stream_with_endless_pages_costs_few_tokens(shared: Sandbox) -> None:
    number = count()

    def endless(request: Asked) -> Say | None:
        if request.path not in ("/api/v2/persons", "/api/v1/notes"):
            return None
        more = {"next_cursor": f"c{next(number)}"} | flat(int(request.params.get("start", 0)), 500, True)
        return say({"success": True, "data": [{"id": 1}], "additional_data": more})

    for stream in ("persons", "notes"):
        with fake(account({}, spoil=endless)) as server:
            done = run(server.url, catalog=select(discover(shared.url), stream))
        assert isinstance(done.error, PipedriveError)
        assert len([1 for seen in server.asked if seen.path.endswith(stream)]) <= 5


@pytest.mark.parametrize("cursor", [5, ["a"], {"a": 1}, True])
def test_a_cursor_that_is_not_text_is_an_error(cursor: Any) -> None:
    with pytest.raises(PipedriveError, match=r"/x .*cursor"):
        walk(CursorListing("/x", price=20), script(page(1, next_cursor=cursor)))


def test_a_refused_cursor_from_the_state_restarts_the_walk() -> None:
    client = FakeClient(script(Refused("400"), page(1, next_cursor="b"), page(2)))
    source = source_of(client)
    pages = list(CursorListing("/x", price=20).pages(source, checkpoint={"cursor": "old"}))
    assert [row["id"] for row in rows_of(pages)] == [1, 2]
    assert [asked.get("cursor") for asked in client.asked] == ["old", None, "b"]


def test_any_other_refusal_ends_the_walk() -> None:
    with pytest.raises(Refused):
        walk(CursorListing("/x", price=20), script(page(1, next_cursor="b"), Refused("400")))
    with pytest.raises(Refused):
        walk(CursorListing("/x", price=20), script(Refused("400")))


def test_an_incremental_walk_asks_for_whole_seconds_on_each_page() -> None:
    client = FakeClient(script(page(1, next_cursor="b"), page(2)))
    source = source_of(client)
    since = datetime(2026, 11, 22, 3, 4, 5, 678901, tzinfo=UTC)
    list(CursorListing("/x", price=20, params={"status": "open"}).pages(source, since=since, checkpoint={}))
    assert client.asked == [
        {
            "status": "open",
            "limit": 500,
            "updated_since": "2026-11-22T03:04:05Z",
            "sort_by": "update_time",
            "sort_direction": "asc",
        }
        | cursor
        for cursor in ({}, {"cursor": "b"})
    ]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 2000) | st.floats(0, 9) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(
                ["pagination", "next_cursor", "more_items_in_collection", "next_start", "start", "limit"]
            ),
            inner,
        )
    ),
    max_leaves=8,
)


@settings(max_examples=200)
@given(bodies=st.lists(st.tuples(st.integers(0, 3), json_values), min_size=1, max_size=3), last=json_values)
def test_any_envelope_gives_rows_or_one_sentence(bodies: list[tuple[int, Any]], last: Any) -> None:
    answers = [
        {"data": [{"id": id_} for id_ in range(rows)], "additional_data": extra} for rows, extra in bodies
    ]
    for listing in (
        CursorListing("/x", price=20),
        OffsetListing("/x", price=20),
        WholeListing("/x", price=20),
    ):
        with suppress(PipedriveError):
            walk(listing, script(*answers, {"data": [], "additional_data": last}))


@pytest.mark.parametrize("data", [{}, {"id": 1}, "rows", 5, True])
@pytest.mark.parametrize("listing", LISTINGS)
def test_an_answer_without_a_list_is_reported(listing: Listing, data: Any) -> None:
    with pytest.raises(PipedriveError, match=r"/x .*list"):
        [page.rows for page in walk(listing, script({"data": data}))]


# Offsets


def flat(start: int, limit: int, more: bool) -> Record:
    return {"start": start, "limit": limit, "more_items_in_collection": more}


ENVELOPES: dict[str, Callable[[int, int, bool], Any]] = {
    "flat": flat,
    "flat with next_start": lambda start, limit, more: (
        flat(start, limit, more) | ({"next_start": start + limit} if more else {})
    ),
    "nested": lambda start, limit, more: {"pagination": flat(start, limit, more)},
    "nested with next_start": lambda start, limit, more: {
        "pagination": flat(start, limit, more) | ({"next_start": start + limit} if more else {})
    },
    "nothing": lambda start, limit, more: None,
}


class Account:
    """A list of v1 that changes: between two requests, the next of `changes` happens."""

    def __init__(
        self,
        rows: int = 0,
        *,
        envelope: str = "flat",
        cap: int = 500,
        seconds: Callable[[int], int] = lambda number: number,
    ) -> None:
        self.rows: dict[int, Record] = {}
        self.seconds = seconds
        self.clock = START
        self.tick = timedelta(seconds=1)
        """The time that a change takes."""
        self.envelope = ENVELOPES[envelope]
        self.cap = cap
        self.changes: Iterator[Callable[[Account], None]] = iter(())
        self.touched: set[int] = set()
        for number in range(1, rows + 1):
            self.rows[number] = {
                "id": number,
                "update_time": stamp(START + timedelta(seconds=seconds(number))),
            }
        self.clock += timedelta(seconds=seconds(rows) + 1)

    def answer(self, _endpoint: str, params: Mapping[str, Any]) -> Record:
        next(self.changes, lambda _: None)(self)
        rows = list(self.rows.values())
        if since := params.get("updated_since"):
            rows = [row for row in rows if row["update_time"] and row["update_time"] >= since]
        column, _, direction = str(params.get("sort", "id ASC")).partition(" ")
        rows.sort(
            key=lambda row: (row[column] is not None, row[column], row["id"]), reverse=direction == "DESC"
        )
        start, limit = int(params.get("start", 0)), min(int(params["limit"]), self.cap)
        more = start + limit < len(rows)
        shown = [dict(row) for row in rows[start : start + limit]]
        return {"success": True, "data": shown or None, "additional_data": self.envelope(start, limit, more)}

    # Changes

    def insert(self) -> None:
        number = max(self.rows, default=0) + 1
        self.rows[number] = {"id": number, "update_time": stamp(self.clock)}
        self.touched.add(number)
        self.clock += self.tick

    def update(self, number: int) -> None:
        if number in self.rows:
            self.rows[number] = {"id": number, "update_time": stamp(self.clock)}
            self.touched.add(number)
            self.clock += self.tick

    def pause(self) -> None:
        self.clock += timedelta(hours=1)

    def delete(self, number: int) -> None:
        self.rows.pop(number, None)
        self.touched.add(number)


def stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S")


class V1Account(Account):
    """The same, but compares times as v1 does: its own format against RFC 3339."""

    def answer(self, endpoint: str, params: Mapping[str, Any]) -> Record:
        if since := params.get("updated_since"):
            moment = datetime.fromisoformat(since)
            assert (moment.microsecond, since[-1]) == (0, "Z")
            params = {**params, "updated_since": stamp(moment)}
        return super().answer(endpoint, params)


WAYS: list[tuple[Listing, datetime | None]] = [
    (OffsetListing("/x", price=20), None),
    (OffsetListing("/x", price=20), START),
    (OffsetListing("/x", price=20, has_updated_since=False), START),
]
ways = pytest.mark.parametrize(("listing", "since"), WAYS, ids=["by id", "changed since", "newest first"])


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize("envelope", ENVELOPES)
@pytest.mark.parametrize("rows", [0, 1, 4, 5, 6, 9, 10, 23])
@ways
def test_every_row_is_read_from_either_envelope(
    listing: Listing, since: datetime | None, rows: int, envelope: str
) -> None:
    here = V1Account(rows, envelope=envelope)
    seen = {row["id"] for row in rows_of(walk(listing, here.answer, since=since))}
    assert seen == set(range(1, rows + 1))


@pytest.mark.parametrize("cap", [2, 100, 499])
@pytest.mark.parametrize("envelope", [name for name in ENVELOPES if name != "nothing"])
@ways
def test_pages_smaller_than_requested_lose_nothing(
    listing: Listing, since: datetime | None, envelope: str, cap: int
) -> None:
    rows = cap * 3 + 1
    here = V1Account(rows, envelope=envelope, cap=cap)
    assert {row["id"] for row in rows_of(walk(listing, here.answer, since=since))} == set(range(1, rows + 1))


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize("together", [5, 6, 23])
@ways
def test_more_rows_in_one_second_than_fit_on_a_page_are_all_read(
    listing: Listing, since: datetime | None, together: int
) -> None:
    here = V1Account(40, seconds=lambda number: 7 if 7 <= number < 7 + together else number)
    assert {row["id"] for row in rows_of(walk(listing, here.answer, since=since))} == set(range(1, 41))


@pytest.mark.usefixtures("small_pages")
@ways
def test_rows_without_a_time_do_not_break_the_walk(listing: Listing, since: datetime | None) -> None:
    here = V1Account(23)
    for number in (1, 5, 6, 23):
        here.rows[number]["update_time"] = None
    with_a_time = {number for number, row in here.rows.items() if row["update_time"]}
    assert {row["id"] for row in rows_of(walk(listing, here.answer, since=since))} >= with_a_time


event = st.one_of(
    st.just(("insert",)),
    st.tuples(st.just("update"), st.integers(1, 30)),
    st.tuples(st.just("delete"), st.integers(1, 30)),
)


def happening(some: list[tuple[Any, ...]]) -> Callable[[Account], None]:
    def change(account: Account) -> None:
        for name, *arguments in some:
            getattr(account, name)(*arguments)

    return change


@settings(max_examples=200, deadline=None)
@given(
    events=st.lists(st.lists(event, max_size=3), max_size=12),
    rows=st.integers(0, 30),
    tie=st.integers(1, 12),
    way=st.sampled_from(WAYS),
    envelope=st.sampled_from(sorted(ENVELOPES)),
)
def test_unchanged_rows_are_read_while_others_are_added_changed_and_removed(
    events: list[list[tuple[Any, ...]]],
    rows: int,
    tie: int,
    way: tuple[Listing, datetime | None],
    envelope: str,
) -> None:
    """`tie` rows share a second; the next run reads rows that changed after the walk began."""
    here = V1Account(rows, envelope=envelope, seconds=lambda number: number // tie)

    here.changes = iter([lambda _: None, *(happening(some) for some in events)])
    before = set(here.rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listings, "PAGE", SOME_PAGE)
        try:
            seen = {row["id"] for row in rows_of(walk(way[0], here.answer, since=way[1]))}
        except PipedriveError:
            return  # a walk that failed has promised nothing
    assert before - here.touched <= seen


@pytest.mark.usefixtures("small_pages")
@settings(max_examples=60)
@given(
    stop_after=st.integers(1, 5), gone=st.sets(st.integers(1, 23)), added=st.integers(0, 3), rows=st.just(23)
)
def test_a_walk_continues_from_its_place_after_changes(
    stop_after: int, gone: set[int], added: int, rows: int
) -> None:
    here = V1Account(rows)
    source = source_of(FakeClient(here.answer))
    seen: set[int] = set()
    checkpoint: Mapping[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listings, "PAGE", SOME_PAGE)
        for number, one in enumerate(OffsetListing("/x", price=20).pages(source, checkpoint={}), 1):
            seen |= {row["id"] for row in one.rows}
            checkpoint = one.checkpoint
            if number == stop_after:
                break
        for number in gone:
            here.delete(number)
        for _ in range(added):
            here.insert()
        rest = rows_of(walk(OffsetListing("/x", price=20), here.answer, checkpoint=dict(checkpoint)))
    assert set(here.rows) <= seen | {row["id"] for row in rest}


class V2Account(Account):
    """A list with keyset cursors, ordered by id or by update time."""

    def answer(self, _endpoint: str, params: Mapping[str, Any]) -> Record:
        next(self.changes, lambda _: None)(self)
        rows = list(self.rows.values())
        column = params.get("sort_by", "id")
        if since := params.get("updated_since"):
            rows = [row for row in rows if row["update_time"] >= stamp(datetime.fromisoformat(since))]
        rows.sort(key=lambda row: (row[column], row["id"]))
        if cursor := params.get("cursor"):
            after = tuple(json.loads(cursor))
            rows = [row for row in rows if (row[column], row["id"]) > after]
        limit = int(params["limit"])
        shown = [dict(row) for row in rows[:limit]]
        more = {"next_cursor": json.dumps([shown[-1][column], shown[-1]["id"]])} if rows[limit:] else None
        return {"success": True, "data": shown, "additional_data": more}


class Clocked(FakeClient):
    """Answers dated by an account's clock."""

    def __init__(self, here: Account) -> None:
        super().__init__(here.answer)
        self.here = here

    def get(self, request: Request) -> Answer:
        return replace(super().get(request), served_at=self.here.clock)


class Warehouse:
    """The rows that runs have loaded and the state of the last one; any run may be interrupted."""

    def __init__(self, here: Account, listing: Listing) -> None:
        self.here = here
        self.listing = listing
        self.rows: dict[int, Any] = {}
        self.state: dict[str, Any] = {}

    def run(self, *, pages: int | None = None, loses_unsaved_rows: bool = False) -> None:
        """Read, at most so many pages; if the target dies, rows come no further than the state."""
        state = deepcopy(self.state)
        waiting: list[Any] = []

        def save() -> None:
            self.state = deepcopy(state)
            self._load(waiting)
            waiting.clear()

        budget = count()
        for _ in range(2):
            walk = self._walk(state)
            for one in walk.follow(walk.pages(source_of(Clocked(self.here))), save):
                waiting += one.rows
                if pages is not None and next(budget) >= pages:
                    if not loses_unsaved_rows:
                        self._load(waiting)
                    return
            if not walk.is_resumed:
                return

    def _walk(self, state: dict[str, Any]) -> Walk:
        chosen = Settings(api_token=TOKEN, lookback_seconds=0)
        return Walk("x", self.listing, state, bookmark="update_time", is_whole=False, settings=chosen)

    def _load(self, rows: list[Any]) -> None:
        self.rows |= {row["id"]: row["update_time"] for row in rows}


pause = st.just(("pause",))


@settings(max_examples=250, deadline=None)
@given(
    runs=st.lists(
        st.tuples(
            st.integers(0, 7),
            st.booleans(),
            st.lists(st.lists(event | st.just(("pause",)), max_size=3), max_size=8),
        ),
        max_size=4,
    ),
    rows=st.integers(0, 30),
    tie=st.integers(1, 12),
    tick=st.integers(0, 1),
    way=st.sampled_from(
        [
            (V2Account, CursorListing("/x", price=20)),
            (V1Account, OffsetListing("/x", price=20)),
            (V1Account, OffsetListing("/x", price=20, has_updated_since=False)),
        ]
    ),
)
def test_runs_interrupted_again_and_again_read_every_row_in_the_end(
    runs: list[tuple[int, bool, list[list[tuple[Any, ...]]]]],
    rows: int,
    tie: int,
    tick: int,
    way: tuple[type[Account], Listing],
) -> None:
    """Rows change between pages and runs, also within one second, and the lookback is zero."""
    here = way[0](rows, seconds=lambda number: number // tie)
    here.tick = timedelta(seconds=tick)
    warehouse = Warehouse(here, way[1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listings, "PAGE", SOME_PAGE)
        for pages, loses_unsaved_rows, events in runs:
            here.changes = iter([happening(some) for some in events])
            with suppress(PipedriveError):  # rows were removed faster than they could be read
                warehouse.run(pages=pages, loses_unsaved_rows=loses_unsaved_rows)
        here.changes = iter(())
        warehouse.run()
    held = {number: warehouse.rows.get(number) for number in here.rows}
    assert held == {number: row["update_time"] for number, row in here.rows.items()}


@pytest.mark.parametrize("removed", [1, 6, 19])
@pytest.mark.parametrize("ids", [int, "{:08}".format], ids=["numbers", "texts"])
@pytest.mark.parametrize("is_sortable", [True, False])
def test_a_row_removed_during_a_walk_causes_a_step_back_only(
    removed: int, ids: Callable[[int], Any], is_sortable: bool
) -> None:
    """A row that has been read is removed before each page."""
    here = V1Account(10_000)
    here.rows = {number: {**row, "id": ids(number)} for number, row in here.rows.items()}
    victims = [happening([("delete", 7 * number)]) for number in range(1, removed + 1)]
    here.changes = iter([lambda _: None, *victims])
    client = FakeClient(here.answer)
    pages = OffsetListing("/x", price=20, is_sortable=is_sortable).pages(source_of(client), checkpoint={})
    seen = [row["id"] for row in rows_of(list(pages))]
    assert len(seen) == len(set(seen)) == 10_000
    assert len(client.asked) <= 10_000 / 499 + 1 + removed


@pytest.mark.parametrize("gone", [400, 1_300, 3_000])
def test_many_rows_removed_at_once_cause_few_steps_back(gone: int) -> None:
    here = V1Account(10_000)
    victims = happening([("delete", number) for number in range(1, gone + 1)])
    here.changes = iter([*[lambda _: None] * 8, victims])
    client = FakeClient(here.answer)
    pages = OffsetListing("/x", price=20).pages(source_of(client), checkpoint={})
    seen = [row["id"] for row in rows_of(list(pages))]
    assert len(seen) == len(set(seen))
    assert set(seen) >= set(here.rows)
    assert len(client.asked) <= 10_000 / 499 + 10


ENDLESS: list[tuple[str, Listing, datetime | None]] = [
    ("by id", OffsetListing("/x", price=20), None),
    ("changed", OffsetListing("/x", price=20), START),
    ("newest", OffsetListing("/x", price=20, has_updated_since=False), START - timedelta(days=9999)),
    ("whole", WholeListing("/x", price=20), None),
]


@pytest.mark.parametrize("rows", [0, 1, 500])
@pytest.mark.parametrize("envelope", ["flat", "nested with next_start"])
@pytest.mark.parametrize(("listing", "since"), [way[1:] for way in ENDLESS], ids=[way[0] for way in ENDLESS])
@pytest.mark.parametrize("obeys", [True, False], ids=["at the end", "from the beginning"])
def test_an_endless_list_is_reported(
    listing: Listing, since: datetime | None, envelope: str, rows: int, obeys: bool
) -> None:
    """The server always announces another page, and either obeys `start` or repeats one page."""

    def answer(_endpoint: str, params: Mapping[str, Any]) -> Record:
        start = int(params.get("start", 0))
        numbers = range(rows)[start : start + 500] if obeys else range(rows)
        data = [{"id": number, "update_time": stamp(START)} for number in numbers]
        return {"data": data or None, "additional_data": ENVELOPES[envelope](start, 500, True)}

    with pytest.raises(PipedriveError, match=r"/x"):
        walk(listing, answer, since=since)


def test_rows_removed_faster_than_they_are_read_are_reported() -> None:
    numbers = count()

    def answer(_endpoint: str, params: Mapping[str, Any]) -> Record:
        first = next(numbers) * 1000
        return {"data": [{"id": first + n} for n in range(500)], "additional_data": flat(0, 500, True)}

    with pytest.raises(PipedriveError, match="run again"):
        walk(OffsetListing("/x", price=20), answer)


def test_a_list_without_paging_keys_is_complete() -> None:
    pages = walk(
        WholeListing("/x", price=20),
        script({"data": [{"id": n} for n in range(700)], "additional_data": None}),
    )
    assert len(rows_of(pages)) == 700


# Over HTTP

HEAVY: dict[str, Say | str] = {
    "504": Say(504, b"<html>"),
    "500": say({"success": False, "error": "Oops"}, 500),
    "cut off": Say(body=b'{"success":true,"data":[', claimed_length=500),
    "reset": RESET,
}


def heavy(most: int, trouble: Say | str, answer: Callable[[str, Mapping[str, Any]], Any]) -> Any:
    """Serve one list at its two addresses; pages of more than `most` rows fail."""

    def spoil(request: Asked) -> Say | str | None:
        if request.path not in ("/api/v2/persons", "/api/v1/notes"):
            return None
        if int(request.params["limit"]) > most:
            return trouble
        return say(answer(request.path, request.params), x_ratelimit_limit="1000")

    return account({}, spoil=spoil)


def cursors(rows: int, spoil: Callable[[Record, int], None]) -> Any:
    """Serve persons by cursor; `spoil` may change an answer, given the number of rows before it."""

    def every(request: Asked) -> Say | None:
        if request.path != "/api/v2/persons":
            return None
        start, limit = int(request.params.get("cursor", "0")), int(request.params["limit"])
        ids = [int(id_) for id_ in request.params.get("ids", "").split(",") if id_] or range(1, rows + 1)
        is_backwards = request.params.get("sort_direction") == "desc"
        found = [{"id": id_, "name": "x"} for id_ in sorted(ids, reverse=is_backwards)][start : start + limit]
        following = str(start + limit) if start + limit < len(ids) else None
        body = {"success": True, "data": found, "additional_data": {"next_cursor": following}}
        spoil(body, start)
        return say(body, x_ratelimit_limit="1000")

    return account({}, spoil=every)


SPOILT: dict[str, Record] = {
    "no word of a next page": {"additional_data": None},
    "an empty envelope": {"additional_data": {}},
    "an empty cursor": {"additional_data": {"next_cursor": ""}},
    "null and no cursor": {"data": None, "additional_data": None},
    "null and a cursor": {"data": None},
}


@pytest.mark.usefixtures("sleeps")
@pytest.mark.parametrize("kind", SPOILT)
def test_a_page_that_is_not_whole_is_asked_for_again(shared: Sandbox, kind: str) -> None:
    spoilt: list[int] = []

    def once(body: Record, start: int) -> None:
        if start == 500 and not spoilt:
            spoilt.append(start)
            body.update(SPOILT[kind])

    with fake(cursors(1300, once)) as server:
        done = run(server.url, catalog=select(discover(shared.url), "persons"), source_checks="none").good()
    assert {row["id"] for row in done.records("persons")} == set(range(1, 1301))


@pytest.mark.usefixtures("sleeps")
@pytest.mark.parametrize("kind", SPOILT)
def test_rows_behind_a_page_that_is_never_whole_are_read_from_the_other_end(
    shared: Sandbox, kind: str
) -> None:
    def always(body: Record, start: int) -> None:
        if start == 500:
            body.update(SPOILT[kind])

    with fake(cursors(1300, always)) as server:
        done = run(server.url, catalog=select(discover(shared.url), "persons"), source_checks="none").good()
    assert {row["id"] for row in done.records("persons")} == set(range(1, 1301))


@pytest.mark.usefixtures("sleeps")
@pytest.mark.parametrize("kind", list(SPOILT)[:3])
def test_a_list_whose_pages_are_never_whole_is_an_error_and_marks_nothing(shared: Sandbox, kind: str) -> None:
    catalog = select(discover(shared.url), "persons")
    with fake(cursors(1300, lambda body, _: body.update(SPOILT[kind]))) as server:
        done = run(server.url, catalog=catalog, source_checks="none", reconcile=True)
    assert "a full page that does not say whether there is another one" in str(done.error)
    assert not [each for each in done.messages if each["type"] == "ACTIVATE_VERSION"]


@pytest.mark.usefixtures("sleeps")
@pytest.mark.parametrize("rows", [0, 499, 500, 501, 1000])
def test_a_null_at_the_beginning_is_asked_for_once_more(shared: Sandbox, rows: int) -> None:
    spoilt: list[int] = []

    def once(body: Record, start: int) -> None:
        if not spoilt:
            spoilt.append(start)
            body.update(data=None, additional_data=None)

    with fake(cursors(rows, once)) as server:
        done = run(server.url, catalog=select(discover(shared.url), "persons"), source_checks="none").good()
    assert {row["id"] for row in done.records("persons")} == set(range(1, rows + 1))


@pytest.mark.usefixtures("sleeps")
@pytest.mark.parametrize("trouble", HEAVY.values(), ids=HEAVY)
@pytest.mark.parametrize("since", [None, "2026-11-22T00:00:00Z"], ids=["all", "changed"])
@pytest.mark.parametrize(
    ("stream", "kind"), [("persons", "V2Account"), ("notes", "V1Account")], ids=["cursors", "row counts"]
)
def test_the_rest_of_a_walk_uses_smaller_pages_if_large_ones_fail(
    shared: Sandbox, stream: str, kind: str, since: str | None, trouble: Say | str
) -> None:
    here = {"V2Account": V2Account, "V1Account": V1Account}[kind](700)
    settings: Record = {"start_date": since} if since else {}
    with fake(heavy(100, trouble, here.answer)) as server:
        done = run(server.url, catalog=select(discover(shared.url), stream), **settings).good()
    assert {row["id"] for row in done.records(stream)} == set(range(1, 701))
    sizes = [int(seen.params["limit"]) for seen in server.asked if seen.path.endswith(stream)]
    assert sizes[:4] == [500, 500, 250, 125]
    assert set(sizes[4:]) == {62}
    assert len(sizes) <= 4 + 13
    assert done.tap
    spent = sum(
        price for (_, path), price in done.tap.run.client.limits.tokens.items() if path.endswith(stream)
    )
    is_whole = isinstance(trouble, Say) and trouble.claimed_length is None
    answered = len(sizes) if is_whole else len(sizes) - 4  # the cost of an incomplete answer is unknown
    assert spent == answered * PRICES["/api/v2/persons" if stream == "persons" else "/api/v1/notes"]


@pytest.mark.usefixtures("sleeps")
def test_a_page_that_fails_once_is_retried_with_the_same_size(shared: Sandbox) -> None:
    here = V2Account(1200)
    numbers = count()

    def every_other(request: Asked) -> Say | str | None:
        if request.path != "/api/v2/persons":
            return None
        if next(numbers) % 2 == 0:
            return HEAVY["504"]
        return say(here.answer(request.path, request.params))

    with fake(account({}, spoil=every_other)) as server:
        run(server.url, catalog=select(discover(shared.url), "persons")).good()
    sizes = [int(seen.params["limit"]) for seen in server.asked if seen.path == "/api/v2/persons"]
    assert sizes == [500] * 6


@pytest.mark.usefixtures("sleeps")
@pytest.mark.parametrize("answer", [say({"error": "?"}, 429), Say(521, b""), Say(body=b"null")])
def test_errors_unrelated_to_the_size_do_not_change_it(shared: Sandbox, answer: Say) -> None:
    script = account({}, spoil=lambda request: answer if request.path == "/api/v2/persons" else None)
    with fake(script) as server:
        done = run(server.url, catalog=select(discover(shared.url), "persons"))
    assert isinstance(done.error, PipedriveError)
    asked = [seen.params for seen in server.asked if seen.path == "/api/v2/persons"]
    assert [int(params["limit"]) for params in asked if "sort_direction" not in params] == [500] * 5
    assert len(asked) <= 10, "it does not answer at its other end either"


@pytest.mark.usefixtures("sleeps")
@pytest.mark.parametrize("rows", [500, 100, 60, 49, 7])
def test_the_page_size_has_a_lower_limit(rows: int) -> None:
    with fake([HEAVY["504"]]) as server, pytest.raises(PipedriveError, match="failed 5 times"):
        Client(ApiToken(server.url, TOKEN)).get(Request("/x", {}, {}, 20, "test", PageSize(rows)))
    sizes = [int(seen.params["limit"]) for seen in server.asked]
    assert sizes[:2] == [rows, rows]
    assert all(after in (before, before // 2) for before, after in pairwise(sizes))
    assert min(sizes) >= min(rows, 25)


def test_six_hundred_rows_in_one_second_are_read_in_both_runs() -> None:
    with Sandbox(deals=50, troubles=()) as sandbox:
        crowd = {
            entity: [sandbox.post(f"/sandbox/records/{entity}", {})["id"] for _ in range(600)]
            for entity in ("deals", "notes", "leads")
        }
        for entity, ids in crowd.items():
            moment = "2026-11-01T10:00:00.000Z" if entity == "leads" else "2026-11-01T10:00:00Z"
            for id_ in ids:
                sandbox.patch(f"/sandbox/records/{entity}/{id_}?touch=false", {"update_time": moment})
        catalog = select(discover(sandbox.url), *crowd)
        full = run(sandbox.url, catalog=catalog).good()
        changed = run(sandbox.url, catalog=catalog, start_date="2026-11-01T10:00:00Z").good()
    for done in (full, changed):
        for entity, ids in crowd.items():
            assert {row["id"] for row in done.records(entity)} >= set(ids)


@pytest.mark.parametrize("kinds", [["update"], ["create"], ["delete"], None])
def test_no_row_of_a_changing_account_is_lost(
    living: Sandbox, kinds: list[str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row changes before every answer of a full load, and the next run reads the changes."""
    monkeypatch.setattr(listings, "PAGE", 7)
    streams = ("deals", "persons", "organizations", "activities", "leads", "notes")
    catalog = select(discover(living.url), *streams)
    call = {
        "path": "/sandbox/change",
        "json": {"share": 0.02, "seed": 5, **({"kinds": kinds} if kinds else {})},
    }
    living.post("/sandbox/faults", {"kind": "change", "path": "/api/", "every": 3, "times": 25, "call": call})
    first = run(living.url, catalog=catalog).good()
    living.delete("/sandbox/faults")
    second = run(living.url, catalog=catalog, state=first.state).good()
    for stream in streams:
        held = {row["id"]: row["update_time"] for row in first.records(stream) + second.records(stream)}
        for row in living.truth(stream):
            assert row["id"] in held, (stream, row["id"])
            if row["update_time"]:
                assert datetime.fromisoformat(held[row["id"]]) == datetime.fromisoformat(row["update_time"])
