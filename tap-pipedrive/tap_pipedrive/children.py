"""What hangs on deals, persons, … and can only be asked for by their ids: line items, followers, changes.

The walk of the parents' list says for free which of them changed and which have children, see `Journal`; only
those are asked about, in the order of their change, so that the bookmark moves with them.
"""

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, ClassVar

from tap_pipedrive.errors import NotAllowed, PipedriveError, Refused
from tap_pipedrive.listings import (
    CursorListing,
    Listing,
    OffsetListing,
    Page,
    Place,
    Source,
    WholeListing,
    changed_at,
)
from tap_pipedrive.values import clean_integer

ALL_TIME = -(2**62)
"""In a journal: no time of change. Earlier than any."""

MANY_REFUSALS = 20
"""As many parents that may not be asked about, before the first that may, mean that none may."""


class Journal:
    """What the walks of one stream saw of its rows: id, times and counts, 8 bytes each."""

    def __init__(self, needs: Iterable["Parents"]) -> None:
        """`needs`: what the child streams of the run want to know."""
        needs = list(needs)
        times = {need.moved for need in needs if need.moved}
        times |= {"add_time" for need in needs if need.only_if_changed}
        times.add("update_time")
        self.began: datetime | None = None
        """When the earliest of the walks began."""
        self.lost = 0
        """Rows without an id to ask about."""
        self._ids = array("q")
        self._times = {name: array("q") for name in times}
        self._counts = {need.count: array("q") for need in needs if need.count}
        self._walked: dict[str, datetime | None] = {}

    def note(self, rows: Iterable[Any]) -> None:
        """Remember rows; a count that is missing may be any."""
        for row in rows:
            parent = _integer(row.get("id")) if isinstance(row, dict) else None
            if parent is None:
                self.lost += 1
                continue
            self._ids.append(parent)
            for name, times in self._times.items():
                moment = changed_at(row, name)
                times.append(int(moment.timestamp()) if moment else ALL_TIME)
            for name, counts in self._counts.items():
                count = _integer(row.get(name))
                counts.append(1 if count is None else count)

    def close(self, listing: str, since: datetime | None, began: datetime | None) -> None:
        """A listing was walked to its end, once more perhaps: all of it, or what changed since a moment."""
        before = self._walked.get(listing, since)
        self._walked[listing] = min(before, since) if before and since else None
        if began:
            self.began = min(self.began or began, began)

    def covers(self, listings: Iterable[Listing], since: datetime | None) -> bool:
        """Whether all that changed since a moment (None: ever) was seen."""
        for listing in listings:
            walked = self._walked.get(listing.name, datetime.max.replace(tzinfo=UTC))
            if walked is not None and (since is None or walked > since):
                return False
        return True

    def changed(self, parents: "Parents", since: datetime | None) -> list[tuple[int, int]]:
        """(Second of change, id) of the parents to ask about, by time of change.

        None comes later than its `update_time`: a run that goes on from there has to find it in the parents' list.
        """
        start = int(since.timestamp()) if since else ALL_TIME
        counts = self._counts.get(parents.count or "")
        births = self._times["add_time"] if parents.only_if_changed else None
        times = self._times[parents.moved] if parents.moved else None
        may_lack = parents.moved == "update_time"  # some that have changed have none
        updates = self._times["update_time"]
        latest: dict[int, int] = {}
        for position, parent in enumerate(self._ids):
            latest.pop(parent, None)  # a row seen again is as it is now, not as it was
            moved = times[position] if times else ALL_TIME
            is_new = births is not None and moved <= births[position] and not (moved == ALL_TIME and may_lack)
            if moved >= start and not is_new and (counts is None or counts[position] != 0):
                latest[parent] = min(moved, updates[position])
        return sorted((moved, parent) for parent, moved in latest.items())


@dataclass(frozen=True)
class Parents:
    """Which rows of another stream are asked about."""

    stream: str
    moved: str | None = "update_time"
    """The time that tells when their children may have changed; None: all are asked about in each run."""

    count: str | None = None
    """The number of children, where the parents' list tells it; none means no question."""

    only_if_changed: bool = False
    """Whether what was never changed after its creation has no children: histories."""


@dataclass(frozen=True)
class ChildListing:
    """A list per parent, or per some of them.

    Raises NotAllowed when the API answers for none of them.
    """

    list_of: CursorListing | OffsetListing | WholeListing
    """The list of one request's parents."""

    parents: Parents
    key: str
    """Column for the parent's id."""

    batch: int = 1
    """Parents per request; with more than one, their ids go into the parameter `many`."""

    many: str = ""
    name: str = ""
    may_run_ahead: ClassVar[bool] = False

    @property
    def path(self) -> str:
        """The endpoint."""
        return self.list_of.path

    @property
    def bookmark(self) -> str | None:
        """The parents' time of change."""
        return f"{self.parents.stream}.{self.parents.moved}" if self.parents.moved else None

    def is_wanted(self, source: Source) -> bool:
        """Always."""
        return True

    def pages(self, source: Source, *, since: datetime | None = None, place: Place) -> Iterator[Page]:
        """Ask about the parents that changed, those that changed first first.

        The place tells apart parents that changed together, by a bulk edit for one: they may be more than the
        tokens of a run suffice for. It stays behind the last minute before the parents were listed, in which
        others may have changed that were not to be seen yet.
        """
        journal = source.journal(self.parents.stream, since)
        changed = _after(place, journal.changed(self.parents, since))
        settled = journal.began.timestamp() - source.settings.lookback_seconds if journal.began else ALL_TIME
        batches = [changed[start : start + self.batch] for start in range(0, len(changed), self.batch)]
        refused: list[
            Page
        ] = []  # held back until one is answered: if none is, the bookmark stays before them
        is_answered = False
        answers = source.in_flight(partial(self._ask, source), batches)
        for asked, (batch, (rows, refusal)) in enumerate(zip(batches, answers, strict=True), 1):
            moved, parent = batch[-1]
            place = {"moved": moved, "id": parent} if moved < settled else place
            page = Page(
                partial(list, rows),
                place,
                journal.began,
                reached=datetime.fromtimestamp(moved, UTC) if moved != ALL_TIME else None,
                refusal=refusal,
                share=asked / len(batches),
            )
            is_answered = is_answered or refusal is None
            if is_answered:
                yield from [*refused, page]
                refused.clear()
            else:
                refused.append(page)
            if refusal and len(refused) == MANY_REFUSALS:
                raise refusal
        for page in refused:
            if isinstance(page.refusal, NotAllowed) and page.refusal.status == 403:
                raise page.refusal
        yield from refused  # what is gone
        lost = PipedriveError(f"{journal.lost} rows of {self.parents.stream} have no id to ask about")
        yield Page(list, {}, journal.began, reached=journal.began, refusal=lost if journal.lost else None)

    def _ask(
        self, source: Source, batch: Sequence[tuple[int, int]]
    ) -> tuple[Sequence[Any], PipedriveError | None]:
        """All rows of a batch; one parent that may not be seen is no reason to leave the others out."""
        ids = [parent for _, parent in batch]
        if self.many:
            params = {**self.list_of.params, self.many: ",".join(map(str, ids))}
            return _all_rows(replace(self.list_of, params=params), source), None
        try:
            rows = _all_rows(replace(self.list_of, ids={"id": ids[0]}), source)
        except (NotAllowed, Refused) as error:
            if isinstance(error, NotAllowed) and error.status not in (403, 404, 410):
                raise  # the plan, not the parent
            return [], error
        return self.of_parent(ids[0], rows), None

    def of_parent(self, parent: int, rows: Sequence[Any]) -> Sequence[Any]:
        """The rows of one parent, with its id."""
        return [{**row, self.key: parent} if isinstance(row, dict) else row for row in rows]


def _after(place: Place, changed: Sequence[tuple[int, int]]) -> Sequence[tuple[int, int]]:
    """The parents behind a place; all, if it is none."""
    moved, parent = place.get("moved"), place.get("id")
    if not (isinstance(moved, int) and isinstance(parent, int)):
        return changed
    return changed[bisect_right(changed, (moved, parent)) :]


def _all_rows(listing: Listing, source: Source) -> list[Any]:
    return [row for page in listing.pages(source, place={}) for row in page.rows]


def _integer(value: Any) -> int | None:
    try:
        return clean_integer(value)
    except ValueError:
        return None
