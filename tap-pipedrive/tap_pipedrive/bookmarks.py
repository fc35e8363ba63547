"""How far a list has been read: its bookmark in the state, and how the bookmark moves.

The state is written after the rows that it covers. A run can end at any STATE message: the next run resumes from
it, and reads some rows twice rather than missing any.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from tap_pipedrive.errors import PipedriveError
from tap_pipedrive.settings import Settings
from tap_pipedrive.source import Checkpoint, Listing, Page, Source
from tap_pipedrive.values import changed_at, clean_timestamp, rfc3339

CLOCK_TOLERANCE = timedelta(hours=1)
"""A bookmark that is further ahead of Pipedrive's clock than this is a mistake."""

CHECKPOINT = "place"
"""Key in the state of the checkpoint of a child listing, as states have it since the first version."""

SAVE_SECONDS = 1
"""Seconds between STATE messages where a page is only the few rows of one parent."""


class Walk:
    """One reading of one listing, which begins where the state says.

    The first load reads by id, and another run resumes it from its checkpoint; its bookmark is the moment when it
    began. Later runs read by time of change, from the bookmark on. Raises PipedriveError when the state is
    malformed or ahead of Pipedrive's clock.
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
        """When the reading began, by Pipedrive's clock."""
        self.rows = 0
        """Rows read so far; those of a first load include earlier runs."""
        self._state = state
        self._name = bookmark
        self.is_whole = is_whole
        self._bookmark: datetime | None = None
        self._is_first_load = False
        if bookmark and not is_whole:
            self._bookmark = self._read_bookmark(settings.start_date)
            self._is_first_load = "first_load" in state or "replication_key_value" not in state
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
                self.began = self.began or self._clock(page.served_at)
                yield page
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
            self._set(min(self._newest or self.began, self.began))
        if self._remembers:
            self.remember(max(self.rows, self.rows_in_last_pass))
        save()

    @property
    def rows_in_last_pass(self) -> int:
        """Rows that the last complete reading saw; 0 if there was none."""
        rows = self._state.get("complete_pass_rows")
        return rows if isinstance(rows, int) else 0

    def remember(self, rows: int) -> None:
        """Keep in the state how many rows a complete reading has seen."""
        self._state["complete_pass_rows"] = rows

    def _move(self, page: Page) -> None:
        is_known = page.reached and self._bookmark and page.reached < self._bookmark  # from the run before
        self.rows += 0 if is_known else len(page.rows)
        if self._name is None or self.is_whole or self.began is None:
            return
        checkpoint: dict[str, Any] = {}
        if self.listing.bookmark:
            self._follow_parents(page, self.began)
        elif self.since is None:
            checkpoint = {"began": rfc3339(self.began), **page.checkpoint}
        else:
            self._follow_changes(page, self.began)
        if self._is_first_load and (checkpoint or "replication_key_value" in self._state):
            self._state["first_load"] = {"rows": self.rows, **checkpoint}

    def _follow_parents(self, page: Page, began: datetime) -> None:
        """Move past the parents whose children were read; a parent without a time of change moves nothing."""
        if page.checkpoint:
            self._state[CHECKPOINT] = dict(page.checkpoint)
        if page.reached:
            self._newest = None
            reached = min(page.reached, began)
            self._set(max(reached, self._bookmark or reached))  # never back to the parents of the lookback

    def _follow_changes(self, page: Page, began: datetime) -> None:
        """Move past the newest change, as long as the rows come in the order of their changes."""
        times = [moment for row in page.rows if (moment := changed_at(row))]
        self._in_order = self._in_order and page.in_order and times == sorted(times)
        self._in_order = self._in_order and not (self._previous and times and times[0] < self._previous)
        self._previous = times[-1] if times else self._previous
        self._newest = max([*times, self._newest or began])
        if self._in_order:
            self._set(min(self._newest, began))

    def _set(self, moment: datetime) -> None:
        self._state |= {"replication_key": self._name, "replication_key_value": rfc3339(moment)}

    def _read_bookmark(self, start_date: datetime | None) -> datetime | None:
        bookmark = self._time_in_state(self._state.get("replication_key_value"))
        return max(bookmark, start_date) if bookmark and start_date else bookmark or start_date

    def _read_checkpoint(self) -> None:
        """Take from the state how far an unfinished reading came, and when a first load began."""
        first_load = self._state.get("first_load", {})
        if not isinstance(first_load, dict):
            raise PipedriveError(f"The state's first_load of {self.stream} is no object: clear the state.")
        rows = first_load.get("rows")
        self.rows = rows if isinstance(rows, int) else 0
        if self.listing.bookmark:
            checkpoint = self._state.get(CHECKPOINT)
            self.checkpoint = checkpoint if isinstance(checkpoint, dict) else {}
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

    def _clock(self, served_at: datetime | None) -> datetime:
        """Return when the reading began by Pipedrive's clock, as the host's may be wrong."""
        if served_at is None:
            return datetime.now(UTC) - timedelta(days=1)
        if self._bookmark and self._bookmark > served_at + CLOCK_TOLERANCE:
            raise PipedriveError(
                f"The bookmark of {self.stream}, {rfc3339(self._bookmark)}, is later than Pipedrive's clock, "
                f"{rfc3339(served_at)}, so that changes would be missed: correct start_date or clear the state."
            )
        return served_at


def _back(moment: datetime, seconds: int) -> datetime:
    try:
        return moment - timedelta(seconds=seconds)
    except OverflowError:
        return moment
