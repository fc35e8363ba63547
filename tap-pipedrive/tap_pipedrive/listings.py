"""How a list is read from its first page to its last.

Pipedrive pages in three ways: v2 hands out cursors, most of v1 counts rows, and some v1 lists come in one piece.
Each page is checked: a page that is no list, a cursor or a page that comes again, pages without rows that do not
end, and rows that shift under a row count are noticed, and either repaired or reported as an error.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any

from tap_pipedrive.answers import Answer
from tap_pipedrive.client import PageSize, Request
from tap_pipedrive.errors import NotAllowed, PipedriveError, Refused
from tap_pipedrive.guards import Known, Progress, id_of
from tap_pipedrive.source import Checkpoint, Listing, Page, Source
from tap_pipedrive.values import changed_at, rfc3339

PAGE = 500
"""Rows per page: the most that Pipedrive gives. A page costs the same whatever its size. A walk whose pages fail
goes on with smaller ones."""

RESTARTS = 5
"""How often a reading by row count may have to go back to its beginning, as so many rows were removed."""

MOST_IDS = 100
"""Ids per request, which is the most that Pipedrive takes."""

PRICE_OF_ONE = 2
"""API tokens for a single record of v1."""

GONE = (404, 410)
"""Statuses of a record that does not exist."""


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

    takes_ids: bool = False
    """Whether it can be asked for some records, by the parameter `ids`."""

    one: str = ""
    """Endpoint of a single record, where there is one and no parameter `ids`."""

    @property
    def has_records(self) -> bool:
        """Whether it takes ids, or has an endpoint for one record."""
        return self.takes_ids or bool(self.one)

    def pages_of(self, source: Source, ids: Sequence[str]) -> Iterator[Page]:
        """Ask for some records."""
        return self._by_ids(source, ids) if self.takes_ids else self._one_by_one(source, ids)

    def _by_ids(self, source: Source, ids: Sequence[str]) -> Iterator[Page]:
        for start in range(0, len(ids), MOST_IDS):
            chosen = ids[start : start + MOST_IDS]
            answer = self._get(source, {"ids": ",".join(chosen), "limit": MOST_IDS})
            yield Page(partial(_rows, answer, self.path), {}, answer.served_at)

    def _one_by_one(self, source: Source, ids: Sequence[str]) -> Iterator[Page]:
        for each in ids:
            asked = Request(self.one, {}, {"id": each}, PRICE_OF_ONE, source.stream)
            try:
                answer = source.client.get(asked)
            except NotAllowed as problem:
                if problem.status not in GONE:
                    raise
                continue
            yield Page(partial(list, [answer.data]), {}, answer.served_at)

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
            fresh = rows if not start or id_of(rows[0] if rows else None) != first else []
            following = _next_start(answer, self.path, start, len(fresh), is_full=False)
            yield Page(partial(list, fresh), {}, answer.served_at, size=len(answer.raw))
            if following is None:
                return
            start, first = following, id_of(rows[0])


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


def _is_older(row: Any, since: datetime) -> bool:
    moment = changed_at(row)
    return moment is not None and moment < since.replace(microsecond=0)


def _last_change(rows: Sequence[Any], *, descending: bool = False) -> datetime | None:
    """Return the last row's time of change; None where the rows are not in the requested order."""
    times = [moment for row in rows if (moment := changed_at(row))]
    return times[-1] if times and times == sorted(times, reverse=descending) else None
