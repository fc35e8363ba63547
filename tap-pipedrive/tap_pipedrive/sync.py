"""How a stream is synced: listing by listing, page by page, a state that resumes after it following each page."""

import time
from collections.abc import Iterable, Mapping, Sequence
from math import floor
from operator import itemgetter
from typing import Any

from singer_sdk import metrics

from tap_pipedrive.bookmarks import Walk
from tap_pipedrive.errors import BudgetSpent, NotAllowed, PipedriveError
from tap_pipedrive.rows import Row
from tap_pipedrive.run import Run
from tap_pipedrive.sdk import SdkTap
from tap_pipedrive.source import Page
from tap_pipedrive.table import Table

PROGRESS_SECONDS = 10
"""How often a long stream reports its progress."""

FIELD_COLUMNS = "field_columns"
"""Name of the stream of the columns of custom fields."""

FORGIVEN_REJECTS = 10
"""Rows per stream with values that do not fit which never fail a run, whatever their share."""


class PipedriveStream(Table):
    """A stream of Pipedrive. Subclasses are attributes only; those of `Table` describe them."""

    def __init__(self, tap: SdkTap, run: Run) -> None:
        super().__init__(tap, run.definitions, run.settings)
        self.run = run
        self._is_complete = True
        self._refusals: list[PipedriveError] = []
        self._key_of = itemgetter(*self.primary_keys)
        self._reported = time.monotonic()

    def get_records(self, context: Mapping[str, Any] | None) -> Iterable[Row]:
        """Yield all rows, without messages or state; a run writes page by page instead, see `sync_pages`."""
        source = self.run.source(self.name)
        for walk in self.run.walks(self):
            for page in walk.pages(source):
                yield from self.read(page.rows)[0]

    def sync_pages(self) -> None:
        """Write the rows, page by page, with a state after each, and report what was found."""
        if self.blocked:
            self.run.fail(self.name, self.blocked)
            return
        named = self.custom_fields
        self.run.fill(FIELD_COLUMNS, self.column_rows())
        walks = self.run.pages(self)
        again: list[Walk] = []
        started = time.monotonic()
        with self.get_record_counter() as counter, self.get_sync_timer():
            for walk, pages in walks:
                self._sync_listing(walk, pages, counter)
            for walk, _ in walks:
                # A resumed first load lacks what changed since another run began it. A complete pass over several
                # lists lacks what moved from one list to the other meanwhile.
                if walk.is_resumed or (walk.is_whole and self.replication_key and len(walks) > 1):
                    again.append(self.run.walk(self, walk.listing, is_whole=False))
                    self._sync_listing(again[-1], again[-1].pages(self.run.source(self.name)), counter)
        if self.custom_fields is not named:  # fields were added during the run
            self.run.fill(FIELD_COLUMNS, self.column_rows())
        seconds = time.monotonic() - started
        log = self.logger.info if walks else self.logger.debug
        count, rate = f"{self.row_count:,}", f"{self.row_count / max(seconds, 0.001):,.0f}"
        log("%s: %s rows in %.1f s (%s rows/s)", self.name, count, seconds, rate)
        self._report_problems()
        passes = [walk for walk, _ in walks if walk.since is None]
        is_complete = self._is_complete and not self.keeps_missing_rows and len(passes) == len(walks)
        if walks and is_complete and self.settings.reconcile:
            self._end_pass(passes, again)

    def _sync_listing(self, walk: Walk, pages: Iterable[Page], counter: metrics.Counter) -> None:
        """Write the rows of one reading; rows that may have children go into the parent index."""
        index = self.run.parent_indexes.get(self.name)
        started = time.monotonic()
        try:
            for page in walk.follow(pages, self.write_state):
                rows = self._write_page(page)
                counter.increment(len(rows))
                walk.count(page, map(self._key_of, rows))
                if index:
                    index.add(page.rows)
                if page.refusal:
                    self._refusals.append(page.refusal)
                    self.unread_count += 1
                if time.monotonic() - self._reported > PROGRESS_SECONDS:
                    self._report_progress(page, time.monotonic() - started)
        except NotAllowed as error:
            self._is_complete = False
            self.run.refuse(self.name, error)
            return
        except BudgetSpent as error:
            self._is_complete = False
            self.run.stop(error, self.name)
            return
        if index and not walk.is_resumed:
            index.complete(walk.listing.name, walk.since, walk.began, walk.served_at)

    def _write_page(self, page: Page) -> list[Row]:
        """Write the rows of a page, and return them."""
        rows, rejected = self.read(page.rows)
        if self.ABORT_AT_RECORD_COUNT is not None:  # `--test` reads one row of each stream
            rows = rows[: self.ABORT_AT_RECORD_COUNT]
        self.write(rows, self.run.client.clock.now)
        self.run.reject(rejected)
        self.row_count += len(rows)
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
        if self.reader.lost_rows or self._refusals:
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

    def _report_problems(self) -> None:
        """Report unknown keys, missing rows and rejected values. Raises PipedriveError beyond `max_rejects`."""
        reader = self.reader
        for warning in self.tap.maps.warnings(self.name, self.schema["properties"].keys()):
            self.logger.warning("%s", warning)
        if reader.unknown_keys:
            keys = ", ".join(f"{key} ({count} rows)" for key, count in sorted(reader.unknown_keys.items()))
            self.logger.warning(
                "%s: Pipedrive sent keys that have no column here, please report them: %s", self.name, keys
            )
        if self.custom_fields and self.custom_fields.wide_rows:
            self.logger.warning(
                "%s: %d rows are too wide for Postgres: the largest values of their custom fields are in "
                "custom_fields_overflow.",
                self.name,
                self.custom_fields.wide_rows,
            )
        if self._refusals:
            count, last = len(self._refusals), self._refusals[-1]
            self.logger.warning("%s: rows are missing, for %d reasons; the last: %s", self.name, count, last)
        if reader.rejected_rows:
            self.logger.warning(
                "%s: %d rows have values that do not fit their column; they are in rejected_values.",
                self.name,
                reader.rejected_rows,
            )
        most = max(FORGIVEN_REJECTS, self.settings.max_rejects * self.row_count)
        if reader.rejected_rows > most:
            raise PipedriveError(
                f"{self.name}: {reader.rejected_rows} of {self.row_count} rows have values that do not fit their "
                f"column, more than max_rejects ({self.settings.max_rejects:.1%}) allows: look at "
                "rejected_values, then raise max_rejects if that is all right."
            )


class OptionalStream(PipedriveStream):
    """A stream that is off by default: it needs an add-on or an administrator, or costs a call per record."""

    selected_by_default = False
