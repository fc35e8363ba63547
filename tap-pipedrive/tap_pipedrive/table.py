"""A stream as a table: which of its columns are selected, the user's stream maps, and its rows."""

import time
from collections.abc import Mapping, Sequence, Set
from decimal import Decimal
from functools import cached_property
from hashlib import blake2b
from typing import Any, ClassVar

from msgspec import to_builtins
from singer_sdk.mapper import RemoveRecordTransform, SameRecordTransform, StreamMap
from singer_sdk.singerlib import Catalog
from singer_sdk.streams import Stream

from tap_pipedrive.catalog import match_selection
from tap_pipedrive.columns import RAW
from tap_pipedrive.definitions import FieldDefinitions
from tap_pipedrive.field_changes import Fields
from tap_pipedrive.masks import Masks
from tap_pipedrive.rows import WHOLE_RECORD, Row, RowReader
from tap_pipedrive.sdk import SdkTap
from tap_pipedrive.settings import Settings
from tap_pipedrive.source import Listing
from tap_pipedrive.table_columns import TableColumns
from tap_pipedrive.values import encode

INCREMENTAL, FULL_TABLE = "INCREMENTAL", "FULL_TABLE"

SHAPING = ("stream_maps", "stream_map_config", "faker_config", "flattening_enabled", "flattening_max_depth")
"""Settings that change how rows are written."""


class Table(TableColumns):
    """A table: where its rows are listed, and what they consist of. Its subclasses are attributes only."""

    flat_custom_fields: ClassVar[bool] = False
    """Whether custom fields stand at the root of a record, as in API v1."""

    ignored_keys: ClassVar[Set[str]] = frozenset()
    """Keys of a record that add nothing to its columns, such as copies of related records."""

    keeps_missing_rows: ClassVar[bool] = False
    """Whether rows that Pipedrive no longer has stay as they were, without a mark of deletion."""

    def __init__(self, tap: SdkTap, definitions: FieldDefinitions, settings: Settings, masks: Masks) -> None:
        super().__init__(tap, definitions, settings, masks)
        self.row_count = 0
        self.unread_count = 0
        """Parents, and pages, that the API refuses."""
        self.is_pass_refused: bool | None = None
        """Whether a complete pass was not believed; None if there was none."""
        self.filtered_rows = 0
        """Rows that a filter in the user's stream maps left out."""
        self.reader = RowReader(
            self.name,
            self.entity,
            self.primary_keys,
            ignored_keys=self.ignored_keys | ({RAW} if self.custom_fields_of else set()),
            flat_custom_fields=self.flat_custom_fields,
        )
        self._catalog: Catalog | None = None
        self._is_selection_set = False

    # Selection and maps

    @property
    def replication_method(self) -> str:
        """How the stream is read in this run; with the setting `reconcile`, everything is read."""
        if self.settings.reconcile and not self.keeps_missing_rows:
            return FULL_TABLE
        if self.forced_replication_method is None and any(listing.bookmark for listing in self.listings):
            return INCREMENTAL
        return super().replication_method

    def apply_catalog(self, catalog: Catalog) -> None:
        """Take the selection from a catalog, and the columns from the account as it is now."""
        self._catalog = catalog
        entry = catalog.get_stream(self.name)
        is_dropped = self.tap.maps.drops(self.name)  # then its columns cost nothing
        if entry and not is_dropped and entry.metadata.resolve_selection().get((), False):
            key = self.replication_key
            entry = match_selection(entry, self.schema, keys=self.primary_keys, replication_key=key)
            catalog = Catalog({self.name: entry})
        super().apply_catalog(catalog)

    @property
    def selected(self) -> bool:
        """Whether the stream is part of the run. The SDK would read its custom fields for that."""
        if self.tap.maps.drops(self.name):
            return False
        if not self._is_selection_set and not (self._catalog and self._catalog.get_stream(self.name)):
            return self._catalog is None and self.selected_by_default
        return bool(super().selected)

    @selected.setter
    def selected(self, value: bool | None) -> None:
        Stream.selected.fset(self, value)  # type: ignore[attr-defined]  # the SDK's setter
        self._is_selection_set = True
        self.tap.register_schema(self)
        self.forget_stream_maps()

    @property
    def stream_maps(self) -> list[StreamMap]:
        """The user's stream maps. The mapper knows the streams of the run, until another one is asked for."""
        if self.name not in self.tap.mapper.stream_maps:
            self.tap.register_schema(self)
        return super().stream_maps

    @cached_property
    def deselected(self) -> frozenset[str]:
        """The columns that the user deselects."""
        columns = self.schema["properties"]
        return frozenset(column for column in columns if not self.mask["properties", column])

    @cached_property
    def is_plain(self) -> bool:
        """Whether rows are written as they are: without stream maps and flattening."""
        return all(
            type(stream_map) is SameRecordTransform and not stream_map.flattening_enabled
            for stream_map in self.stream_maps
        )

    @property
    def is_unchanged(self) -> bool:
        """Whether the rows leave the tap as Pipedrive sends them, with all columns."""
        return self.is_plain and not self.deselected and self.row_mask.is_empty

    def sync_again(self, listings: Sequence[Listing]) -> None:
        """Write some of the stream's lists once more."""
        raise NotImplementedError

    @property
    def shape(self) -> str:
        """A short text that is another one when rows would be written otherwise."""
        columns = sorted(self.schema["properties"].keys() - self.deselected)
        settings = {name: self.tap.config.get(name) for name in SHAPING}
        content = encode([columns, settings, self._masks.shape(self.name)])
        return blake2b(content, digest_size=6).hexdigest()

    # Rows

    def read(self, records: Sequence[Any]) -> tuple[list[Row], list[Row]]:
        """Return the rows of a page's records, and the rows for `rejected_values`."""
        raws: Sequence[dict[str, Any]] = ()
        if entity := self.custom_fields_of:
            raws = self._raw_custom_fields(entity, records)
            if self._define_new_fields(entity, records, raws):
                raws = self._raw_custom_fields(entity, records)
            raws = self.row_mask.raw(raws)
        rows, rejected = self.reader.read(records, self.custom_fields, raws)
        self.row_mask.hide(rows)
        return rows, [self._without_hidden_value(row) for row in rejected]

    def _define_new_fields(
        self, entity: str, records: Sequence[Any], raws: Sequence[Mapping[str, Any]]
    ) -> bool:
        """Return whether rows have fields or options that are newer than the definitions, which are read again.

        Otherwise the first values of such a field would be missing in its column until their rows change again.
        """
        known = self.custom_fields.known if self.custom_fields else set()
        new = set().union(*raws) - known - self._ignored
        new = {key for key in new if any(raw.get(key) is not None for raw in raws)}
        options = self._definitions.unknown(entity, records, raws)
        if new <= self._undefined and not options:
            return False
        before = Fields.copy(self.field_state.pins, self.field_state.names, self.field_state.undefined)
        self._definitions.look_for(entity, new | options)
        found = self._adopted(self._definitions.custom_fields(entity, have_columns=False))
        self._columns = None
        wide_rows = self._custom_fields.wide_rows if self._custom_fields else 0
        self._custom_fields = self._columns_of(list(found.values()), self.field_state.pins)
        self._custom_fields.wide_rows = wide_rows
        self._report_columns(self._custom_fields)
        self._note_changes(entity, before)
        if undefined := new - found.keys() - self._undefined - self._ignored:
            self._undefined |= undefined
            self.field_state.note_undefined(self._undefined)
            keys = ", ".join(sorted(self._undefined))
            self.logger.warning(
                "%s: values of unknown fields are in custom_fields_overflow: %s", self.name, keys
            )
        if self._catalog:
            self.forget_selection()
            self.apply_catalog(self._catalog)
        self.tap.register_schema(self)
        self.forget_stream_maps()
        for cached in ("is_plain", "deselected"):
            self.__dict__.pop(cached, None)
        self.write_schema()
        return True

    def _raw_custom_fields(self, entity: str, records: Sequence[Any]) -> list[dict[str, Any]]:
        is_flat = self.flat_custom_fields
        definitions = self._definitions.custom_fields(entity, have_columns=False) if is_flat else {}
        return self.reader.raw_custom_fields(records, definitions)

    def _without_hidden_value(self, rejected: Row) -> Row:
        """Return a row for `rejected_values` without its value, if the user hides the column in any way."""
        column = rejected["field"]
        if column in (WHOLE_RECORD, RAW):
            is_hidden = bool(self.deselected) or not self.row_mask.is_empty
        else:
            is_hidden = column in self.deselected or self.row_mask.hides(column, self.custom_fields)
        return {**rejected, "value": None} if is_hidden or not self.is_plain else rejected

    def rows_as_written(self, records: Sequence[Any]) -> list[Row]:
        """Return records of the API as they would be written; none where the user's stream maps change them."""
        rows, _ = self.read(records) if self.is_plain else ([], [])
        for row in rows:
            for column in self.deselected:
                row.pop(column, None)
        return rows

    def write(self, rows: list[Row], version: int | None) -> None:
        """Write RECORD messages with the selected columns, through the user's stream maps if there are any. A
        table whose rows are never marked as deleted needs no version."""
        version = int(time.time()) if version is None else version
        for row in rows if self.deselected else ():
            for column in self.deselected:
                row.pop(column, None)
        if self.is_plain:
            self.tap.writer.write_records(self.name, rows, version)
            return
        for row in rows:
            for stream_map in self.stream_maps:
                mapped = self.mapped(stream_map, to_builtins(row, builtin_types=(Decimal,)))
                if mapped is not None:
                    self.tap.writer.write_records(stream_map.stream_alias, [mapped], version)
                elif type(stream_map) is not RemoveRecordTransform:
                    self.filtered_rows += 1
