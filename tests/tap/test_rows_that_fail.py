"""One row of a list that no page can be read with: it costs itself, and the rest of the list is read around it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from pipedrive_sandbox.testing import Sandbox
from tap_pipedrive import listings

from .harness import Asked, Record, Run, Say, discover, fake, run, say, select
from .test_statement import reasons, statements

DEALS = "/api/v2/deals"


@pytest.fixture(scope="module")
def catalog(shared: Sandbox) -> Record:
    return select(discover(shared.url), "users", "deals", "deal_changes", "run_statements")


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch, sleeps: list[float]) -> None:
    monkeypatch.setattr(listings, "PAGE", 15)


def minute(number: int) -> str:
    return f"2026-10-{1 + number // 1440:02}T{number // 60 % 24:02}:{number % 60:02}:00Z"


@dataclass
class Account:
    """Deals with a line of history each; a page with one of those that fail is answered by 500."""

    ids: Collection[int]
    fails: set[int] = field(default_factory=set)
    moved: dict[int, int] = field(default_factory=dict)
    """Minute of the last change, where it is another than the id."""
    date: str = "Tue, 20 Oct 2026 00:00:00 GMT"

    def rows(self) -> list[Record]:
        return [
            {"id": each, "add_time": "2026-09-01T00:00:00Z", "products_count": 0}
            | dict.fromkeys(("update_time", "stage_change_time"), minute(self.moved.get(each, each)))
            for each in self.ids
        ]

    def __call__(self, asked: Asked) -> Say:
        if asked.path.endswith("/changelog"):
            line = {"field_key": "stage_id", "old_value": "1", "new_value": "2"}
            return self.answer([{**line, "time": "2026-10-02 00:00:00"}], None)
        if asked.path != DEALS:
            return self.answer([], None)
        params = asked.params
        key = params.get("sort_by", "id")
        rows = [row for row in self.rows() if row["update_time"] >= params.get("updated_since", "")]
        if "ids" in params:
            chosen = set(map(int, params["ids"].split(",")))
            rows = [row for row in rows if row["id"] in chosen]
        rows.sort(key=lambda row: (row[key], row["id"]), reverse=params.get("sort_direction") == "desc")
        start, limit = int(params.get("cursor", 0)), int(params["limit"])
        page = rows[start : start + limit]
        if self.fails & {row["id"] for row in page}:
            return say({"error": "Internal"}, 500)
        return self.answer(page, str(start + limit) if start + limit < len(rows) else None)

    def answer(self, rows: list[Record], cursor: str | None) -> Say:
        body = {"success": True, "data": rows, "additional_data": {"next_cursor": cursor}}
        return replace(say(body, x_ratelimit_limit="100000"), date=self.date)


def ids(*runs: Run) -> set[int]:
    return {row["id"] for done in runs for row in done.records("deals")}


Reading = Callable[..., Run]


@pytest.fixture
def reading(catalog: Record) -> Reading:
    def read(account: Account, state: Record | None = None, **settings: Any) -> Run:
        with fake(account) as server:
            return run(server.url, catalog=catalog, state=state, **settings)

    return read


@pytest.mark.parametrize(
    "fails",
    [{20}, {1}, {15}, {16}, {20, 21, 22}, {3, 40}, {1, 59}, set(range(20, 30))],
    ids=lambda fails: f"{min(fails)}-{max(fails)}",
)
def test_a_first_load_reads_around_rows_that_fail(reading: Reading, fails: set[int]) -> None:
    account = Account(range(1, 61), fails)
    first = reading(account).good()
    assert ids(first) == set(range(1, 61)) - fails
    assert {row["deal_id"] for row in first.records("deal_changes")} == ids(first)
    assert reasons(first) == {"deals": "unread", "deal_changes": "unread"}
    assert statements(first)["deals"]["left_count"] == len(fails)
    assert "fails as soon as record" in statements(first)["deals"]["undone_detail"]
    again = reading(account, first.state).good()
    assert len(again.records("deals")) <= 1, "nothing has changed"
    assert reasons(again) == {"deals": "unread", "deal_changes": "unread"}, "until everything is read again"
    refused = reading(account, again.state, reconcile=True).good()
    assert not refused.of("ACTIVATE_VERSION", "deals"), "what fails would be marked as deleted"
    account.fails = set()
    whole = reading(account, refused.state, reconcile=True).good()
    assert (ids(whole), reasons(whole)) == (set(range(1, 61)), {})
    assert whole.of("ACTIVATE_VERSION", "deals")


@pytest.mark.parametrize("place", [0, 10, 29])
def test_later_runs_read_what_changed_around_a_row_that_fails(reading: Reading, place: int) -> None:
    """The bookmark stays before it, as nobody knows what else it hides: the list is missing until it answers."""
    account = Account(range(1, 61))
    first = reading(account).good()
    changed = range(10, 40)
    account.moved = {each: 33_000 + each for each in changed} | {5: 34_000}
    account.fails = {changed[place]}
    account.date = "Sun, 01 Nov 2026 00:00:00 GMT"
    second = reading(account, first.state)
    assert "these are missing: deals: GET /api/v2/deals failed 5 times" in str(second.error)
    assert ids(second) == {5, *changed} - account.fails
    account.fails = set()
    third = reading(account, second.state).good()
    assert reasons(third) == {}
    assert changed[place] in ids(third)
    moved = {row["deal_id"] for done in (second, third) for row in done.records("deal_changes")}
    assert moved == {5, *changed}


@pytest.mark.parametrize(
    ("known", "fails"),
    [
        (range(1, 61), set(range(20, 35))),
        (range(1, 61), set(range(1, 61))),
        ([*range(1, 31), *range(5000, 5031)], {30, 5000}),
        (range(1, 61), {60}),
    ],
    ids=["many", "all", "far apart", "the newest"],
)
def test_more_than_a_few_are_a_list_that_fails(
    reading: Reading, known: Collection[int], fails: set[int]
) -> None:
    """What can be read is read all the same, and nothing is passed over."""
    account = Account(known, fails)
    first = reading(account)
    assert "these are missing: deals: GET /api/v2/deals failed 5 times" in str(first.error)
    assert len(ids(first)) >= (19 if len(fails) < 60 else 0)
    account.fails = set()
    second = reading(account, first.state).good()
    assert ids(first, second) == set(known)
    assert reasons(second) == {}


def test_a_list_that_is_down_is_given_up_soon(reading: Reading) -> None:
    asked: list[str] = []

    def down(request: Asked) -> Say:
        asked.append(request.path)
        return say({}, 503) if request.path == DEALS else Account([])(request)

    with fake(down) as server:
        run(server.url, missing="note")
    assert asked.count(DEALS) < 15


def test_trouble_that_passes_leaves_the_pages_as_large_as_they_were(catalog: Record) -> None:
    account = Account(range(1, 61))
    asked: list[int] = []

    def passing(request: Asked) -> Say:
        if request.path == DEALS:
            asked.append(int(request.params["limit"]))
            if 1 < len(asked) <= 8:
                return say({}, 503)
        return account(request)

    with fake(passing) as server:
        done = run(server.url, catalog=catalog).good()
    assert (ids(done), reasons(done)) == (set(range(1, 61)), {})
    assert asked == [*[15] * 6, *[3] * 7, *[15] * 2]


def test_what_answers_meanwhile_is_no_gap(reading: Reading) -> None:
    account = Account(range(1, 61), {20})
    with fake(lambda request: _healing(account, request)) as server:
        done = run(server.url, missing="note").good()
    assert ids(done) == set(range(1, 61))
    assert reasons(done) == {}


def _healing(account: Account, request: Asked) -> Say:
    """Answer as the account, whose row fails until the list is read from its other end."""
    if request.params.get("sort_direction") == "desc":
        account.fails = set()
    return account(request)
