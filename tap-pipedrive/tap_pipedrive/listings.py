"""How a list is read from its first page to its last.

Pipedrive pages in three ways: v2 hands out cursors, most of v1 counts rows, and some v1 lists come whole.
A walk never takes a page on trust: a page that is no list, a cursor that comes again, rows that shift under a
row count are noticed, and either repaired or an error.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Protocol

from tap_pipedrive.client import Answer, Client
from tap_pipedrive.errors import PipedriveError, Refused
from tap_pipedrive.values import clean_timestamp

PAGE = 500
"""Rows per page: the most that Pipedrive gives; a page costs the same whatever its size."""

RESTARTS = 5
"""How often a walk by row count begins again when rows shift under it."""

Place = Mapping[str, Any]
"""Where a walk goes on: kept in the state between runs. Empty: at the beginning."""


@dataclass(frozen=True, slots=True)
class Page:
    """Rows as the API sent them."""

    rows: Sequence[Any]
    place: Place
    """Where to go on after them; empty after the last page."""

    served_at: datetime | None
    """The server's clock when it sent them."""

    in_order: bool = False
    """Whether all older changes came before them: then the newest of them is a place to resume as well."""


class Source(Protocol):
    """What a walk reads from: the tap."""

    client: Client

    def definitions(self, entity: str) -> Sequence[dict[str, Any]]:
        """Field definitions of an entity, read once a run."""

    def column_names(self, entity: str) -> Mapping[str, str]:
        """Column name of each custom field of an entity, by key."""


class Listing(Protocol):
    """A list of the API that a stream reads; a stream with several has one bookmark for each."""

    @property
    def path(self) -> str:
        """The endpoint."""

    @property
    def name(self) -> str:
        """Name of the partition in the state; empty for a stream's only listing."""

    def pages(self, source: Source, *, since: datetime | None = None, place: Place) -> Iterator[Page]:
        """Walk the list: all of it from a place on, or, oldest change first, what changed since a moment."""


@dataclass(frozen=True)
class CursorListing:
    """A v2 list: keyset cursors, `updated_since` where the endpoint has it.

    Sorted by `update_time`, a row that changes during the walk moves behind it and comes again; sorted by
    `id`, it is the next run's, whose `updated_since` is no later than this walk's beginning.
    """

    path: str
    name: str = ""
    params: Mapping[str, str] = field(default_factory=dict)

    def pages(self, source: Source, *, since: datetime | None = None, place: Place) -> Iterator[Page]:
        """Follow the cursors. A cursor from the state that Pipedrive refuses starts the walk anew."""
        params: dict[str, str | int] = {**self.params, "limit": PAGE}
        if since:
            params |= {"updated_since": rfc3339(since), "sort_by": "update_time", "sort_direction": "asc"}
        cursor = place.get("cursor")
        if not isinstance(cursor, str):
            cursor = None
        resumed = cursor is not None
        seen: set[str] = set()
        while True:
            try:
                answer = source.client.get(self.path, params | ({"cursor": cursor} if cursor else {}))
            except Refused:
                if not resumed:
                    raise
                cursor, resumed = None, False
                continue
            resumed = False
            following = _dig(answer.body, "additional_data", "next_cursor")
            if following is not None and not isinstance(following, str):
                raise PipedriveError(f"GET {self.path} answered a cursor that is no text: report this line.")
            if following in seen:
                raise PipedriveError(f"GET {self.path} answered the same cursor twice: run again.")
            place = {"cursor": following} if following else {}
            yield Page(_rows(answer, self.path), place, answer.served_at, in_order=since is not None)
            if not following:
                return
            seen.add(cursor := following)


@dataclass(frozen=True)
class OffsetListing:
    """A v1 list, counted by rows (`start`, `limit`).

    Rows shift when others come, go or change during the walk, so a row count alone loses rows. Read whole, the
    list is sorted by `id` and each page begins with the last row of the one before: a seam that does not fit
    starts the walk anew. Read since a moment, each page begins at the second of the last row seen.
    """

    path: str
    name: str = ""
    has_updated_since: bool = True

    def pages(self, source: Source, *, since: datetime | None = None, place: Place) -> Iterator[Page]:
        """Walk by `id`, by change time, or, where the list cannot be asked for changes, newest first."""
        if since is None:
            return self._counted(source.client, {"sort": "id ASC"}, place)
        if self.has_updated_since:
            return self._changed(source.client, since)
        return self._newest_first(source.client, since)

    def _changed(self, client: Client, since: datetime) -> Iterator[Page]:
        second = since.replace(microsecond=0)
        while True:
            params = {"sort": "update_time ASC", "updated_since": rfc3339(second)}
            for page in self._counted(client, params, {}):
                yield replace(page, in_order=True)
                latest = _last_change(page.rows)
                if page.place and latest and latest > second:
                    second = latest
                    break
            else:
                return

    def _newest_first(self, client: Client, since: datetime) -> Iterator[Page]:
        for page in self._counted(client, {"sort": "update_time DESC"}, {}):
            yield replace(page, rows=[row for row in page.rows if not _is_older(row, since)])
            oldest = _last_change(page.rows, descending=True)
            if oldest and oldest < since:
                return

    def _counted(self, client: Client, params: Mapping[str, str], place: Place) -> Iterator[Page]:
        start, last_id = place.get("start", 0), place.get("last_id")
        if not isinstance(start, int) or start < 0 or "last_id" not in place:
            start = 0
        restarts = 0
        while True:
            seam = 1 if start else 0
            answer = client.get(self.path, {**params, "start": start - seam, "limit": PAGE})
            rows = _rows(answer, self.path)
            if seam and _id(rows[0] if rows else None) != last_id:
                restarts += 1
                if restarts > RESTARTS:
                    raise PipedriveError(
                        f"GET {self.path}: rows were removed faster than they could be read; run again later."
                    )
                start, last_id = 0, None
                continue
            following = _next_start(answer, self.path, start - seam, rows[seam:], len(rows))
            if following is None:
                yield Page(rows[seam:], {}, answer.served_at)
                return
            start, last_id = following, _id(rows[-1])
            yield Page(rows[seam:], {"start": start, "last_id": last_id}, answer.served_at)


@dataclass(frozen=True)
class WholeListing:
    """A list that comes in one piece."""

    path: str
    name: str = ""

    def pages(self, source: Source, *, since: datetime | None = None, place: Place) -> Iterator[Page]:
        """One page, unless Pipedrive says that there are more."""
        start, first = 0, None
        while True:
            answer = source.client.get(self.path, {"start": start} if start else {})
            rows = _rows(answer, self.path)
            fresh = rows if not start or _id(rows[0] if rows else None) != first else []
            following = _next_start(answer, self.path, start, fresh, len(rows), paged=False)
            yield Page(fresh, {}, answer.served_at)
            if following is None:
                return
            start, first = following, _id(rows[0])


@dataclass(frozen=True)
class DefinitionListing:
    """An entity's field definitions, which the tap has read already, to know its custom fields."""

    path: str
    name: str
    """The entity."""

    def pages(self, source: Source, *, since: datetime | None = None, place: Place) -> Iterator[Page]:
        """One page: a row per field."""
        names = source.column_names(self.name)
        rows = [
            {**field, "entity": self.name, "column_name": names.get(str(field.get("field_code")))}
            for field in source.definitions(self.name)
        ]
        yield Page(rows, {}, None)


@dataclass(frozen=True)
class OptionListing(DefinitionListing):
    """The options of an entity's fields."""

    def pages(self, source: Source, *, since: datetime | None = None, place: Place) -> Iterator[Page]:
        """One page: a row per option."""
        rows = [
            {
                **option,
                "entity": self.name,
                "field_code": field.get("field_code"),
                "option_id": option.get("id"),
            }
            for field in source.definitions(self.name)
            if isinstance(field.get("options"), list)
            for option in field["options"]
            if isinstance(option, dict)
        ]
        yield Page(rows, {}, None)


def rfc3339(moment: datetime) -> str:
    """Whole seconds and a Z: Pipedrive refuses fractions."""
    return moment.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def _dig(body: Mapping[str, Any], *keys: str) -> Any:
    value: Any = body
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _rows(answer: Answer, path: str) -> list[Any]:
    """The rows of an answer; v1 says `null` when there are none."""
    rows = answer.body["data"]
    if rows is None:
        return []
    if not isinstance(rows, list):
        raise PipedriveError(
            f"GET {path} answered {type(rows).__name__} instead of a list: report this line."
        )
    return rows


def _next_start(
    answer: Answer, path: str, start: int, fresh: Sequence[Any], count: int, *, paged: bool = True
) -> int | None:
    """Where the next page begins, None after the last.

    Some v1 endpoints put the envelope under `additional_data.pagination`, others under `additional_data`,
    some without `next_start`. Where even the flag is missing, a full page means that there may be more.
    """
    envelope = _dig(answer.body, "additional_data", "pagination") or _dig(answer.body, "additional_data")
    envelope = envelope if isinstance(envelope, dict) else {}
    more = envelope.get("more_items_in_collection")
    if more is None:
        more = paged and count >= PAGE
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


def changed_at(row: Any) -> datetime | None:
    """Second of a row's `update_time`; None where there is none, or nonsense."""
    try:
        moment = clean_timestamp(row.get("update_time")) if isinstance(row, dict) else None
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
