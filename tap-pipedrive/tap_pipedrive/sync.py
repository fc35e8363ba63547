"""How a stream is synced: listing by listing, page by page, a state that resumes after it following each page."""

import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from math import ceil, floor
from operator import itemgetter
from typing import Any

from singer_sdk import metrics

from tap_pipedrive.bookmarks import Walk
from tap_pipedrive.children import ChildListing
from tap_pipedrive.errors import BudgetSpent, Fatal, NotAllowed, PipedriveError
from tap_pipedrive.field_changes import SCHEMA_CHANGES
from tap_pipedrive.history import FIELD_KEY, ChangeListing
from tap_pipedrive.masks import RowMask
from tap_pipedrive.memory import Memory
from tap_pipedrive.problems import problems
from tap_pipedrive.rows import Row
from tap_pipedrive.run import Run
from tap_pipedrive.sdk import SdkTap
from tap_pipedrive.source import Listing, Page
from tap_pipedrive.statement import NAMED, Reading, Reason
from tap_pipedrive.table import FULL_TABLE, Table

PROGRESS_SECONDS = 10
"""How often a long stream reports its progress."""

FIELD_COLUMNS = "field_columns"
"""Name of the stream of the columns of custom fields."""

FORGIVEN_REJECTS = 10
"""Rows per stream with values that do not fit which never fail a run, whatever their share."""


class PipedriveStream(Table):
    """A stream of Pipedrive. Subclasses are attributes only; those of `Table` describe them."""

    def __init__(self, tap: SdkTap, run: Run) -> None:
        super().__init__(tap, run.definitions, run.settings, run.masks)
        self.run = run
        self._refusals: list[PipedriveError] = []
        self._read_up_to: dict[str, datetime] = {}  # by listing
        self._rejected_values = 0
        self._has_page = False
        self._left: int | None = None  # parents that have not been asked about yet
        self._asked = 0
        self._key_of = itemgetter(*self.primary_keys)
        self._reported = time.monotonic()

    def get_records(self, context: Mapping[str, Any] | None) -> Iterable[Row]:
        """Yield all rows, without messages or state; a run writes page by page instead, see `sync_pages`."""
        source = self.run.source(self.name)
        for walk in self.run.walks(self):
            for page in walk.pages(source):
                yield from self.read(page.rows)[0]

    def read(self, records: Sequence[Any]) -> tuple[list[Row], list[Row]]:
        """Return the rows of a page's records, and the rows for `rejected_values`. What is hidden in records is
        hidden in their histories, too."""
        rows, rejected = super().read(records)
        if self._history_of:
            mask, parent = self._history_of
            mask.hide_changes(rows, parent)
            rejected = [{**row, "value": None} for row in rejected]
        return rows, rejected

    @cached_property
    def _history_of(self) -> tuple[RowMask, str] | None:
        """What is hidden in the records of which this is the history, and the column with their ids."""
        for listing in self.listings:
            if isinstance(listing, ChangeListing) and listing.subject == FIELD_KEY:
                mask = self.run.table(listing.parents.stream).row_mask
                return None if mask.is_empty else (mask, listing.key)
        return None

    def sync_pages(self) -> None:
        """Write the rows, page by page, with a state after each, and report what was found.

        What fails costs the list that fails: it is noted in the run's statement. Raises Fatal.
        """
        reading = self.run.statement.readings.get(self.name) or Reading(self.name, "")
        try:
            if self.blocked:
                raise self.blocked
            walks = self.run.pages(self)
        except Fatal:
            raise
        except PipedriveError as error:
            self._leave(reading, None, error)
        else:
            self._sync_walks(walks, reading)
        if self.listings:
            self._fill(reading)

    def _sync_walks(self, walks: Sequence[tuple[Walk, Iterable[Page]]], reading: Reading) -> None:
        """Write all lists of the stream, report what was found, and end a complete pass."""
        named = self.custom_fields
        self._write_columns()
        again: list[Walk] = []
        started = time.monotonic()
        if walks and all(walk.since is None and not walk.is_resumed for walk, _ in walks):
            self._memory.lost = 0
        with self.get_record_counter() as counter, self.get_sync_timer():
            for walk, pages in walks:
                self._sync_listing(walk, pages, counter, reading)
            for walk, _ in walks if reading.reason is None else ():
                # A resumed first load lacks what changed since another run began it. A complete pass over several
                # lists lacks what moved from one list to the other meanwhile.
                if walk.is_resumed or (walk.is_whole and self.replication_key and len(walks) > 1):
                    again.append(self.run.walk(self, walk.listing, is_whole=False))
                    pages = again[-1].pages(self.run.source(self.name))
                    self._sync_listing(again[-1], pages, counter, reading)
            if reading.reason is None:
                self._sync_chosen(counter, reading)
        if self.custom_fields is not named:  # fields were added during the run
            self._write_columns()
        seconds = time.monotonic() - started
        log = self.logger.info if walks else self.logger.debug
        count, rate = f"{self.row_count:,}", f"{self.row_count / max(seconds, 0.001):,.0f}"
        log("%s: %s rows in %.1f s (%s rows/s)", self.name, count, seconds, rate)
        if any(walk.since is None and not walk.is_whole for walk, _ in walks):
            reading.method = "first_load"
        elif not walks and self._is_kept:
            reading.method = "kept"
        self._report_problems(reading)
        if reading.reason is None and (walks or self._is_kept):
            self._end(reading, [walk for walk, _ in walks], again)

    def _write_columns(self) -> None:
        """Write which columns custom fields have, and what has become of them since the run before."""
        self.run.fill(FIELD_COLUMNS, self.column_rows())
        run_id, now = self.run.statement.run_id, datetime.now(UTC)
        rows = [change.row(run_id, self.name) | {"seen_at": now} for change in self.field_changes]
        self.field_changes.clear()
        self.run.fill(SCHEMA_CHANGES, rows)

    def _sync_chosen(self, counter: metrics.Counter, reading: Reading) -> None:
        """Write the records that the setting `reread` names. Raises Fatal."""
        chosen = self.settings.reread.get(self.name)
        if not isinstance(chosen, list) or not chosen or self.run.is_reread(self) or self.settings.reconcile:
            return
        ids = list(dict.fromkeys(map(str, chosen)))
        source = self.run.source(self.name)
        key = next((each.key for each in self.listings if isinstance(each, ChildListing)), "id")
        found: set[str] = set()
        try:
            for listing in self.listings:
                if not listing.has_records or not listing.is_enabled(self.run):
                    continue
                for page in listing.pages_of(source, ids):
                    rows = self._write_page(page)
                    counter.increment(len(rows))
                    found.update(str(row.get(key)) for row in rows)
                    self.write_state()
        except Fatal:
            raise
        except PipedriveError as error:
            self._leave(reading, None, error)
            return
        self.logger.info("%s: %d of the %d chosen records were read again.", self.name, len(found), len(ids))
        if key == "id" and (gone := [each for each in ids if each not in found]):
            self.logger.warning(
                "%s: Pipedrive does not show %s: they were deleted or merged, or the token's user may not see "
                "them. A run with reconcile marks what is gone.",
                self.name,
                ", ".join(gone[:NAMED]) + " …" * (len(gone) > NAMED),
            )

    def sync_again(self, listings: Sequence[Listing]) -> None:
        """Write some of the stream's lists once more, after all streams had their turn. Raises Fatal."""
        reading = self.run.statement.readings[self.name]
        if reading.reason is not None:
            return
        is_whole = self.replication_method == FULL_TABLE
        walks = [self.run.walk(self, listing, is_whole=is_whole) for listing in listings]
        with self.get_record_counter() as counter, self.get_sync_timer():
            for walk in walks:
                self._sync_listing(walk, walk.pages(self.run.source(self.name)), counter, reading)
        if reading.reason is None:
            reading.method = "whole" if reading.method == "kept" else reading.method
            self._note_read(reading)
        self._fill(reading)

    def _end(self, reading: Reading, walks: Sequence[Walk], again: Sequence[Walk]) -> None:
        """Note up to when the stream has been read, and end a complete pass."""
        self._note_read(reading)
        is_pass = len(walks) > 0 and all(walk.since is None for walk in walks) and not self._is_kept
        if is_pass and reading.read_up_to and not self._memory.unread and not self._memory.lost:
            self._memory.last_complete_pass = reading.read_up_to
        if is_pass and self.settings.reconcile and not self.keeps_missing_rows:
            self._end_pass(walks, again)

    def _note_read(self, reading: Reading) -> None:
        """Note up to when the stream has been read. A list that is read by age may have been read in an earlier
        run; one that was read in this run has all that was sought in it."""
        read_up_to = dict(self._read_up_to)
        if reference := self.run.references.get(self.name):
            (name,) = [listing.name for listing in self.listings if listing.is_reference]
            if name in read_up_to:
                reference.note_read(read_up_to[name], self.tap.writer.last_row_at.get(self.name))
            if reference.read_at:
                read_up_to[name] = reference.read_at
                reading.due_at = reference.read_at + timedelta(hours=self.settings.reference_max_age)
            self.write_state()
        reading.read_up_to = min(read_up_to.values(), default=None)

    @property
    def _is_kept(self) -> bool:
        reference = self.run.references.get(self.name)
        return reference is not None and reference.is_kept

    @property
    def _parents(self) -> set[str]:
        """The streams on whose rows those of this stream hang."""
        return {listing.parents.stream for listing in self.listings if isinstance(listing, ChildListing)}

    @property
    def _memory(self) -> Memory:
        return Memory(self.stream_state)

    def _memory_of(self, listing: Listing) -> Memory:
        """Return what the state keeps of one of the stream's lists."""
        has_own = listing.name and (listing.bookmark or self.replication_key or len(self.listings) > 1)
        return Memory(self.get_context_state({"listing": listing.name})) if has_own else self._memory

    def _leave(self, reading: Reading, listing: Listing | None, error: PipedriveError) -> None:
        """Note that the stream, or one of its lists, is not read to its end. One that the API does not let be read
        is missing if it has had rows, else it is empty."""
        reason = Reason.FAILED
        if isinstance(error, BudgetSpent):
            reason = Reason.BUDGET
            self.run.stop(error)
        elif isinstance(error, NotAllowed):
            memory = self._memory_of(listing) if listing else self._memory
            never = Reason.RIGHTS if error.status == 403 else Reason.PLAN
            reason = Reason.REFUSED if memory.has_had_rows else never
        if reason is not Reason.BUDGET and reading.reason is not reason:
            self.logger.warning("%s: %s", self.name, error)
        reading.leave(reason, error)

    def _fill(self, reading: Reading) -> None:
        """Complete what the statement says of the stream."""
        reading.is_over = True
        if reading.reason is Reason.BUDGET and self._left:
            reading.left_count, reading.runs_left = self._left, ceil(self._left / self._asked)
            _, tokens = self.run.left_to_ask[self.name]
            a_day = self.run.client.limits.tokens_a_day
            if a_day and isinstance(reading.error, BudgetSpent) and not reading.error.needed:
                reading.days_left = ceil(tokens / a_day)
        resumes = bool(self.replication_key) or any(listing.bookmark for listing in self.listings)
        reading.is_starved = reading.reason is Reason.BUDGET and not (self._has_page and resumes)
        self._memory.note_turn(is_starved=reading.is_starved)
        reading.rows_sent = self.row_count
        reading.values_rejected = self._rejected_values
        reading.last_row_at = self.tap.writer.last_row_at.get(self.name)
        if reading.method == "kept":
            reading.last_row_at = self.run.references[self.name].last_row_at
        reading.unread = self._memory.unread
        reading.records_lost = self._memory.lost + sum(
            self.run.memory(parents).lost for parents in self._parents
        )
        reading.is_mapped = not self.is_plain
        self.unread_count = len(reading.unread)
        reading.last_complete_pass = self._memory.last_complete_pass
        self.write_state()

    def _sync_listing(
        self, walk: Walk, pages: Iterable[Page], counter: metrics.Counter, reading: Reading
    ) -> None:
        """Write the rows of one reading; rows that may have children go into the parent index. Raises Fatal."""
        index = self.run.parent_indexes.get(self.name)
        started = time.monotonic()
        served_at: datetime | None = None
        try:
            for page in walk.follow(pages, self.write_state):
                served_at = served_at or page.served_at
                self._has_page = True
                self._left = page.left
                self._asked += page.left is not None
                rows = self._write_page(page)
                counter.increment(len(rows))
                walk.count(page, map(self._key_of, rows))
                if rows:
                    self._memory_of(walk.listing).note_rows()
                if index:
                    index.add(page.rows)
                if page.refusal:
                    self._refusals.append(page.refusal)
                if page.lost:
                    self._memory.lost += page.lost
                    reading.unread_detail = f"{page.refusal}."
                for parent, problem in page.parents.items():
                    self._memory.settle(parent, is_unread=problem is not None)
                    said = problem.said if isinstance(problem, NotAllowed) else problem
                    reading.unread_detail = str(said) if said else reading.unread_detail
                if time.monotonic() - self._reported > PROGRESS_SECONDS:
                    self._report_progress(page, time.monotonic() - started)
        except Fatal:
            raise
        except PipedriveError as error:
            self._leave(reading, walk.listing, error)
            return
        # A page that comes from no request of its own does not say when it was served.
        began = walk.began if served_at or walk.is_resumed else self.run.client.first_served_at
        if began:
            self._read_up_to[walk.listing.name] = began
        if index and not walk.is_resumed:
            index.complete(walk.listing.name, walk.since, walk.began, walk.served_at)

    def _write_page(self, page: Page) -> list[Row]:
        """Write the rows of a page, and return them."""
        lost_before = self.reader.lost_rows
        rows, rejected = self.read(page.rows)
        self._memory.lost += self.reader.lost_rows - lost_before
        self.run.note_names(self, rows)
        if self.ABORT_AT_RECORD_COUNT is not None:  # `--test` reads one row of each stream
            rows = rows[: self.ABORT_AT_RECORD_COUNT]
        self.write(rows, self.run.client.clock.now)
        self.run.reject(rejected)
        self.row_count += len(rows)
        self._rejected_values += len(rejected)
        if self.ABORT_AT_RECORD_COUNT is not None and rows:
            self.stop_at_record_limit(self.row_count)
        return rows

    def _end_pass(self, walks: Sequence[Walk], again: Sequence[Walk]) -> None:
        """After a complete pass, have the target mark the rows that it has not seen, and remember their number.

        The version is the moment when the run began, and rows have the moment when they are written, by the same
        clock (see `clocks.py`): what the pass has seen, and what other runs write meanwhile, is never older.
        """
        seen = walks[0].keys.distinct(*(walk.keys for walk in (*walks[1:], *again)))
        before = sum(walk.rows_in_last_pass for walk in walks)
        least = self.settings.reconcile_min_ratio
        self.is_pass_refused = not self.filtered_rows  # which somebody wanted
        if self.reader.lost_rows or self._refusals or self._memory.unread:
            self.logger.warning("%s: no rows are marked as deleted, as some could not be read.", self.name)
        elif self.filtered_rows:
            self.logger.warning(
                "%s: no rows are marked as deleted, as a filter in stream_maps leaves %d rows out, which may be "
                "in the warehouse from before.",
                self.name,
                self.filtered_rows,
            )
        elif seen < least * before:
            self.logger.warning(
                f"{self.name}: no rows are marked as deleted, as only {seen:,} of the {before:,} rows of the last "
                f"complete pass were seen, less than reconcile_min_ratio ({least:g}) allows. If the token still "
                f"has its rights, and the others are really gone, set it to {floor(100 * seen / before) / 100:g} "
                "for one run."
            )
        else:
            self.is_pass_refused = False
            self.write_activate_version(self.run.client.clock.began)
            for walk in walks[1:]:
                walk.remember(walk.rows)
            walks[0].remember(max(seen - sum(walk.rows for walk in walks[1:]), 0))
        self.write_state()

    def _report_progress(self, page: Page, seconds: float) -> None:
        self._reported = time.monotonic()
        remaining = f", {seconds / page.share - seconds:,.0f} s to go" if page.share else ""
        count, tokens = f"{self.row_count:,}", f"{self.run.client.limits.tokens_spent:,}"
        self.logger.info("%s: %s rows so far, %s API tokens in all%s", self.name, count, tokens, remaining)

    def _report_problems(self, reading: Reading) -> None:
        """Report what was left out; more values that do not fit than `max_rejects` fail the stream."""
        for warning in self.tap.maps.warnings(self.name, self.schema["properties"].keys()):
            self.logger.warning("%s", warning)
        for problem in problems(self, self._memory, self._refusals, reading.unread_detail):
            self.logger.warning("%s: %s", self.name, problem)
        rejected = self.reader.rejected_rows
        most = max(FORGIVEN_REJECTS, self.settings.max_rejects * self.row_count)
        if rejected > most:
            too_many = PipedriveError(
                f"{rejected} of {self.row_count} rows have values that do not fit their column, more "
                f"than max_rejects ({self.settings.max_rejects:.1%}) allows: look at rejected_values, then raise "
                "max_rejects if that is all right."
            )
            self._leave(reading, None, too_many)


class OptionalStream(PipedriveStream):
    """A stream that is off by default: it needs an add-on or an administrator, or costs a call per record."""

    selected_by_default = False
