"""What all lists of the API share: where they are, what a request costs, and how single records are asked for."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tap_pipedrive.answers import Answer
from tap_pipedrive.client import PageSize, Request
from tap_pipedrive.errors import NotAllowed, PipedriveError
from tap_pipedrive.source import Listing, Page, Source

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
        return self.by_ids(source, ids) if self.takes_ids else self._one_by_one(source, ids)

    def by_ids(self, source: Source, ids: Sequence[str]) -> Iterator[Page]:
        """Ask for some records by the parameter `ids`."""
        for start in range(0, len(ids), MOST_IDS):
            chosen = ids[start : start + MOST_IDS]
            answer = self.get(source, {"ids": ",".join(chosen), "limit": MOST_IDS})
            yield Page(partial(rows_of, answer, self.path), {}, answer.served_at)

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

    def get(self, source: Source, params: Mapping[str, str | int], size: PageSize | None = None) -> Answer:
        """Ask for one page."""
        params = {**self.params, **params}
        fault = self.fault if size else None
        return source.client.get(Request(self.path, params, self.ids, self.price, source.stream, size, fault))

    def fault(self, answer: Answer, query: Mapping[str, str | int]) -> str | None:
        """Return what is wrong with a page that these parameters asked for; None if nothing is."""
        return None


def dig(body: Any, *keys: str) -> Any:
    """Return what lies under some keys in nested objects; None where there is no such key."""
    value = body
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def rows_of(answer: Answer, path: str, inside: str = "") -> list[Any]:
    """Return the rows of an answer; v1 sends `null` when there are none."""
    rows = dig(answer.data, inside) if inside else answer.data
    if rows is None:
        return []
    if not isinstance(rows, list):
        raise PipedriveError(
            f"GET {path} answered {type(rows).__name__} instead of a list: report this line."
        )
    return rows
