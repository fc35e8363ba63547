"""One run of the tap: what it reads with which client, what was refused or left undone, and its report."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from logging import Logger
from typing import Any, TypeVar

from tap_pipedrive import metrics
from tap_pipedrive.auth import auth_of, log_owner
from tap_pipedrive.bookmarks import Walk
from tap_pipedrive.children import ChildListing
from tap_pipedrive.client import Client
from tap_pipedrive.clocks import proven
from tap_pipedrive.definitions import FieldDefinitions
from tap_pipedrive.errors import BudgetSpent, NotAllowed, PipedriveError
from tap_pipedrive.limits import limits_of
from tap_pipedrive.parents import ParentIndex
from tap_pipedrive.prefetch import Pool, Prefetcher
from tap_pipedrive.rows import REJECTED_VALUES, Row
from tap_pipedrive.settings import Settings
from tap_pipedrive.source import Listing, Page, Source
from tap_pipedrive.table import FULL_TABLE, Table

T = TypeVar("T")
R = TypeVar("R")


class Run:
    """What the streams of one run share."""

    def __init__(self, settings: Settings, tables: Callable[[], Mapping[str, Table]], logger: Logger) -> None:
        """`tables`: returns the streams by name; it is called after all of them have been made."""
        self.settings = settings
        self.client = Client(auth_of(settings), limits_of(settings))
        self.definitions = FieldDefinitions(Source("custom fields", self.client, self))
        self.parent_indexes: dict[str, ParentIndex] = {}
        """What the streams of this run have seen of the parents of other streams' rows, by stream."""
        self.left_to_ask: dict[str, tuple[int, int]] = {}
        """See `source.RunContext`."""
        self.refused: dict[str, NotAllowed] = {}
        """Streams that the plan or the rights of the token do not cover."""
        self.failed: dict[str, PipedriveError] = {}
        """Streams that could not be read, for a reason which ends the run when all others are loaded."""
        self._tables = tables
        self._logger = logger
        self._pool = Pool(1)
        self._walks: dict[str, list[tuple[Walk, Iterator[Page]]]] = {}
        self._budget_error: BudgetSpent | None = None
        self._undone: dict[str, None] = {}

    def execute(self, sync_streams: Callable[[], None]) -> None:
        """Sync the selected streams, then report what it cost and what is missing."""
        selected = [table for table in self._selected() if table.listings]
        if self._budget_error:
            self._undone = dict.fromkeys(table.name for table in selected)
        else:
            try:
                log_owner(self.client)
                self._plan()
                sync_streams()
            finally:  # of a run that fails, too
                self._log_metrics(selected)
        if selected and all(table.name in self.refused for table in selected):
            raise PipedriveError(
                f"No stream could be read; the first said: {next(iter(self.refused.values()))}"
            )
        self._report()
        if self.failed:
            raise PipedriveError(
                f"{next(iter(self.failed.values()))} Not read: {', '.join(self.failed)}; all else is loaded."
            )

    # What is read

    def walks(self, table: Table) -> list[Walk]:
        """Return the readings of a stream's listings in this run."""
        is_whole = table.replication_method == FULL_TABLE
        listings = [listing for listing in table.listings if listing.is_enabled(self)]
        return [self.walk(table, listing, is_whole=is_whole) for listing in listings]

    def walk(self, table: Table, listing: Listing, *, is_whole: bool) -> Walk:
        """Return the reading of one listing; `is_whole`: of all of it, whatever its bookmark."""
        bookmark = listing.bookmark or table.replication_key
        context = {"listing": listing.name} if listing.name else None
        return Walk(
            table.name,
            listing,
            {} if table.keeps_missing_rows and not bookmark else table.get_context_state(context),
            bookmark=bookmark,
            is_whole=is_whole,
            settings=self.settings,
        )

    def pages(self, table: Table) -> list[tuple[Walk, Iterator[Page]]]:
        """Return the readings of a stream, and their pages as they come."""
        source = self.source(table.name)
        return self._walks.get(table.name) or [(walk, walk.pages(source)) for walk in self.walks(table)]

    def source(self, stream: str) -> Source:
        """Return the API on behalf of a stream."""
        return Source(stream, self.client, self)

    def _selected(self) -> list[Table]:
        return [table for table in self._tables().values() if table.selected]

    def _plan(self) -> None:
        """Prepare all readings of the run, so that requests of several streams can be in flight at once."""
        self._pool = Pool(self.settings.concurrency)
        prefetcher = Prefetcher(self._pool)
        for table in self._selected():
            if table.blocked:
                continue
            walks, source = self.walks(table), self.source(table.name)
            parents = {
                walk.listing.parents.stream for walk in walks if isinstance(walk.listing, ChildListing)
            }
            for parent in parents - self.parent_indexes.keys():
                self.parent_indexes[parent] = self._new_parent_index(parent)
            self._walks[table.name] = [
                (walk, prefetcher.add(pages) if walk.listing.can_prefetch else pages)
                for walk in walks
                for pages in [walk.pages(source)]
            ]

    # What listings need to know of the run, see `source.RunContext`

    def field_definitions(self, entity: str) -> Sequence[dict[str, Any]]:
        """Return the field definitions of an entity, which are read once a run."""
        return self.definitions.of(entity)

    def column_names(self, entity: str) -> Mapping[str, str]:
        """Return the column name of each custom field in the entity's own table, by key."""
        for table in self._selected():
            if table.custom_fields_of == entity and not table.flat_custom_fields and table.custom_fields:
                return table.custom_fields.names
        return {}

    def is_selected(self, stream: str) -> bool:
        """Return whether a stream is part of this run."""
        return self._tables()[stream].selected

    def in_flight(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """Apply a function that sends requests to each item, several at a time; yield the results in order."""
        return self._pool.in_order(function, items)

    def parent_index(self, stream: str, since: datetime | None, source: Source) -> ParentIndex:
        """Return the index of a stream's rows, at least of those that changed since a moment (None: of all).

        The stream's own reading has filled it, unless it began later, was resumed, or is not part of this run.
        """
        listings = [listing for listing in self._tables()[stream].listings if listing.is_enabled(self)]
        index = self.parent_indexes.get(stream)
        if index is None or not index.covers([listing.name for listing in listings], since):
            index = self.parent_indexes[stream] = self._new_parent_index(stream)
            for listing in listings:
                began = served_at = None
                for page in listing.pages(source, since=since, checkpoint={}):
                    began, served_at = began or proven(page.served_at), served_at or page.served_at
                    index.add(page.rows)
                index.complete(listing.name, since, began, served_at)
        return index

    def _new_parent_index(self, stream: str) -> ParentIndex:
        """Return an empty index with the columns that the child streams of this run need."""
        listings = [listing for table in self._selected() for listing in table.listings]
        parents = [
            each.parents for each in listings if isinstance(each, ChildListing) and each.is_enabled(self)
        ]
        start_date = None if self.settings.reconcile else self.settings.start_date
        return ParentIndex([need for need in parents if need.stream == stream], start_date)

    # What was refused, rejected or left undone

    def refuse(self, stream: str, reason: NotAllowed) -> None:
        """Note that the API does not let a stream be read, and say so once."""
        if stream not in self.refused:
            self._logger.warning("%s: %s", stream, reason)
        self.refused[stream] = reason

    def fail(self, stream: str, reason: PipedriveError) -> None:
        """Note that a stream cannot be read; the run goes on, and ends with the first of these reasons."""
        self.failed[stream] = reason

    def stop(self, reason: BudgetSpent, stream: str | None = None) -> None:
        """Note that the tokens do not suffice for a stream, or for anything."""
        self._budget_error = reason
        if stream:
            self._undone.setdefault(stream)

    def reject(self, rejected: list[Row]) -> None:
        """Write values that did not fit, before the state moves past their rows."""
        self.fill(REJECTED_VALUES, rejected)

    def fill(self, stream: str, rows: list[Row]) -> None:
        """Write rows of a stream that has no list of its own, as other streams fill it in."""
        table = self._tables()[stream]
        if rows and table.selected:
            table.write_schema()
            table.write(rows, None)
            table.row_count += len(rows)

    # The report

    def log_cost(self) -> None:
        """Log what was asked and what it cost, as after a discovery."""
        metrics.log_requests(next(iter(self._tables().values())).metrics_logger, self.client)

    def _log_metrics(self, selected: Iterable[Table]) -> None:
        logger = next(iter(self._tables().values())).metrics_logger
        metrics.log_requests(logger, self.client)
        rejected = {table.name: table.reader.rejected_rows for table in selected}
        metrics.log_rejects(logger, +Counter(rejected))
        metrics.log_passes(logger, {table.name: table.is_pass_refused for table in selected})
        metrics.log_gaps(logger, {table.name: table.unread_count for table in selected}, self.left_to_ask)

    def _report(self) -> None:
        limits = self.client.limits
        if error := self._budget_error:
            undone = ", ".join(self._undone)
            self._logger.warning("%s Left undone: %s; the next run continues there.", error, undone)
        rows = f"{sum(table.row_count for table in self._tables().values()):,}"
        sent, spent = self.client.requests.total(), limits.tokens_spent
        self._logger.info("Read %s rows with %d requests, %d API tokens", rows, sent, spent)
        by_stream: Counter[str] = Counter()
        for (stream, _), tokens in limits.tokens.items():
            by_stream[stream] += tokens
        parts = ", ".join(f"{name} {tokens:,}" for name, tokens in by_stream.most_common()) or "none"
        ledger = limits.ledger
        left = "unknown" if ledger.remaining is None else f"{ledger.remaining:,} of {ledger.limit or 0:,}"
        self._logger.info("API tokens by stream: %s; left today: %s", parts, left)
