"""How a list is read from its first page to its last.

Pipedrive pages in three ways: v2 hands out cursors, most of v1 counts rows, and some v1 lists come whole.
A walk never takes a page on trust: a page that is no list, a cursor that comes again, rows that shift under a
row count are noticed, and either repaired or an error.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

from tap_pipedrive.answers import Answer
from tap_pipedrive.client import Client
from tap_pipedrive.errors import PipedriveError, Refused
from tap_pipedrive.settings import Settings
from tap_pipedrive.values import clean_timestamp

if TYPE_CHECKING:
    from tap_pipedrive.children import Journal

T = TypeVar("T")
R = TypeVar("R")

PAGE = 500
"""Rows per page: the most that Pipedrive gives; a page costs the same whatever its size."""

RESTARTS = 5
"""How often a walk by row count begins again when rows shift under it."""

Place = Mapping[str, Any]
"""Where a walk goes on: kept in the state between runs. Empty: at the beginning."""


@dataclass(frozen=True)
class Page:
    """Rows as the API sent them."""

    read: Callable[[], Sequence[Any]]
    """Decodes the rows."""

    place: Place
    """Where to go on after them; empty after the last page."""

    served_at: datetime | None
    """The server's clock when it sent them."""

    in_order: bool = False
    """Whether all older changes came before them: then the newest of them is a place to resume as well."""

    reached: datetime | None = None
    """With these rows all is listed that changed before this moment: where the rows do not show it themselves."""

    refusal: PipedriveError | None = None
    """Why rows are missing, if any are."""

    share: float | None = None
    """How much of the walk is done with it, 0 to 1; None where that is not known."""

    size: int = 0
    """Bytes that it holds while it waits."""

    @cached_property
    def rows(self) -> Sequence[Any]:
        """The rows, decoded when they are first asked for."""
        return self.read()


class Source(Protocol):
    """What a walk reads from: the tap."""

    client: Client
    settings: Settings

    def definitions(self, entity: str) -> Sequence[dict[str, Any]]:
        """Field definitions of an entity, read once a run."""

    def column_names(self, entity: str) -> Mapping[str, str]:
        """Column name of each custom field of an entity, by key."""

    def is_selected(self, stream: str) -> bool:
        """Whether a stream is part of this run."""

    def journal(self, stream: str, since: datetime | None) -> "Journal":
        """What a stream's rows say about their children, at least of those that changed since a moment."""

    def in_flight(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """Apply a function that asks the API to each item, several at a time; results come in order."""


class Listing(Protocol):
    """A list of the API that a stream reads; a stream with several has one bookmark for each."""

    @property
    def path(self) -> str:
        """The endpoint."""

    @property
    def name(self) -> str:
        """Name of the partition in the state; empty for a stream's only listing."""

    @property
    def bookmark(self) -> str | None:
        """What the bookmark is about, where it is not the stream's own replication key."""

    @property
    def may_run_ahead(self) -> bool:
        """Whether it can be read before its turn: it needs nothing that other streams find out."""

    def is_wanted(self, source: Source) -> bool:
        """Whether the settings ask for it."""

    def pages(self, source: Source, *, since: datetime | None = None, place: Place) -> Iterator[Page]:
        """Walk the list: all of it from a place on, or, oldest change first, what changed since a moment."""


@dataclass(frozen=True)
class HttpListing:
    """What the three ways of paging share."""

    path: str
    name: str = ""
    params: Mapping[str, str] = field(default_factory=dict)
    ids: Mapping[str, Any] = field(default_factory=dict)
    """What fills the template of the path."""

    bookmark: ClassVar[str | None] = None
    may_run_ahead: ClassVar[bool] = True

    def is_wanted(self, source: Source) -> bool:
        """Always."""
        return True

    def _get(self, source: Source, params: Mapping[str, str | int]) -> Answer:
        return source.client.get(self.path, {**self.params, **params}, **self.ids)


@dataclass(frozen=True)
class CursorListing(HttpListing):
    """A v2 list: keyset cursors, `updated_since` where the endpoint has it.

    Sorted by `update_time`, a row that changes during the walk moves behind it and comes again; sorted by
    `id`, it is the next run's, whose `updated_since` is no later than this walk's beginning.
    """

    def pages(self, source: Source, *, since: datetime | None = None, place: Place) -> Iterator[Page]:
        """Follow the cursors. A cursor from the state that Pipedrive refuses starts the walk anew."""
        params: dict[str, str | int] = {"limit": PAGE}
        if since:
            params |= {"updated_since": rfc3339(since), "sort_by": "update_time", "sort_direction": "asc"}
        cursor = place.get("cursor")
        if not isinstance(cursor, str):
            cursor = None
        resumed = cursor is not None
        seen: set[str] = set()
        while True:
            try:
                answer = self._get(source, params | ({"cursor": cursor} if cursor else {}))
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
            yield Page(
                partial(_rows, answer, self.path),
                {"cursor": following} if following else {},
                answer.served_at,
                in_order=since is not None,
                size=len(answer.raw),
            )
            if not following:
                return
            seen.add(cursor := following)


@dataclass(frozen=True)
class OffsetListing(HttpListing):
    """A v1 list, counted by rows (`start`, `limit`).

    Rows shift when others come, go or change during the walk, so a row count alone loses rows. Read whole, the
    list is sorted by `id` and each page begins with the last row of the one before: a seam that does not fit
    starts the walk anew. Read since a moment, each page begins at the second of the last row seen.
    """

    has_updated_since: bool = True
    is_sortable: bool = True
    limit: int | None = None
    """Rows per page, where the endpoint gives fewer."""

    def pages(self, source: Source, *, since: datetime | None = None, place: Place) -> Iterator[Page]:
        """Walk by `id`, by change time, or, where the list cannot be asked for changes, newest first."""
        if since is None:
            return self._counted(source, {"sort": "id ASC"} if self.is_sortable else {}, place)
        if self.has_updated_since:
            return self._changed(source, since)
        return self._newest_first(source, since)

    def _changed(self, source: Source, since: datetime) -> Iterator[Page]:
        second = since.replace(microsecond=0)
        while True:
            params = {"sort": "update_time ASC", "updated_since": rfc3339(second)}
            for page in self._counted(source, params, {}):
                yield replace(page, in_order=True)
                latest = _last_change(page.rows)
                if page.place and latest and latest > second:
                    second = latest
                    break
            else:
                return

    def _newest_first(self, source: Source, since: datetime) -> Iterator[Page]:
        for page in self._counted(source, {"sort": "update_time DESC"}, {}):
            rows = [row for row in page.rows if not _is_older(row, since)]
            yield replace(page, read=partial(list, rows))
            oldest = _last_change(page.rows, descending=True)
            if oldest and oldest < since:
                return

    def _counted(self, source: Source, params: Mapping[str, str], place: Place) -> Iterator[Page]:
        start, last_id = place.get("start", 0), place.get("last_id")
        if not isinstance(start, int) or start < 0 or "last_id" not in place:
            start = 0
        restarts, limit = 0, self.limit or PAGE
        while True:
            seam = 1 if start else 0
            answer = self._get(source, {**params, "start": start - seam, "limit": limit})
            rows = _rows(answer, self.path)
            if seam and _id(rows[0] if rows else None) != last_id:
                restarts += 1
                if restarts > RESTARTS:
                    raise PipedriveError(
                        f"GET {self.path}: rows were removed faster than they could be read; run again later."
                    )
                start, last_id = 0, None
                continue
            fresh = rows[seam:]
            following = _next_start(
                answer, self.path, start - seam, fresh, len(rows), is_full=len(rows) >= limit
            )
            if following is not None:
                start, last_id = following, _id(rows[-1])
            place = {} if following is None else {"start": start, "last_id": last_id}
            yield Page(partial(list, fresh), place, answer.served_at, size=len(answer.raw))
            if following is None:
                return


@dataclass(frozen=True)
class WholeListing(HttpListing):
    """A list that comes in one piece."""

    inside: str = ""
    """Key under which the rows lie within `data`; empty: `data` are the rows."""

    def pages(self, source: Source, *, since: datetime | None = None, place: Place) -> Iterator[Page]:
        """One page, unless Pipedrive says that there are more."""
        start, first = 0, None
        while True:
            answer = self._get(source, {"start": start} if start else {})
            rows = _rows(answer, self.path, self.inside)
            fresh = rows if not start or _id(rows[0] if rows else None) != first else []
            following = _next_start(answer, self.path, start, fresh, len(rows), is_full=False)
            yield Page(partial(list, fresh), {}, answer.served_at, size=len(answer.raw))
            if following is None:
                return
            start, first = following, _id(rows[0])


def rfc3339(moment: datetime) -> str:
    """Whole seconds and a Z: Pipedrive refuses fractions."""
    return moment.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def _dig(body: Any, *keys: str) -> Any:
    value = body
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _rows(answer: Answer, path: str, inside: str = "") -> list[Any]:
    """The rows of an answer; v1 says `null` when there are none."""
    rows = _dig(answer.data, inside) if inside else answer.data
    if rows is None:
        return []
    if not isinstance(rows, list):
        raise PipedriveError(
            f"GET {path} answered {type(rows).__name__} instead of a list: report this line."
        )
    return rows


def _next_start(
    answer: Answer, path: str, start: int, fresh: Sequence[Any], count: int, *, is_full: bool
) -> int | None:
    """Where the next page begins, None after the last.

    Some v1 endpoints put the envelope under `additional_data.pagination`, others under `additional_data`,
    some without `next_start`. Where even the flag is missing, a full page means that there may be more.
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
    if not fresh or following <= start:
        raise PipedriveError(
            f"GET {path} says that there are more rows than {start}, but sends none: run again."
        )
    return following


def _id(row: Any) -> Any:
    return row.get("id") if isinstance(row, dict) else None


def changed_at(row: Any, column: str = "update_time") -> datetime | None:
    """Second of a row's `update_time`; None where there is none, or nonsense."""
    try:
        moment = clean_timestamp(row.get(column)) if isinstance(row, dict) else None
    except ValueError:
        return None
    return moment and moment.replace(microsecond=0)


def _is_older(row: Any, since: datetime) -> bool:
    moment = changed_at(row)
    return moment is not None and moment < since.replace(microsecond=0)


def _last_change(rows: Sequence[Any], *, descending: bool = False) -> datetime | None:
    """The last row's time of change; None where the rows are not in the order that was asked for."""
    times = [moment for row in rows if (moment := changed_at(row))]
    return times[-1] if times and times == sorted(times, reverse=descending) else None
