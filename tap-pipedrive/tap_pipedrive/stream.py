"""How a stream runs: listing by listing, page by page, each page followed by the state that resumes after it.

What reaches into the Singer SDK beyond its public interface is here and in `tap.py`, with the reason.
"""

import time
from collections.abc import Generator, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from msgspec import to_builtins
from singer_sdk import metrics
from singer_sdk.mapper import SameRecordTransform, StreamMap
from singer_sdk.singerlib import Catalog
from singer_sdk.streams import Stream

from tap_pipedrive.bookmarks import Walk
from tap_pipedrive.catalog import match_selection
from tap_pipedrive.custom_fields import KINDS, CustomFields, Pins
from tap_pipedrive.entities import Entity
from tap_pipedrive.errors import BudgetSpent, NotAllowed, PipedriveError
from tap_pipedrive.listings import Listing, Page
from tap_pipedrive.rows import WHOLE_RECORD, Row, RowReader

if TYPE_CHECKING:
    from tap_pipedrive.tap import TapPipedrive

INCREMENTAL, FULL_TABLE = "INCREMENTAL", "FULL_TABLE"

PROGRESS_SECONDS = 10
"""How often a long stream says how far it is."""

FORGIVEN_REJECTS = 10
"""Rows per stream with values that do not fit which never fail a run, whatever their share."""


class PipedriveStream(Stream):
    """A table: where its rows are listed, and what they are made of. Subclasses are attributes only."""

    entity: type[Entity]
    """The built-in columns."""

    listings: Sequence[Listing] = ()
    """Where the rows come from, in the order of reading; with several, each has a bookmark of its own."""

    custom_fields_of: str | None = None
    """Entity whose custom fields the rows carry."""

    flat_custom_fields: ClassVar[bool] = False
    """v1: custom fields lie at the root of a record."""

    ignored_keys: ClassVar[frozenset[str]] = frozenset()
    """Keys of a record that say nothing that its columns do not, such as hydrated stubs."""

    keeps_vanished: ClassVar[bool] = False
    """Whether rows that are gone in Pipedrive stay as they were, not even marked as deleted."""

    primary_keys: Sequence[str] = ("id",)

    _tap: "TapPipedrive"

    def __init__(self, tap: "TapPipedrive") -> None:
        super().__init__(tap=tap)
        # The SDK announces an error that it passes on; one sentence is enough, and `__main__` writes it.
        self.logger.addFilter(lambda record: "An unhandled error occurred" not in str(record.msg))
        self.row_count = 0
        self._is_complete = True
        self._refusals: list[PipedriveError] = []
        self._began: datetime | None = None
        self._reported = time.monotonic()
        self._custom_fields: CustomFields | None = None
        self._undefined: set[str] = set()
        self.reader = RowReader(
            self.name,
            self.entity,
            self.primary_keys,
            ignored_keys=self.ignored_keys,
            flat_custom_fields=self.flat_custom_fields,
        )

    # What the table looks like

    @property
    def schema(self) -> dict[str, Any]:
        """Built-in columns, and those of the account's custom fields."""
        if self._schema is None:
            if self.custom_fields_of:
                self._custom_fields = self._define_custom_fields(self.custom_fields_of)
            custom = self._custom_fields.columns if self._custom_fields else {}
            self._schema = {"type": "object", "properties": {**self.entity.columns(), **custom}}
        return self._schema

    def _define_custom_fields(self, entity: str) -> CustomFields:
        settings = self._tap.settings
        definitions = list(self._tap.custom_fields(entity).values())
        if strange := sorted({field.type for field in definitions} - KINDS.keys()):
            self.logger.warning(
                "%s: custom fields of a type that is not known here become text: %s",
                self.name,
                ", ".join(strange),
            )
        fields = CustomFields(
            definitions,
            mode=settings.custom_fields,
            aliases=settings.custom_field_names,
            pins=self._pins(),
            reserved=tuple(self.entity.model_fields),
            max_columns=settings.max_custom_field_columns,
        )
        if fields.left_over:
            self.logger.warning(
                "%s: %d custom fields are in custom_fields_overflow, as max_custom_field_columns is %d.",
                self.name,
                len(fields.left_over),
                settings.max_custom_field_columns,
            )
        return fields

    def _pins(self) -> Pins:
        """The names that custom-field columns got when they were first seen, kept in the state."""
        pins: Pins = self.stream_state.setdefault("custom_fields", {})
        try:
            well_formed = all(isinstance(pin["name"] + pin["type"], str) for pin in pins.values())
        except (AttributeError, KeyError, TypeError):
            well_formed = False
        if not well_formed:
            raise PipedriveError(
                f"The state's custom_fields of {self.name} are not as written: clear the state."
            )
        return pins

    def column_names(self) -> Mapping[str, str]:
        """Column name of each custom field, by key."""
        _ = self.schema
        return self._custom_fields.names if self._custom_fields else {}

    def apply_catalog(self, catalog: Catalog) -> None:
        """Take from a catalog what is selected, and the columns from the account as it is now."""
        entry = catalog.get_stream(self.name)
        if entry and entry.metadata.resolve_selection().get((), False):
            entry = match_selection(
                entry,
                self.schema,
                keys=self.primary_keys,
                replication_key=self.replication_key,
            )
            catalog = Catalog({self.name: entry})
        super().apply_catalog(catalog)

    @property
    def selected(self) -> bool:
        """Whether it is part of the run. The SDK would look its columns up for that, which costs tokens."""
        catalog = self._tap_input_catalog
        if self._metadata is None and not (catalog and catalog.get_stream(self.name)):
            return catalog is None and self.selected_by_default
        return bool(super().selected)

    @selected.setter
    def selected(self, value: bool | None) -> None:
        Stream.selected.fset(self, value)  # type: ignore[attr-defined]  # the SDK's setter
        self._tap.register_schema(self)
        self._stream_maps = []

    @property
    def stream_maps(self) -> list[StreamMap]:
        """The user's maps; the mapper knows only what is part of the run, until somebody asks for another."""
        if self.name not in self._tap.mapper.stream_maps:
            self._tap.register_schema(self)
        return super().stream_maps

    # How a run goes

    @property
    def replication_method(self) -> str:
        """How the stream is read in this run; reconciling, everything is read."""
        if self._tap.settings.reconcile and not self.keeps_vanished:
            return FULL_TABLE
        if self.forced_replication_method is None and any(listing.bookmark for listing in self.listings):
            return INCREMENTAL
        return super().replication_method

    def walks(self) -> list[Walk]:
        """What a run reads."""
        is_whole = self.replication_method == FULL_TABLE
        return [
            self._walk(listing, is_whole=is_whole)
            for listing in self.listings
            if listing.is_wanted(self._tap)
        ]

    def _walk(self, listing: Listing, *, is_whole: bool) -> Walk:
        bookmark = listing.bookmark or self.replication_key
        context = {"listing": listing.name} if listing.name else None
        return Walk(
            self.name,
            listing,
            {} if self.keeps_vanished and not bookmark else self.get_context_state(context),
            bookmark=bookmark,
            is_whole=is_whole,
            settings=self._tap.settings,
        )

    def get_records(self, context: Mapping[str, Any] | None) -> Iterable[Row]:
        """All rows, without messages or state; a run goes page by page instead, see `_sync_records`."""
        for walk in self.walks():
            for page in walk.pages(self._tap):
                yield from self._read(page)[0]

    def get_replication_key_signpost(self, context: Mapping[str, Any] | None = None) -> None:
        """None: the SDK's signpost is the host's clock, ours is Pipedrive's, see `Walk`."""

    def _sync_records(
        self, context: Mapping[str, Any] | None = None, *, write_messages: bool = True
    ) -> Generator[Row, Any, Any]:
        """Write the rows, page by page, with a state after each.

        Overrides a private method of the SDK, which goes record by record (selection, conformance, maps and a
        flush for each) at a tenth of the speed, and whose states in a first load are no places to resume.
        """
        walks = self._tap.walks(self)
        started = time.monotonic()
        with self.get_record_counter() as counter, self.get_sync_timer():
            for walk, pages in walks:
                self._follow(walk, pages, counter)
            for walk, _ in walks:
                # What changed since a first load began in another run; in a complete pass, also what went from
                # one list to the other behind its back.
                if walk.is_resumed or (walk.is_whole and self.replication_key and len(walks) > 1):
                    again = self._walk(walk.listing, is_whole=False)
                    self._follow(again, again.pages(self._tap), counter)
        seconds = time.monotonic() - started
        log = self.logger.info if walks else self.logger.debug
        log(
            "%s: %s rows in %.1f s (%s rows/s)",
            self.name,
            f"{self.row_count:,}",
            seconds,
            f"{self.row_count / max(seconds, 0.001):,.0f}",
        )
        self._report_oddities()
        passes = [walk for walk, _ in walks if walk.since is None]
        is_complete = self._is_complete and not self.keeps_vanished and len(passes) == len(walks)
        if walks and is_complete and self._tap.settings.reconcile:
            self._conclude_pass(passes)
        yield from ()

    def _follow(self, walk: Walk, pages: Iterable[Page], counter: metrics.Counter) -> None:
        """Write what a walk finds; rows that may have children are noted for their streams."""
        journal = self._tap.journals.get(self.name)
        started = time.monotonic()
        try:
            for page in walk.follow(pages, self._save_state):
                counter.increment(self._write_page(page))
                if journal:
                    journal.note(page.rows)
                if page.refusal:
                    self._refusals.append(page.refusal)
                if time.monotonic() - self._reported > PROGRESS_SECONDS:
                    self._report_progress(page, time.monotonic() - started)
        except NotAllowed as error:
            self._is_complete = False
            if self.name not in self._tap.refused:
                self.logger.warning("%s: %s", self.name, error)
            self._tap.refused[self.name] = error
            return
        except BudgetSpent as error:
            self._is_complete = False
            self._tap.stop(self.name, error)
            return
        self._began = min(self._began or walk.began, walk.began) if walk.began else self._began
        if journal and not walk.is_resumed:
            journal.close(walk.listing.name, walk.since, walk.began)

    def _report_progress(self, page: Page, seconds: float) -> None:
        self._reported = time.monotonic()
        ahead = f", {seconds / page.share - seconds:,.0f} s to go" if page.share else ""
        spent = sum(self._tap.client.tokens_spent().values())
        self.logger.info(
            "%s: %s rows so far, %s API tokens in all%s",
            self.name,
            f"{self.row_count:,}",
            f"{spent:,}",
            ahead,
        )

    def _save_state(self) -> None:
        self._tap.state_writer.write_state(self.tap_state)

    def _conclude_pass(self, walks: Sequence[Walk]) -> None:
        """After a complete pass, have the target mark the rows that it has not seen, and remember its size.

        The version of a row is the time when Pipedrive sent it, so that rows which another run writes meanwhile
        are newer than the pass. The SDK would send the message before the first row: a run that dies then would
        leave a table of rows marked as deleted.
        """
        seen = self.row_count
        before = sum(walk.rows_in_last_pass for walk in walks)
        least = self._tap.settings.reconcile_min_ratio
        if self.reader.lost_rows or self._refusals or not self._began:
            self.logger.warning("%s: no rows are marked as deleted, as some could not be read.", self.name)
        elif seen < least * before:
            self.logger.warning(
                "%s: no rows are marked as deleted, as only %s were seen of %s in the last complete pass, less "
                "than reconcile_min_ratio (%s) allows. If the token has not lost rights, lower it for one run.",
                self.name,
                f"{seen:,}",
                f"{before:,}",
                least,
            )
        else:
            self._write_activate_version_message(int(self._began.timestamp()))
            for walk in walks:
                walk.remember(walk.rows)
        self._save_state()

    # From pages to messages

    def _read(self, page: Page) -> tuple[list[Row], list[Row]]:
        if self.custom_fields_of is None:
            return self.reader.read(page.rows, None, ())
        _ = self.schema
        raws = self.reader.raw_custom_fields(page.rows, self._tap.custom_fields(self.custom_fields_of))
        if self._meet_new_fields(self.custom_fields_of, raws):
            raws = self.reader.raw_custom_fields(page.rows, self._tap.custom_fields(self.custom_fields_of))
        return self.reader.read(page.rows, self._custom_fields, raws)

    def _meet_new_fields(self, entity: str, raws: Sequence[Mapping[str, Any]]) -> bool:
        """Whether rows have fields that were added during the run: read the definitions again, add the columns.

        Else the first values of such a field would stay out of its column until their rows change again.
        """
        known = self._custom_fields.known if self._custom_fields else set()
        strange = set().union(*raws) - known
        strange = {key for key in strange if any(raw.get(key) is not None for raw in raws)}
        if strange <= self._undefined:
            return False
        self._tap.forget_definitions(entity)
        self._schema = None
        self._undefined |= strange - set(self._tap.custom_fields(entity))
        if self._undefined:
            self.logger.warning(
                "%s: values of fields that have no definition are in custom_fields_overflow: %s",
                self.name,
                ", ".join(sorted(self._undefined)),
            )
        self._tap.register_schema(self)
        self._stream_maps = []  # private: the SDK caches the maps, which hold the old schema
        self.__dict__.pop("_is_plain", None)
        self._write_schema_message()
        return True

    def _write_page(self, page: Page) -> int:
        rows, rejected = self._read(page)
        if self.ABORT_AT_RECORD_COUNT is not None:  # `--test` wants one row of each stream
            rows = rows[: self.ABORT_AT_RECORD_COUNT]
        self.write(rows, page.served_at)
        self._tap.reject(row if self._may_keep(row["field"]) else {**row, "value": None} for row in rejected)
        self.row_count += len(rows)
        if self.ABORT_AT_RECORD_COUNT is not None and rows:
            self._check_max_record_limit(self.row_count)
        return len(rows)

    def _may_keep(self, column: str) -> bool:
        """Whether a rejected value may be kept in clear: not if the user drops or maps what it belongs to."""
        whole = column == WHOLE_RECORD
        return self._is_plain and not (self._deselected if whole else column in self._deselected)

    def write(self, rows: list[Row], served_at: datetime | None) -> None:
        """Write RECORD messages: selected columns only, through the user's stream maps if there are any."""
        version = int((served_at or datetime.now(UTC)).timestamp())
        for row in rows if self._deselected else ():
            for column in self._deselected:
                row.pop(column, None)
        if self._is_plain:
            self._tap.writer.write_records(self.name, rows, version)
            return
        for row in rows:
            for stream_map in self.stream_maps:
                mapped = stream_map.transform(to_builtins(row, builtin_types=(Decimal,)))
                if mapped is not None:
                    self._tap.writer.write_records(stream_map.stream_alias, [mapped], version)

    @cached_property
    def _deselected(self) -> frozenset[str]:
        columns = self.schema["properties"]
        return frozenset(column for column in columns if not self.mask["properties", column])

    @cached_property
    def _is_plain(self) -> bool:
        """Whether rows go out as they are: no stream maps, no flattening."""
        return all(
            type(stream_map) is SameRecordTransform and not stream_map.flattening_enabled
            for stream_map in self.stream_maps
        )

    def _report_oddities(self) -> None:
        reader = self.reader
        if reader.unknown_keys:
            self.logger.warning(
                "%s: Pipedrive sent keys that have no column here, please report them: %s",
                self.name,
                ", ".join(f"{key} ({count} rows)" for key, count in sorted(reader.unknown_keys.items())),
            )
        if self._refusals:
            self.logger.warning(
                "%s: something is missing, for %d reasons; the last: %s",
                self.name,
                len(self._refusals),
                self._refusals[-1],
            )
        if reader.rejected_rows:
            self.logger.warning(
                "%s: %d rows have values that do not fit their column; they are in rejected_values.",
                self.name,
                reader.rejected_rows,
            )
        most = max(FORGIVEN_REJECTS, self._tap.settings.max_rejects * self.row_count)
        if reader.rejected_rows > most:
            raise PipedriveError(
                f"{self.name}: {reader.rejected_rows} of {self.row_count} rows have values that do not fit their "
                f"column, more than max_rejects ({self._tap.settings.max_rejects:.1%}) allows: look at "
                "rejected_values, then raise max_rejects if that is all right."
            )
