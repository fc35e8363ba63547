"""Keyset pages with any data, and with changes during the walk."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from pipedrive_sandbox.account.store import Table
from pipedrive_sandbox.api.paging import keyset_page

TIMES = st.sampled_from([None, "2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z", "2026-01-01T00:00:02Z"])
TABLES = st.lists(TIMES, max_size=30)


def table_of(times: list[str | None]) -> Table:
    return Table({"id": id_, "update_time": time} for id_, time in enumerate(times, start=1))


def order(row: dict[str, Any]) -> tuple[bool, str, int]:
    return row["update_time"] is not None, row["update_time"] or "", row["id"]


@given(TABLES, st.integers(1, 10), st.booleans())
def test_a_walk_returns_the_sorted_table(times: list[str | None], limit: int, descending: bool) -> None:
    table, walked, cursor = table_of(times), [], None
    while True:
        page, cursor = keyset_page(
            table, [], field="update_time", descending=descending, cursor=cursor, limit=limit
        )
        walked += page
        if cursor is None:
            break
        assert len(page) == limit
    assert walked == sorted(table, key=order, reverse=descending)


EVENTS = st.lists(st.tuples(st.sampled_from(["touch", "remove", "add"]), st.integers(1, 40)), max_size=20)


@given(TABLES, st.integers(1, 5), EVENTS)
def test_unchanged_rows_are_returned_exactly_once(
    times: list[str | None], limit: int, events: list[tuple[str, int]]
) -> None:
    """Changed rows are returned again in their new state: nothing is lost in ascending order of update_time."""
    table, cursor, walked = table_of(times), None, []
    disturbed: set[int] = set()
    later = 3
    while True:
        page, cursor = keyset_page(
            table, [], field="update_time", descending=False, cursor=cursor, limit=limit
        )
        walked += page
        if cursor is None:
            break
        if events:
            kind, id_ = events.pop()
            disturbed.add(id_)
            later += 1
            if kind == "remove":
                if table.get(id_):
                    table.remove(id_)
            elif kind == "add" or table.get(id_):
                table.put({"id": id_, "update_time": f"2026-01-01T00:00:{later:02}Z"})
    for id_ in range(1, len(times) + 1):
        if id_ not in disturbed:
            assert [row["id"] for row in walked].count(id_) == 1
    assert all(row in walked for row in table)
