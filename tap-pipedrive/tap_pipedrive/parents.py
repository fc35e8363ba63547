"""The rows of one stream as parents of other streams' rows: which of them changed, and which have children.

Reading the parents' list gives this for free; a child stream then asks only about the parents it needs.
"""

from array import array
from collections.abc import Iterable, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tap_pipedrive.values import changed_at, clean_integer

ALL_TIME = -(2**62)
"""Stands for a missing time of change; it is earlier than any."""


@dataclass(frozen=True)
class Parents:
    """Which rows of another stream a child listing asks about."""

    stream: str
    moved: str | None = "update_time"
    """The time that tells when their children may have changed; None: each run asks about all of them."""

    count: str | None = None
    """The column with the number of children, where the parents' list has one; 0 means that nothing is asked."""

    only_if_changed: bool = False
    """Whether a row that never changed after its creation has no children, as in histories."""


class ParentIndex:
    """Id, times and counts of the rows of one stream, 8 bytes each, as the run has seen them."""

    def __init__(self, needs: Iterable[Parents], start_date: datetime | None = None) -> None:
        """`needs`: what the child streams of the run ask for; `start_date`: the setting, for their first loads."""
        needs = list(needs)
        times = {need.moved for need in needs if need.moved}
        times |= {"add_time" for need in needs if need.only_if_changed}
        times.add("update_time")
        self.began: datetime | None = None
        """When the earliest of the readings began, by the smaller clock."""
        self.served_at: datetime | None = None
        """The server's clock then; None if it did not say."""
        self.rows_without_id = 0
        self._ids = array("q")
        self._times = {name: array("q") for name in times}
        self._counts = {need.count: array("q") for need in needs if need.count}
        self._read_since: dict[str, datetime | None] = {}
        self._start = int(start_date.timestamp()) if start_date else ALL_TIME

    def add(self, rows: Iterable[Any]) -> None:
        """Add rows of the API. A count that is missing or no number stands for one child."""
        for row in rows:
            parent = _integer(row.get("id")) if isinstance(row, dict) else None
            if parent is None:
                self.rows_without_id += 1
                continue
            self._ids.append(parent)
            for name, times in self._times.items():
                moment = changed_at(row, name)
                times.append(int(moment.timestamp()) if moment else ALL_TIME)
            for name, counts in self._counts.items():
                count = _integer(row.get(name))
                counts.append(1 if count is None else count)

    def complete(
        self,
        listing: str,
        since: datetime | None,
        began: datetime | None,
        served_at: datetime | None,
    ) -> None:
        """Note that a listing was read to its end: all of it (`since` is None), or what changed since a moment."""
        before = self._read_since.get(listing, since)
        self._read_since[listing] = min(before, since) if before and since else None
        if began:
            self.began = min(self.began or began, began)
        if served_at:
            self.served_at = min(self.served_at or served_at, served_at)

    def covers(self, listings: Iterable[str], since: datetime | None) -> bool:
        """Return whether the index has all rows of these listings that changed since a moment (None: all rows)."""
        for listing in listings:
            start = self._read_since.get(listing, datetime.max.replace(tzinfo=UTC))
            if start is not None and (since is None or start > since):
                return False
        return True

    @property
    def is_whole(self) -> bool:
        """Whether the listings that were read to their end were read from their beginning."""
        return all(since is None for since in self._read_since.values())

    @property
    def ids(self) -> Set[int]:
        """The ids of all rows."""
        return set(self._ids)

    def changed(self, parents: Parents, since: datetime | None) -> list[tuple[int, int]]:
        """Return (second of change, id) of the parents to ask about, ordered by time of change.

        Where all are asked for, `start_date` leaves out those that changed before it; not those without a time.
        No time is later than the parent's `update_time`: a run that resumes from it has to find the parent in
        the parents' list.
        """
        start = int(since.timestamp()) if since else self._start
        return self._moved_since(start, parents, is_all=since is None)

    def wanted(self, parents: Parents, start_date: datetime | None) -> set[int]:
        """Return the ids of all parents that a first load with this `start_date` asks about."""
        start = int(start_date.timestamp()) if start_date else ALL_TIME
        return {parent for _, parent in self._moved_since(start, parents, is_all=True)}

    def _moved_since(self, start: int, parents: Parents, *, is_all: bool) -> list[tuple[int, int]]:
        counts = self._counts.get(parents.count or "")
        births = self._times["add_time"] if parents.only_if_changed else None
        times = self._times[parents.moved] if parents.moved else None
        may_lack = parents.moved == "update_time"  # some rows that have changed have none
        updates = self._times["update_time"]
        latest: dict[int, int] = {}
        for position, parent in enumerate(self._ids):
            latest.pop(parent, None)  # the last copy of a row that was read twice counts
            moved = times[position] if times else ALL_TIME
            is_new = births is not None and moved <= births[position] and not (moved == ALL_TIME and may_lack)
            is_wanted = moved >= start or (moved == ALL_TIME and is_all)
            if is_wanted and not is_new and (counts is None or counts[position] != 0):
                latest[parent] = min(moved, updates[position])
        return sorted((moved, parent) for parent, moved in latest.items())


def _integer(value: Any) -> int | None:
    try:
        return clean_integer(value)
    except ValueError:
        return None
