"""Pages: keyset cursors of v2, offsets and both envelopes of v1."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

import orjson

from pipedrive_sandbox.account.store import Key, Table, place
from pipedrive_sandbox.records.model import Record, Test
from pipedrive_sandbox.records.refusals import invalid

T = TypeVar("T")

DEFAULT_LIMIT = 100


def encode(content: bytes) -> str:
    """Return content as an opaque cursor: base64url without padding."""
    return urlsafe_b64encode(content).rstrip(b"=").decode()


def decode(cursor: str) -> bytes:
    """Return the content of a cursor, or refuse with 400."""
    try:
        return urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    except (Base64Error, ValueError):
        raise invalid("cursor is not valid") from None


def cursor_of(row: Record, field: str, *, descending: bool) -> str:
    """Return the cursor of the page that begins with the row."""
    direction = "desc" if descending else "asc"
    marker = {"field": field, "fieldValue": row[field], "sortDirection": direction, "id": row["id"]}
    return encode(orjson.dumps(marker))


def place_of(cursor: str, field: str, *, descending: bool) -> Key:
    """Return the place that a cursor names. A cursor of another sort order is refused with 400."""
    try:
        marker = orjson.loads(decode(cursor))
        found, direction = marker["field"], marker["sortDirection"]
        start = place({field: marker["fieldValue"], "id": marker["id"]}, field)
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise invalid("cursor is not valid") from None
    if (found, direction) != (field, "desc" if descending else "asc"):
        raise invalid("cursor does not belong to this sort order")
    return start


def passing(rows: Iterator[Record], tests: Iterable[Test]) -> Iterator[Record]:
    """Return the rows that pass all tests."""
    for test in tests:
        rows = filter(test, rows)
    return rows


def keyset_page(
    table: Table, tests: Iterable[Test], *, field: str, descending: bool, cursor: str | None, limit: int
) -> tuple[list[Record], str | None]:
    """Return the rows of a page and the cursor of the next one, read from the present data."""
    start = place_of(cursor, field, descending=descending) if cursor else None
    try:
        rows = table.walk(field, descending=descending, start=start)
    except TypeError:  # a forged marker whose value cannot be compared with the field's
        raise invalid("cursor is not valid") from None
    page = list(islice(passing(rows, tests), limit + 1))
    if len(page) <= limit:
        return page, None
    return page[:limit], cursor_of(page[limit], field, descending=descending)


def list_page(
    items: Sequence[T], cursor: str | None, limit: int, marker: str = "id"
) -> tuple[Sequence[T], str | None]:
    """Return a page of a plain list and the cursor of the next, of the form `id:123`."""
    start = 0
    if cursor:
        name, _, number = decode(cursor).decode(errors="replace").partition(":")
        if name != marker or not number.isdecimal():
            raise invalid("cursor is not valid")
        start = int(number)
    end = start + limit
    return items[start:end], encode(f"{marker}:{end}".encode()) if end < len(items) else None


def flat(start: int, limit: int, *, more: bool) -> Record:
    """Return the paging keys in the form of `/leads` and `/leadFields`."""
    return {"start": start, "limit": limit, "more_items_in_collection": more}


def nested(start: int, limit: int, *, more: bool) -> Record:
    """Return the paging keys in the form of most of v1; the last page has no `next_start`."""
    pagination = flat(start, limit, more=more)
    if more:
        pagination["next_start"] = start + limit
    return {"pagination": pagination}


def bare(start: int, limit: int, *, more: bool) -> None:
    """Return no paging keys: with some v1 lists, the client has to notice the last page itself."""


ENVELOPES: dict[str, Callable[..., Record | None]] = {"flat": flat, "nested": nested, "bare": bare}


def sort_rows(rows: Iterator[Record], order: Sequence[tuple[str, bool]]) -> list[Record]:
    """Return rows sorted by several fields, each (name, descending); equal rows keep their order."""
    result = list(rows)
    for field, descending in reversed(order):
        result.sort(key=lambda row: place(row, field)[:2], reverse=descending)
    return result
