"""The custom-field columns of one table, and from raw values to their cells."""

from collections.abc import Mapping, Sequence
from typing import Any

from tap_pipedrive import values
from tap_pipedrive.columns import (
    OVERFLOW,
    RAW,
    Definition,
    Pins,
    assign_names,
    describe,
    is_custom_key,
    update_pins,
)
from tap_pipedrive.field_types import KINDS, Cells, Clean, Options, Schema, kind_of
from tap_pipedrive.row_size import ROOM, ROOM_FOR_NULLS, cell_bytes, most_bytes
from tap_pipedrive.row_size import null_bytes as null_bytes_of


class CustomFields:
    """The custom-field columns of one table. Raises PipedriveError when an alias cannot be a column name."""

    def __init__(
        self,
        definitions: Sequence[Definition],
        *,
        mode: str,
        aliases: Mapping[str, str],
        pins: Pins,
        reserved: Sequence[str],
        max_columns: int,
    ) -> None:
        names = assign_names(definitions, aliases, pins, reserved)
        takeovers, moves = update_pins(pins, definitions, names)
        self.takeovers, self.moves = (takeovers, moves) if mode != "json" else ([], [])
        """Columns of deleted fields that are now those of another field, and fields that are now in another
        column, for the first time."""
        self.unknown_types = sorted({field.type for field in definitions} - KINDS.keys())
        """Types of fields that are new to the tap."""
        self.columns: dict[str, Schema] = {}
        """Schema by column, in the order in which the fields were first seen."""
        self.types = {field.key: field.type for field in definitions}
        """By key."""
        self.known = self.types.keys()
        self._readers: dict[str, tuple[tuple[str, ...], Clean | None, Cells, Options]] = {}
        null_bytes = widest = 0
        order = {key: position for position, key in enumerate(pins)}
        for field in sorted(definitions, key=lambda field: order[field.key]) if mode != "json" else ():
            kind = kind_of(field.type)
            columns = {names[field.key] + suffix: schema | describe(field) for suffix, schema in kind.columns}
            empty = sum(map(null_bytes_of, columns.values()))
            if len(self.columns) + len(columns) > max_columns or null_bytes + empty > ROOM_FOR_NULLS:
                continue
            null_bytes += empty
            widest += sum(map(most_bytes, columns.values()))
            self._readers[field.key] = (tuple(columns), kind.clean, kind.read, field.options)
            self.columns |= columns
        self.names = {key: columns[0] for key, (columns, *_) in self._readers.items()}
        """By key of each field that has columns: the first of them."""
        self.naming = [
            (self.names[field.key] + suffix, stream)
            for field in definitions
            if field.key in self.names
            for suffix, stream in kind_of(field.type).names
        ]
        """Columns that name rows of a stream."""
        self.labels = {field.key: field.name for field in definitions}
        """What people see, by key."""
        self.without_columns = sorted(self.known - self._readers.keys()) if mode != "json" else []
        """Keys of the fields beyond `max_columns`, and of those whose columns would fill a row without values."""
        self.wide_rows = 0
        """Rows with values that are in the overflow, as they do not fit into a row of Postgres."""
        self._may_be_wide = widest > ROOM
        if mode != "json":
            self.columns[OVERFLOW] = values.OBJECT
        if mode != "columns":
            self.columns[RAW] = values.OBJECT
        self._mode = mode
        self._blank = dict.fromkeys(self.columns)

    def read(self, raw: Mapping[str, Any], row: dict[str, Any]) -> list[tuple[str, Any, str]]:
        """Fill a row's columns from its raw custom fields; return what does not fit: (column, value, error)."""
        rejects: list[tuple[str, Any, str]] = []
        overflow: dict[str, Any] = {}
        row.update(self._blank)
        readers = self._readers
        for key, value in raw.items():
            if value is None:
                continue
            reader = readers.get(key)
            if not reader:
                overflow[key] = value
                continue
            columns, clean, read, options = reader
            try:
                if clean is values.clean_text and type(value) is str:  # without a call, as in `rows.py`
                    row[columns[0]] = value or None
                elif clean:
                    row[columns[0]] = clean(_bare(value) if type(value) is dict else value)
                else:
                    row.update(zip(columns, read(value, options), strict=True))
            except ValueError as error:
                rejects.append((columns[0], value, str(error)))
            except (TypeError, ArithmeticError) as error:
                rejects.append((columns[0], value, type(error).__name__))  # whose text is not ours
        if self._may_be_wide:
            self._narrow(raw, row, overflow)
        if self._mode != "json":
            row[OVERFLOW] = overflow or None
        if self._mode != "columns":
            row[RAW] = raw
        return rejects

    def _narrow(self, raw: Mapping[str, Any], row: dict[str, Any], overflow: dict[str, Any]) -> None:
        """Move values into the overflow, those of the largest fields first, until the row fits into Postgres.

        Which ones depends on the row's values alone.
        """
        size = 0
        sizes: list[tuple[int, str]] = []
        for key, (columns, *_) in self._readers.items():
            least = sum(null_bytes_of(self.columns[column]) for column in columns)
            size += least
            if raw.get(key) is not None:
                found = sum(cell_bytes(row[column], self.columns[column]) for column in columns)
                sizes.append((found - least, key))
                size += found - least
        self.wide_rows += size > ROOM
        for gain, key in sorted(sizes, reverse=True):
            if size <= ROOM:
                return
            row.update(dict.fromkeys(self._readers[key][0]))
            overflow[key] = raw[key]
            size -= gain


def _bare(value: Mapping[str, Any]) -> Any:
    """Return the value that a webhook sends as `{"type": …, "value": …}`; any other object as it is."""
    return value.get("value") if value.keys() <= {"type", "value"} else value


def unflatten(record: Mapping[str, Any], definitions: Mapping[str, Definition]) -> dict[str, Any]:
    """Return the custom fields of a v1 record, which stand at its root, as the object `custom_fields` of v2."""
    raw: dict[str, Any] = {}
    for name, value in record.items():
        if not is_custom_key(name):
            continue
        key, part = name[:40], name[41:]
        flat = kind_of(definitions[key].type).flat if key in definitions else ()
        if value is None or isinstance(value, dict) or (part and part not in flat) or not flat:
            raw.setdefault(name, value)
        else:
            parts = {part: record[f"{key}_{part}"] for part in flat if f"{key}_{part}" in record}
            whole = record.get(key)
            raw[key] = {**parts, **whole} if isinstance(whole, dict) else {"value": whole, **parts}
    return raw
