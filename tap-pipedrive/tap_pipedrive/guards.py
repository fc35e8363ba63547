"""What notices that a list does not go on as it should: pages that come again, have no rows, or shift."""

from collections import deque
from collections.abc import Hashable, Sequence
from itertools import pairwise
from typing import Any
from zlib import crc32

from tap_pipedrive.answers import Answer
from tap_pipedrive.errors import PipedriveError
from tap_pipedrive.values import encode

KNOWN_PAGES = 3
"""Pages of a reading by row count whose rows are remembered, to know them when they come again."""

EMPTY_PAGES = 10
"""How many pages in a row may have no rows; a filter can empty some, but not all to come."""

REPEATED_PAGES = 3
"""How many pages of a reading may come again, as new rows shift the pages of a change log."""


class Progress:
    """Notices a list that never ends: each new page of a reading has to bring something new."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._seen: set[tuple[int, int]] = set()
        self._empty = self._repeated = 0

    def check(self, answer: Answer) -> None:
        """Raise PipedriveError when too many pages come again, or too many in a row have no rows."""
        if not answer.has_rows:
            self._empty += 1
            if self._empty > EMPTY_PAGES:
                raise PipedriveError(
                    f"GET {self._path} answered {self._empty} pages in a row without rows, each with a cursor "
                    "to one more: run again, and report this line if that does not help."
                )
            return
        self._empty = 0
        # A cryptographic hash would take five times as long. Two pages of one length have the same checksum by
        # chance once in four billion pairs, and a few pages may come again.
        page = len(answer.raw), crc32(answer.raw)
        self._repeated += page in self._seen
        if self._repeated > REPEATED_PAGES:
            raise PipedriveError(
                f"GET {self._path} answered the same pages again and again, each under another cursor or row "
                "count: run again, and report this line if that does not help."
            )
        self._seen.add(page)


class Known:
    """The rows that a reading by row count has read last, by their ids and times of change."""

    def __init__(self, last_id: Any, *, is_by_id: bool) -> None:
        """`last_id`: of the last row that an earlier run has read; `is_by_id`: whether lower ids come first."""
        self.last_id = last_id
        self.width = 0
        """Rows of the last page."""
        self._is_by_id = is_by_id
        self._keys: deque[frozenset[Hashable]] = deque(maxlen=KNOWN_PAGES)

    def others(self, rows: Sequence[Any]) -> list[Any]:
        """Return the rows of a page that were not read before."""
        is_sorted = self._is_by_id and _are_sorted([id_of(row) for row in rows], like=self.last_id)
        return [row for row in rows if not self._knows(row, is_sorted=is_sorted)]

    def _knows(self, row: Any, *, is_sorted: bool) -> bool:
        if is_sorted:
            return bool(id_of(row) <= self.last_id)
        is_last = self._is_by_id and self.last_id is not None and id_of(row) == self.last_id
        return is_last or any(_key(row) in keys for keys in self._keys)

    def add(self, rows: Sequence[Any], fresh: Sequence[Any]) -> None:
        """Note the rows of a page, and which of them are new."""
        self.width = len(rows)
        self._keys.append(frozenset(map(_key, rows)))
        if fresh:
            self.last_id = id_of(fresh[-1])


def _key(row: Any) -> Hashable:
    """Return what tells a row from others and from its own later versions."""
    if isinstance(row, dict) and isinstance(row.get("id"), int | str):
        return row["id"], str(row.get("update_time"))
    return encode(row)


def _are_sorted(ids: Sequence[Any], *, like: Any) -> bool:
    """Return whether ids can be compared with another one, and each is greater than the one before."""
    if not isinstance(like, int | str) or any(type(each) is not type(like) for each in ids):
        return False
    return all(one < other for one, other in pairwise(ids))


def id_of(row: Any) -> Any:
    """Return the id of a record, if it has one."""
    return row.get("id") if isinstance(row, dict) else None
