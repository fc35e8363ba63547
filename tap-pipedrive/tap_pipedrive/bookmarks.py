"""How far a list has been read: its bookmark in the state, and how the bookmark moves.

The state is written after the rows that it covers. A run can end at any STATE message: the next run resumes from
it, and reads some rows twice rather than missing any.
"""

import logging
import time
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from tap_pipedrive.clocks import proven
from tap_pipedrive.distinct import DistinctCount
from tap_pipedrive.errors import PipedriveError
from tap_pipedrive.settings import Settings
from tap_pipedrive.source import Checkpoint, Listing, Page, Source
from tap_pipedrive.values import changed_at, clean_timestamp, rfc3339

CLOCK_TOLERANCE = timedelta(hours=1)
"""A bookmark that is further ahead of Pipedrive's clock than this is a mistake."""

CHECKPOINT = "place"
"""Key in the state of the checkpoint of a child listing, as states have it since the first version."""

LEFT_OUT = "start_date"
"""Key in the state of the `start_date` of a first load: it left out the rows that had last changed before."""

SAVE_SECONDS = 1
"""Seconds between STATE messages where a page is only the few rows of one parent."""

logger = logging.getLogger("tap-pipedrive")


class Walk:
    """One reading of one listing, which begins where the state says.

    The first load reads by id, and another run resumes it from its checkpoint; its bookmark is the moment when it
    began. It leaves out rows by itself that last changed before `start_date`, as Pipedrive would leave out those
    without a time as well. Later runs read by time of change, from the bookmark on. Raises PipedriveError when the
    state is malformed or ahead of Pipedrive's clock.
    """

    def __init__(
        self,
        stream: str,
        listing: Listing,
        state: dict[str, Any],
        *,
        bookmark: str | None,
        is_whole: bool,
        settings: Settings,
    ) -> None:
        """`bookmark`: the column of the bookmark, if there is one; `is_whole`: read everything despite it."""
        self.stream = stream
        self.listing = listing
        self.since: datetime | None = None
        """Only rows that changed since this moment are read; None: all rows."""
        self.checkpoint: Checkpoint = {}
        self.began: datetime | None = None
        """When the reading began, by the smaller clock, see `clocks.py`."""
        self.served_at: datetime | None = None
        """The same by Pipedrive's clock, in this run."""
        self._earlier_rows = 0  # of a first load that an earlier run began
        self.keys = DistinctCount()
        """The keys of the rows that were written."""
        self._state = state
        self._name = bookmark
        self.is_whole = is_whole
        self._bookmark: datetime | None = None
        self._is_first_load = False
        self._start_date = None if is_whole or not bookmark else settings.start_date
        if bookmark and not is_whole:
            self._bookmark = self._read_bookmark()
            self._is_first_load = "first_load" in state or "replication_key_value" not in state
            self._compare_start_dates()
            self._read_checkpoint()
            if self._bookmark:
                self.since = _back(self._bookmark, settings.lookback_seconds)
        self._remembers = not settings.reconcile and (self._is_first_load or self.since is None)
        self.is_resumed = self.began is not None
        """Whether an earlier run began this reading."""
        self._newest, self._in_order = self._bookmark, True
        self._previous: datetime | None = None
        self._saved = 0.0

    def pages(self, source: Source) -> Iterator[Page]:
        """Read the listing from where the state says."""
        return self.listing.pages(source, since=self.since, checkpoint=self.checkpoint)

    def follow(self, pages: Iterable[Page], save: Callable[[], None]) -> Iterator[Page]:
        """Yield the pages; when the consumer asks for the next one, the state moves past the one before."""
        try:
            for page in pages:
                self.served_at = self.served_at or page.served_at
                self.began = self.began or self._clock(page)
                if page.is_first:
                    self._earlier_rows = 0
                yield self._since_start_date(page)
                self._move(page)
                if page.reached is None or time.monotonic() - self._saved > SAVE_SECONDS:
                    save()
                    self._saved = time.monotonic()
        except PipedriveError:
            save()
            raise
        if self._name and self.began:
            self._state.pop("first_load", None)
            self._state.pop(CHECKPOINT, None)
            if self.is_whole:
                self._state.pop(LEFT_OUT, None)
            self._set(self._newest or self.began)
        if self._remembers:
            self.remember(max(self.rows, self.rows_in_last_pass))
        save()

    def count(self, page: Page, keys: Iterable[Hashable]) -> None:
        """Note the keys of the rows that were written of a page."""
        if not (page.reached and self._bookmark and page.reached < self._bookmark):  # else an earlier run did
            self.keys.add(keys)

    @property
    def rows(self) -> int:
        """Distinct rows so far; those of a first load include earlier runs."""
        return self._earlier_rows + self.keys.distinct()

    @property
    def rows_in_last_pass(self) -> int:
        """Rows that the last complete reading saw; 0 if there was none."""
        rows: int = self._state.get("complete_pass_rows", 0)
        return rows

    def remember(self, rows: int) -> None:
        """Keep in the state how many rows a complete reading has seen."""
        self._state["complete_pass_rows"] = rows

    def _move(self, page: Page) -> None:
        if self._name is None or self.is_whole or self.began is None:
            return
        checkpoint: dict[str, Any] = {}
        if self.listing.bookmark:
            self._follow_parents(page)
        elif self.since is None:
            checkpoint = {"began": rfc3339(self.began), **page.checkpoint}
        else:
            self._follow_changes(page, self.began)
        if self._is_first_load and (checkpoint or "replication_key_value" in self._state):
            self._state["first_load"] = {"rows": self._earlier_rows + self.keys.added, **checkpoint}
            if self._start_date:
                self._state[LEFT_OUT] = rfc3339(self._start_date)

    def _follow_parents(self, page: Page) -> None:
        """Move past the parents whose children were read; a parent without a time of change moves nothing."""
        if page.checkpoint:
            self._state[CHECKPOINT] = dict(page.checkpoint)
        if page.reached:
            self._newest = None
            self._set(page.reached)

    def _follow_changes(self, page: Page, began: datetime) -> None:
        """Move past the newest change, as long as the rows come in the order of their changes."""
        times = [moment for row in page.rows if (moment := changed_at(row))]
        self._in_order = self._in_order and page.in_order and times == sorted(times)
        self._in_order = self._in_order and not (self._previous and times and times[0] < self._previous)
        self._previous = times[-1] if times else self._previous
        self._newest = max([*times, self._newest or began])
        if self._in_order:
            self._set(self._newest)

    def _set(self, moment: datetime) -> None:
        """Move the bookmark, never back, and never beyond what is proven. The time of a row proves itself, unless
        it is later than Pipedrive's clock."""
        limit = self.began or moment
        if moment > limit and not (self._proves_itself and self.served_at and moment <= self.served_at):
            moment = limit
        moment = max(moment, self._bookmark or moment)
        self._state |= {"replication_key": self._name, "replication_key_value": rfc3339(moment)}

    @property
    def _proves_itself(self) -> bool:
        """Whether the bookmark moves with the times of rows of this reading."""
        return self.since is not None and not self.listing.bookmark

    def _read_bookmark(self) -> datetime | None:
        bookmark = self._time_in_state(self._state.get("replication_key_value"))
        if bookmark and self._start_date and self._start_date > bookmark:
            logger.warning(
                "%s: start_date, %s, is later than the bookmark, %s: what changed between the two is left out.",
                self.stream,
                rfc3339(self._start_date),
                rfc3339(bookmark),
            )
            return self._start_date
        return bookmark

    def _compare_start_dates(self) -> None:
        """Say what it does that `start_date` is earlier now than it was when the first load began."""
        before = self._time_in_state(self._state.get(LEFT_OUT))
        if before is None or (self._start_date and self._start_date >= before):
            return
        if self._bookmark is None:
            self._state.pop("first_load", None)  # which is not complete: it begins anew
            self._state.pop(LEFT_OUT)
            return
        logger.warning(
            "%s: the first load left out what last changed before %s, which an earlier start_date does not bring: "
            "run once with --full-refresh, or with the setting reconcile.",
            self.stream,
            rfc3339(before),
        )

    def _since_start_date(self, page: Page) -> Page:
        """Return a page of a first load without the rows that last changed before `start_date`."""
        start = self._start_date
        if not start or self.since or self.listing.bookmark:
            return page
        return replace(page, read=partial(_changed_since, page, start))

    def _read_checkpoint(self) -> None:
        """Take from the state how far an unfinished reading came, and when a first load began."""
        first_load = self._state.get("first_load", {})
        rows = first_load.get("rows")
        self._earlier_rows = rows if isinstance(rows, int) else 0
        if self.listing.bookmark:
            self.checkpoint = self._state.get(CHECKPOINT, {})
        elif self._bookmark is None:
            self.checkpoint = {
                key: value for key, value in first_load.items() if key not in ("began", "rows")
            }
            self.began = self._time_in_state(first_load.get("began"))

    def _time_in_state(self, value: Any) -> datetime | None:
        try:
            return clean_timestamp(value)
        except ValueError:
            raise PipedriveError(
                f"The state of {self.stream} has {str(value)[:40]!r} where a time should be: correct or clear it."
            ) from None

    def _clock(self, page: Page) -> datetime:
        """Return when the reading began by the smaller clock."""
        start, served_at = self._bookmark or self._start_date, page.served_at
        if start and served_at and start > served_at + CLOCK_TOLERANCE:
            raise PipedriveError(
                f"The bookmark of {self.stream}, {rfc3339(start)}, is later than Pipedrive's clock, "
                f"{rfc3339(served_at)}, so that changes would be missed: correct start_date or clear the state."
            )
        return page.began or proven(served_at)


def _changed_since(page: Page, start: datetime) -> list[Any]:
    return [row for row in page.rows if (changed_at(row) or start) >= start]


def _back(moment: datetime, seconds: int) -> datetime:
    try:
        return moment - timedelta(seconds=seconds)
    except OverflowError:
        return moment
