"""One run of the tap: what it reads with which client, what was refused or left undone, and its report."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from logging import Logger
from typing import Any, TypeVar

from tap_pipedrive import metrics
from tap_pipedrive.answers import Answer
from tap_pipedrive.auth import auth_of, read_owner
from tap_pipedrive.bookmarks import Walk
from tap_pipedrive.cache import cache_of
from tap_pipedrive.checks import CHECKS, Checks
from tap_pipedrive.children import ChildListing
from tap_pipedrive.client import Client
from tap_pipedrive.clocks import proven
from tap_pipedrive.definitions import DefinitionListing, FieldDefinitions
from tap_pipedrive.errors import BudgetSpent, OutputGone, PipedriveError
from tap_pipedrive.limits import limits_of
from tap_pipedrive.masks import Masks
from tap_pipedrive.memory import MASK, Memory, read_anew
from tap_pipedrive.parents import ParentIndex
from tap_pipedrive.prefetch import Pool, Prefetcher
from tap_pipedrive.references import Reference
from tap_pipedrive.rows import REJECTED_VALUES, Row
from tap_pipedrive.settings import Settings
from tap_pipedrive.source import CheckContext, Listed, Listing, Page, Source
from tap_pipedrive.statement import RUN_STATEMENTS, Owner, Reading, Reason, Statement, api_version
from tap_pipedrive.table import FULL_TABLE, Table

T = TypeVar("T")
R = TypeVar("R")


class Run:
    """What the streams of one run share."""

    def __init__(self, settings: Settings, tables: Callable[[], Mapping[str, Table]], logger: Logger) -> None:
        """`tables`: returns the streams by name; it is called after all of them have been made."""
        self.settings = settings
        self.client = Client(auth_of(settings), limits_of(settings))
        self.cache = cache_of(settings)
        """Lists that earlier processes have read."""
        self.definitions = FieldDefinitions(Source("custom fields", self.client, self), self.cache)
        self.masks = Masks(settings)
        """What the user wants hidden."""
        self.references: dict[str, Reference] = {}
        """What the warehouse has of the lists that are read by age, by stream."""
        self.parent_indexes: dict[str, ParentIndex] = {}
        """What the streams of this run have seen of the parents of other streams' rows, by stream."""
        self.statement = Statement()
        """What the run says of itself, by stream."""
        self.checks: CheckContext = Checks(
            self.statement, tables, settings, lambda: self.client.last_served_at
        )
        self.left_to_ask: dict[str, tuple[int, int]] = {}
        """See `source.RunContext`."""
        self._tables = tables
        self._logger = logger
        self._pool = Pool(1)
        self._walks: dict[str, list[tuple[Walk, Iterator[Page]]]] = {}
        self._written_definitions: dict[str, Listed] = {}  # by entity
        self._budget_error: BudgetSpent | None = None

    def execute(self, sync_streams: Callable[[], None]) -> None:
        """Sync the selected streams, then write and report what was read, what it cost and what is missing.

        Raises PipedriveError at the end when a list is missing, unless the setting `missing` is `note`.
        """
        selected = [table for table in self._selected() if self._is_asked_for(table)]
        self.statement.begin(self._new_reading(table) for table in selected)
        if self._tables()[RUN_STATEMENTS].selected:
            self.statement.follow(self._tables()[RUN_STATEMENTS].stream_state)
        try:
            if self._budget_error is None:
                self.statement.owner = Owner.of(read_owner(self.client))
                self._plan()
                sync_streams()
                self._read_what_is_lacking()
        except OutputGone:
            raise
        except Exception as error:
            self.statement.end_early(error)
            self._end(selected)
            raise
        finally:
            self._pool.close()
        if self._budget_error:
            for reading in self.statement.unfinished():
                reading.is_starved = True
                reading.leave(Reason.BUDGET, self._budget_error)
        self._end(selected)
        self._raise_if_missing()

    def _end(self, selected: Sequence[Table]) -> None:
        """Log the metrics, and write the statement."""
        logger = next(iter(self._tables().values())).metrics_logger
        metrics.log_requests(logger, self.client)
        metrics.log_cache(logger, self.cache)
        rejected = {table.name: table.reader.rejected_rows for table in selected}
        metrics.log_rejects(logger, +Counter(rejected))
        metrics.log_passes(logger, {table.name: table.is_pass_refused for table in selected})
        metrics.log_gaps(logger, {table.name: table.unread_count for table in selected}, self.left_to_ask)
        table = self._tables()[RUN_STATEMENTS]
        if selected and table.selected:
            rows = self.statement.rows(self.client, table.tap.plugin_version, self.settings.max_unread)
            self.fill(RUN_STATEMENTS, rows)
            self.statement.note_end(table.stream_state)
            table.write_state()
        self._report()

    def _is_asked_for(self, table: Table) -> bool:
        """Return whether a selected stream has lists, of which the settings leave one at least: `history: none`
        leaves none of the changes of deals."""
        return table.name not in CHECKS and any(each.is_enabled(self) for each in table.listings)

    def _new_reading(self, table: Table) -> Reading:
        is_whole = table.replication_method == FULL_TABLE
        method = "changes"
        if is_whole or self.is_reread(table):
            method = "reconcile" if self.settings.reconcile else "whole"
        return Reading(table.name, method, api_version=api_version(table.listings))

    def table(self, stream: str) -> Table:
        """Return a stream of the tap, whether or not it is selected."""
        return self._tables()[stream]

    def memory(self, stream: str) -> Memory:
        """Return what the state keeps of a stream besides its bookmarks."""
        return Memory(self._tables()[stream].stream_state)

    # What is read

    def walks(self, table: Table) -> list[Walk]:
        """Return the readings of a stream's listings in this run."""
        is_whole = table.replication_method == FULL_TABLE or self.is_reread(table)
        listings = [listing for listing in table.listings if listing.is_enabled(self)]
        if (reference := self._reference(table)) and reference.is_kept:
            listings = [listing for listing in listings if not listing.is_reference]
        return [self.walk(table, listing, is_whole=is_whole) for listing in listings]

    def is_reread(self, table: Table) -> bool:
        """Return whether the whole table is to be read again; so it is where its list knows no ids."""
        chosen = self.settings.reread.get(table.name)
        return chosen == "all" or (bool(chosen) and not any(each.has_records for each in table.listings))

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
        """Return the readings of a stream, and their pages as they come. Raises PipedriveError."""
        if table.name in self._walks:
            return self._walks[table.name]
        source = self.source(table.name)
        return [(walk, walk.pages(source)) for walk in self.walks(table)]

    def _reference(self, table: Table) -> Reference | None:
        """Return what the warehouse has of the stream's list that is read by age; None if it has no such list."""
        if table.name in self.references:
            return self.references[table.name]
        if not any(listing.is_reference for listing in table.listings):
            return None
        for listing in table.listings:  # in their order, as the state has it
            state = table.get_context_state({"listing": listing.name} if listing.name else None)
            if listing.is_reference:
                break
        is_whole = table.replication_key is None
        reference = Reference(state, table.shape if is_whole else "", is_whole=is_whole)
        now = self.client.last_served_at
        if now and not self.settings.reconcile and not self.is_reread(table):
            reference.may_be_cached = is_whole and table.is_unchanged
            reference.is_kept = reference.is_young(now, timedelta(hours=self.settings.reference_max_age))
        self.references[table.name] = reference
        return reference

    def note_names(self, table: Table, rows: Sequence[Row]) -> None:
        """Note which rows of other streams the rows of a stream name, before the rows are written."""
        if reference := self.references.get(table.name):
            reference.show(row[table.named_by] for row in rows)
        for stream, names in table.named(rows) if self.references else ():
            if reference := self.references.get(stream):
                reference.name(names)

    def _read_what_is_lacking(self) -> None:
        """Read the lists once more that lack what rows of this run name, and write definitions that are newer
        than those that were written."""
        outdated = {
            entity
            for entity, written in self._written_definitions.items()
            if written is not self.definitions.of(entity)
        }
        for table in self._selected():
            reference = self.references.get(table.name)
            listings = [
                listing
                for listing in table.listings
                if (listing.is_reference and reference and reference.lacking)
                or (isinstance(listing, DefinitionListing) and listing.name in outdated)
            ]
            if listings:
                table.sync_again(listings)

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
            self._compare_masks(table)
            try:
                walks, source = self.walks(table), self.source(table.name)
            except PipedriveError:
                continue  # the stream's turn raises it again
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

    def _compare_masks(self, table: Table) -> None:
        """Have all rows read again when they are to be masked otherwise than those in the warehouse."""
        shape, state = self.masks.shape(table.name), table.stream_state
        if state.get(MASK, "") == shape:
            return
        if Memory(state).has_had_rows:
            self._logger.info("%s: mask has changed, so that all rows are read again.", table.name)
            read_anew(state)
        state[MASK] = shape

    # What listings need to know of the run, see `source.RunContext`

    def field_definitions(self, entity: str) -> Listed:
        """Return the field definitions of an entity."""
        self._written_definitions[entity] = self.definitions.of(entity)
        return self._written_definitions[entity]

    def cached_list(self, stream: str, endpoint: str) -> Answer | None:
        """Return the list of a stream as an earlier process has read it, if it is young enough, and younger than
        what the warehouse has; None where it is to be read."""
        reference, now = self.references.get(stream), self.client.last_served_at
        if not reference or not reference.may_be_cached or reference.lacking or not now:
            return None
        oldest = now - timedelta(hours=self.settings.reference_max_age)
        found = self.cache.get(endpoint, newer_than=max(oldest, reference.read_at or oldest))
        return Answer(found.rows, None, found.served_at) if found else None

    def keep_list(self, stream: str, endpoint: str, rows: Sequence[Any], served_at: datetime | None) -> None:
        """Keep the list of a stream for later processes."""
        if (reference := self.references.get(stream)) and reference.may_be_cached:
            self.cache.put(endpoint, rows, served_at)

    def column_names(self, entity: str) -> Mapping[str, str]:
        """Return the column name of each custom field in the entity's own table, by key."""
        for table in self._selected():
            if table.custom_fields_of == entity and not table.flat_custom_fields and table.custom_fields:
                return table.custom_fields.names
        return {}

    def reads_fields_of(self, entity: str) -> bool:
        """Return whether the run reads rows that have the fields of an entity. If no rows of the run have any, it
        reads those of all entities but projects, an add-on whose fields few accounts may read."""
        entities = {table.custom_fields_of for table in self._selected()} - {None}
        return entity in entities or not (entities or entity == "project")

    def in_flight(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """Apply a function that sends requests to each item, several at a time; yield the results in order."""
        return self._pool.in_order(function, items)

    def parent_index(self, stream: str, since: datetime | None, source: Source) -> ParentIndex:
        """Return the index of a stream's rows, at least of those that changed since a moment (None: of all).

        The stream's own reading has filled it, unless it began later, was resumed, or is not part of this run.
        Raises PipedriveError when the stream could not be read in this run.
        """
        listings = [listing for listing in self._tables()[stream].listings if listing.is_enabled(self)]
        index = self.parent_indexes.get(stream)
        if index is None or not index.covers([listing.name for listing in listings], since):
            parents = self.statement.readings.get(stream)
            is_listed = self._tables()[stream].blocked or (parents and parents.reason is Reason.BUDGET)
            if parents and parents.error and not is_listed:
                raise parents.error
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

    def stop(self, reason: BudgetSpent) -> None:
        """Note that the tokens of the run do not suffice."""
        self._budget_error = reason

    def stop_before_rows(self, reason: BudgetSpent) -> None:
        """Note that the tokens do not suffice for the definitions of the custom fields, without which no row is
        read."""
        self.definitions.is_unavailable = True
        if reason.needed:
            entities = {table.custom_fields_of for table in self._selected()} - {None}
            left = self.definitions.tokens_left(entities)
            reason = BudgetSpent(str(reason), needed=self.client.limits.tokens_spent + left)
        self.stop(reason)

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
        logger = next(iter(self._tables().values())).metrics_logger
        metrics.log_requests(logger, self.client)
        metrics.log_cache(logger, self.cache)

    def _report(self) -> None:
        limits = self.client.limits
        if error := self._budget_error:
            self._logger.warning("%s %s", error, self.statement.left_undone())
        for key in self.definitions.keys_of_no_field(self.settings.custom_field_names.keys()):
            self._logger.warning(
                "Setting custom_field_names: no custom field has the key %s: take the key from field_code of the "
                "table fields, or remove it.",
                key,
            )
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

    def _raise_if_missing(self) -> None:
        """Raise PipedriveError, or log, when lists are missing, or more parents than `max_unread`."""
        readings = list(self.statement.readings.values())
        if readings and all(each.reason not in (None, Reason.BUDGET) for each in readings):
            raise PipedriveError(f"No stream could be read; the first said: {readings[0].detail}")
        if sentence := self.statement.missing_in_words(self.settings.max_unread):
            if self.settings.missing == "fail":
                raise PipedriveError(sentence)
            self._logger.error("%s", sentence)
