"""How a list is read from its first page to its last.

Pipedrive pages in three ways: v2 hands out cursors, most of v1 counts rows, and some v1 lists come in one piece.
Each page is checked: a page that is no list, a cursor or a page that comes again, pages without rows that do not
end, and rows that shift under a row count are noticed, and either repaired or reported as an error.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from tap_pipedrive.answers import Answer
from tap_pipedrive.client import PageSize
from tap_pipedrive.errors import NotAllowed, PipedriveError, Refused, Unavailable
from tap_pipedrive.guards import Known, Progress, id_of
from tap_pipedrive.http_listing import MOST_IDS, HttpListing, dig, rows_of
from tap_pipedrive.source import Checkpoint, Page, Source
from tap_pipedrive.values import changed_at, rfc3339

PAGE = 500
"""Rows per page: the most that Pipedrive gives. A page costs the same whatever its size. A walk whose pages fail
goes on with smaller ones."""

RESTARTS = 5
"""How often a reading by row count may have to go back to its beginning, as so many rows were removed."""

MOST_BETWEEN = 2_000
"""Ids between the neighbours of a row that fails; with more of them, too much of the list would be missing."""

MOST_LOST = 10
"""Records of a list that may fail by themselves; with more of them, it is the list that fails."""

logger = logging.getLogger("tap-pipedrive")


@dataclass(frozen=True)
class CursorListing(HttpListing):
    """A v2 list: keyset cursors, `updated_since` where the endpoint has it.

    Sorted by `update_time`, a row that changes meanwhile moves to the end and comes again. Sorted by `id`, the
    next run reads it, as its `updated_since` is no later than the moment this reading began.
    """

    def pages(
        self, source: Source, *, since: datetime | None = None, checkpoint: Checkpoint
    ) -> Iterator[Page]:
        """Follow the cursors. When Pipedrive refuses a cursor from the state, the reading starts anew. When a page
        fails for good, so that no cursor leads on, the rest is read from the other end."""
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
        last: Page | None = None
        while True:
            try:
                answer = self._page(source, params, cursor, size)
            except Refused:
                if not resumed:
                    raise
                cursor, resumed = None, False
                continue
            except Unavailable as error:
                if not (self.takes_ids and error.is_of_content):
                    raise
                if resumed:  # the row before is not known
                    cursor, resumed = None, False
                    continue
                if not (last or self._ends(source, params)):
                    raise
                if not size.shrink():
                    yield from self._from_the_end(source, params, last, error)
                    return
                continue
            resumed = False
            size.note_good()
            following = _following(answer, self.path)
            if following in seen:
                raise PipedriveError(f"GET {self.path} answered the same cursor twice: run again.")
            progress.check(answer)
            last = Page(
                partial(rows_of, answer, self.path),
                {"cursor": following} if following else {},
                answer.served_at,
                is_first=not cursor,
                in_order=since is not None,
                size=len(answer.raw),
            )
            yield last
            if not following:
                return
            seen.add(cursor := following)

    def _page(
        self, source: Source, params: Mapping[str, str | int], cursor: str | None, size: PageSize
    ) -> Answer:
        """Ask for a page. A first one with `null` is asked for again: it is v1's empty list, but v2 sends `[]`."""
        if cursor:
            return self.get(source, {**params, "cursor": cursor}, size)
        answer = self.get(source, params, size)
        return self.get(source, params, size) if answer.is_null and "/v2/" in self.path else answer

    def fault(self, answer: Answer, query: Mapping[str, str | int]) -> str | None:
        """Return what shows that a page is not whole: no list where a cursor has led, or just as many rows as were
        asked for, and not a word of what follows. The last page says that nothing does, by `next_cursor: null`."""
        if answer.is_null and "cursor" in query:
            return "a page without a list"
        more = answer.additional_data
        if isinstance(more, dict) and more.get("next_cursor", "") != "":
            return None
        if len(rows_of(answer, self.path)) != int(query["limit"]):
            return None
        return "a full page that does not say whether there is another one"

    def _ends(self, source: Source, params: Mapping[str, str | int]) -> bool:
        """Return whether the list answers at its other end."""
        try:
            self.get(source, _backwards(params), PageSize(1))
        except (Unavailable, Refused, NotAllowed):
            return False
        return True

    def _from_the_end(
        self, source: Source, params: Mapping[str, str | int], last: Page | None, error: PipedriveError
    ) -> Iterator[Page]:
        """Read backwards to the row that fails, and what lies between its neighbours. The checkpoint stays before
        it until all is read. Raises the error when nobody can tell what that row hides; so it is in the order of
        changes, where the bookmark stays before it.
        """
        checkpoint = last.checkpoint if last else {}
        before = {id_of(row) for row in last.rows} if last else set()
        size, progress = PageSize(PAGE), Progress(self.path)
        cursor: dict[str, str] = {}
        first: Any = None
        while True:
            try:
                answer = self.get(source, _backwards(params) | cursor, size)
            except Unavailable:
                if size.shrink():
                    continue
                break
            except (Refused, NotAllowed):
                raise error from None
            size.note_good()
            progress.check(answer)
            rows = rows_of(answer, self.path)
            fresh = [row for row in rows if id_of(row) not in before]
            first = id_of(fresh[-1]) if fresh else first
            yield Page(partial(list, fresh), checkpoint, answer.served_at, size=len(answer.raw))
            following = _following(answer, self.path)
            if len(fresh) < len(rows) or not following:
                return  # what failed has answered
            cursor = {"cursor": following}
        newest = max((each for each in before if isinstance(each, int)), default=0)
        between = range(newest + 1, first if isinstance(first, int) else 0)
        if params or not between or len(between) > MOST_BETWEEN:
            raise error
        yield from self._one_of(source, [str(each) for each in between], checkpoint, error)

    def _gap(self, record: str, checkpoint: Checkpoint) -> Page:
        """Return a page without the record that fails."""
        problem = PipedriveError(f"GET {self.path} fails as soon as record {record} is in the answer")
        logger.warning("%s.", problem)
        return Page(list, checkpoint, None, refusal=problem, lost=1)

    def _one_of(
        self, source: Source, ids: Sequence[str], checkpoint: Checkpoint, error: PipedriveError
    ) -> Iterator[Page]:
        """Ask for records by their ids, fewer and fewer, until each that fails stands alone. Raises the error when
        too many fail."""
        parts = [ids[start : start + MOST_IDS] for start in range(0, len(ids), MOST_IDS)]
        gaps: list[Page] = []
        while parts:
            part = parts.pop(0)
            try:
                for page in self.by_ids(source, part):
                    yield replace(page, checkpoint=checkpoint)
            except Unavailable:
                middle = len(part) // 2
                if middle:
                    parts[:0] = [part[:middle], part[middle:]]
                    continue
                gaps.append(self._gap(part[0], checkpoint))
                if len(gaps) > MOST_LOST:
                    raise error from None
        yield from gaps


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
            answer = self.get(source, {**params, "start": begin}, size)
            rows = rows_of(answer, self.path)
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
            yield Page(partial(rows_of, cached, self.path), {}, cached.served_at)
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
            answer = self.get(source, {"start": start} if start else {})
            progress.check(answer)
            rows = rows_of(answer, self.path, self.inside)
            fresh = rows if not start or id_of(rows[0] if rows else None) != first else []
            following = _next_start(answer, self.path, start, len(fresh), is_full=False)
            yield Page(partial(list, fresh), {}, answer.served_at, size=len(answer.raw))
            if following is None:
                return
            start, first = following, id_of(rows[0])


def _backwards(params: Mapping[str, str | int]) -> dict[str, str | int]:
    """Return parameters for the same list from its other end."""
    return {"sort_by": "id", **params, "sort_direction": "desc"}


def _following(answer: Answer, path: str) -> str | None:
    following = dig(answer.additional_data, "next_cursor")
    if following is not None and not isinstance(following, str):
        raise PipedriveError(f"GET {path} answered a cursor that is no text: report this line.")
    return following


def _next_start(answer: Answer, path: str, start: int, count: int, *, is_full: bool) -> int | None:
    """Return where the next page begins; None after the last.

    Some v1 endpoints put the envelope under `additional_data.pagination`, others under `additional_data`,
    some without `next_start`. Where even the flag is missing, a full page means that more may follow.
    """
    envelope = dig(answer.additional_data, "pagination") or answer.additional_data
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
