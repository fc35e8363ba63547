"""How a list is read from its first page to its last.

Pipedrive pages in three ways: v2 hands out cursors, most of v1 counts rows, and some v1 lists come in one piece.
Each page is checked: a page that is no list, a cursor or a page that comes again, pages without rows that do not
end, and rows that shift under a row count are noticed, and either repaired or reported as an error.
"""

from collections import deque
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from hashlib import blake2b
from itertools import pairwise
from typing import Any

from tap_pipedrive.answers import Answer
from tap_pipedrive.client import PageSize, Request
from tap_pipedrive.errors import PipedriveError, Refused
from tap_pipedrive.source import Checkpoint, Listing, Page, Source
from tap_pipedrive.values import changed_at, encode, rfc3339

PAGE = 500
"""Rows per page: the most that Pipedrive gives. A page costs the same whatever its size. A walk whose pages fail
goes on with smaller ones."""

RESTARTS = 5
"""How often a reading by row count may have to go back to its beginning, as so many rows were removed."""

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
        self._seen: set[bytes] = set()
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
        digest = blake2b(answer.raw, digest_size=16).digest()
        self._repeated += digest in self._seen
        if self._repeated > REPEATED_PAGES:
            raise PipedriveError(
                f"GET {self._path} answered the same pages again and again, each under another cursor or row "
                "count: run again, and report this line if that does not help."
            )
        self._seen.add(digest)


@dataclass(frozen=True)
class HttpListing(Listing):
    """What the three ways of paging share."""

    path: str
    price: int
    """API tokens per request, whatever the size of the page (`x-token-cost` in Pipedrive's OpenAPI documents)."""

    name: str = ""
    params: Mapping[str, str] = field(default_factory=dict)
    ids: Mapping[str, Any] = field(default_factory=dict)
    """What fills the template in the path."""

    is_reference: bool = False
    """Whether it changes rarely, and is read by age, see `references.py`."""

    def _get(self, source: Source, params: Mapping[str, str | int], size: PageSize | None = None) -> Answer:
        params = {**self.params, **params}
        return source.client.get(Request(self.path, params, self.ids, self.price, source.stream, size))


@dataclass(frozen=True)
class CursorListing(HttpListing):
    """A v2 list: keyset cursors, `updated_since` where the endpoint has it.

    Sorted by `update_time`, a row that changes meanwhile moves to the end and comes again. Sorted by `id`, the
    next run reads it, as its `updated_since` is no later than the moment this reading began.
    """

    def pages(
        self, source: Source, *, since: datetime | None = None, checkpoint: Checkpoint
    ) -> Iterator[Page]:
        """Follow the cursors. When Pipedrive refuses a cursor from the state, the reading starts anew."""
        params: dict[str, str | int] = {}
        size = PageSize(PAGE)
        if since:
            params |= {"updated_since": rfc3339(since), "sort_by": "update_time", "sort_direction": "asc"}
        cursor = checkpoint.get("cursor")
        if not isinstance(cursor, str):
            cursor = None
        resumed = cursor is not None
        seen: set[str] = set()
        progress = Progress(self.path)
        while True:
            try:
                answer = self._get(source, params | ({"cursor": cursor} if cursor else {}), size)
            except Refused:
                if not resumed:
                    raise
                cursor, resumed = None, False
                continue
            resumed = False
            following = _dig(answer.additional_data, "next_cursor")
            if following is not None and not isinstance(following, str):
                raise PipedriveError(f"GET {self.path} answered a cursor that is no text: report this line.")
            if following in seen:
                raise PipedriveError(f"GET {self.path} answered the same cursor twice: run again.")
            progress.check(answer)
            yield Page(
                partial(_rows, answer, self.path),
                {"cursor": following} if following else {},
                answer.served_at,
                is_first=not cursor,
                in_order=since is not None,
                size=len(answer.raw),
            )
            if not following:
                return
            seen.add(cursor := following)


@dataclass(frozen=True)
class OffsetListing(HttpListing):
    """A v1 list, counted by rows (`start`, `limit`).

    Rows shift when others come, go or change meanwhile, so a row count alone loses rows. A full reading sorts by
    `id`, and each page begins with the last row of the page before; where the two differ, the reading steps back
    until it meets a row that it knows. A reading since a moment begins each page at the second of the last row.
    """

    has_updated_since: bool = True
    is_sortable: bool = True
    limit: int | None = None
    """Rows per page, where the endpoint gives fewer than `PAGE`."""

    def pages(
        self, source: Source, *, since: datetime | None = None, checkpoint: Checkpoint
    ) -> Iterator[Page]:
        """Read by `id`, by time of change, or, where the endpoint has no `updated_since`, newest first."""
        size = PageSize(self.limit or PAGE)
        if since is None:
            sort = {"sort": "id ASC"} if self.is_sortable else {}
            return self._counted(source, sort, checkpoint, size)
        if self.has_updated_since:
            return self._changed(source, since, size)
        return self._newest_first(source, since, size)

    def _changed(self, source: Source, since: datetime, size: PageSize) -> Iterator[Page]:
        second = since.replace(microsecond=0)
        while True:
            params = {"sort": "update_time ASC", "updated_since": rfc3339(second)}
            for page in self._counted(source, params, {}, size):
                yield replace(page, in_order=True)
                latest = _last_change(page.rows)
                if page.checkpoint and latest and latest > second:
                    second = latest
                    break
            else:
                return

    def _newest_first(self, source: Source, since: datetime, size: PageSize) -> Iterator[Page]:
        for page in self._counted(source, {"sort": "update_time DESC"}, {}, size):
            rows = [row for row in page.rows if not _is_older(row, since)]
            yield replace(page, read=partial(list, rows))
            oldest = _last_change(page.rows, descending=True)
            if oldest and oldest < since:
                return

    def _counted(
        self, source: Source, params: Mapping[str, str], checkpoint: Checkpoint, size: PageSize
    ) -> Iterator[Page]:
        """Read page by page. Each request begins with a row that was read before, or rows were removed, and the
        reading steps back until it does, and skips what it knows."""
        start, last_id = checkpoint.get("start", 0), checkpoint.get("last_id")
        if not isinstance(start, int) or start < 0 or "last_id" not in checkpoint:
            start, last_id = 0, None
        known = Known(last_id, is_by_id=params.get("sort") == "id ASC")
        back, restarts = 1, 0
        progress = Progress(self.path)
        while True:
            begin = max(start - back, 0)
            answer = self._get(source, {**params, "start": begin}, size)
            rows = _rows(answer, self.path)
            fresh = known.others(rows) if start else rows
            if begin and (not rows or fresh[:1] == rows[:1]):
                back = 2 * back + max((known.width or len(rows)) // 2, 1)
                restarts += back >= start
                if restarts > RESTARTS:
                    raise PipedriveError(
                        f"GET {self.path}: rows were removed faster than they could be read; run again later."
                    )
                continue
            progress.check(answer)
            following = _next_start(answer, self.path, begin, len(rows), is_full=len(rows) >= size.rows)
            known.add(rows, fresh)
            checkpoint = {} if following is None else {"start": following, "last_id": known.last_id}
            yield Page(
                partial(list, fresh),
                checkpoint,
                answer.served_at,
                is_first=not begin and len(fresh) == len(rows),
                size=len(answer.raw),
            )
            if following is None:
                return
            if following == begin + 1 and start:
                raise _sends_none(self.path, start)
            start, back = following, 1


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
        is_sorted = self._is_by_id and _are_sorted([_id(row) for row in rows], like=self.last_id)
        return [row for row in rows if not self._knows(row, is_sorted=is_sorted)]

    def _knows(self, row: Any, *, is_sorted: bool) -> bool:
        if is_sorted:
            return bool(_id(row) <= self.last_id)
        is_last = self._is_by_id and self.last_id is not None and _id(row) == self.last_id
        return is_last or any(_key(row) in keys for keys in self._keys)

    def add(self, rows: Sequence[Any], fresh: Sequence[Any]) -> None:
        """Note the rows of a page, and which of them are new."""
        self.width = len(rows)
        self._keys.append(frozenset(map(_key, rows)))
        if fresh:
            self.last_id = _id(fresh[-1])


@dataclass(frozen=True)
class WholeListing(HttpListing):
    """A list that comes in one piece."""

    inside: str = ""
    """Key of the rows within `data`; empty where `data` is the list of rows."""

    def pages(
        self, source: Source, *, since: datetime | None = None, checkpoint: Checkpoint
    ) -> Iterator[Page]:
        """Yield one page, unless Pipedrive says that there are more. A list that changes rarely may be one that
        an earlier process has read."""
        if not self.is_reference:
            yield from self._pages(source)
        elif cached := source.run.cached_list(source.stream, self.path):
            yield Page(partial(_rows, cached, self.path), {}, cached.served_at)
        else:
            rows: list[Any] = []
            served_at = None
            for page in self._pages(source):
                rows += page.rows
                served_at = served_at or page.served_at
                yield page
            source.run.keep_list(source.stream, self.path, rows, served_at)

    def _pages(self, source: Source) -> Iterator[Page]:
        start, first = 0, None
        progress = Progress(self.path)
        while True:
            answer = self._get(source, {"start": start} if start else {})
            progress.check(answer)
            rows = _rows(answer, self.path, self.inside)
            fresh = rows if not start or _id(rows[0] if rows else None) != first else []
            following = _next_start(answer, self.path, start, len(fresh), is_full=False)
            yield Page(partial(list, fresh), {}, answer.served_at, size=len(answer.raw))
            if following is None:
                return
            start, first = following, _id(rows[0])


def _dig(body: Any, *keys: str) -> Any:
    value = body
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _rows(answer: Answer, path: str, inside: str = "") -> list[Any]:
    """Return the rows of an answer; v1 sends `null` when there are none."""
    rows = _dig(answer.data, inside) if inside else answer.data
    if rows is None:
        return []
    if not isinstance(rows, list):
        raise PipedriveError(
            f"GET {path} answered {type(rows).__name__} instead of a list: report this line."
        )
    return rows


def _next_start(answer: Answer, path: str, start: int, count: int, *, is_full: bool) -> int | None:
    """Return where the next page begins; None after the last.

    Some v1 endpoints put the envelope under `additional_data.pagination`, others under `additional_data`,
    some without `next_start`. Where even the flag is missing, a full page means that more may follow.
    """
    envelope = _dig(answer.additional_data, "pagination") or answer.additional_data
    envelope = envelope if isinstance(envelope, dict) else {}
    more = envelope.get("more_items_in_collection")
    if more is None:
        more = is_full
    if not more:
        return None
    following = envelope.get("next_start")
    if not isinstance(following, int):
        following = start + count
    if not count or following <= start:
        raise _sends_none(path, start)
    return following


def _sends_none(path: str, start: int) -> PipedriveError:
    return PipedriveError(
        f"GET {path} says that there are more rows than {start}, but sends none: run again."
    )


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


def _id(row: Any) -> Any:
    return row.get("id") if isinstance(row, dict) else None


def _is_older(row: Any, since: datetime) -> bool:
    moment = changed_at(row)
    return moment is not None and moment < since.replace(microsecond=0)


def _last_change(rows: Sequence[Any], *, descending: bool = False) -> datetime | None:
    """Return the last row's time of change; None where the rows are not in the requested order."""
    times = [moment for row in rows if (moment := changed_at(row))]
    return times[-1] if times and times == sorted(times, reverse=descending) else None
