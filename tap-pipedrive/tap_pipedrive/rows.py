"""From a record of the API to a row of its table.

A value that does not fit its column becomes null in the row and is kept, raw, in `rejected_values`.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, cast

from pydantic import PlainValidator
from pydantic.fields import FieldInfo

from tap_pipedrive.columns import RAW, Definition, is_custom_key
from tap_pipedrive.custom_fields import CustomFields, unflatten
from tap_pipedrive.entity import Entity
from tap_pipedrive.values import MAX_INTEGER, clean_integer, clean_text, encode, is_blank

REJECTED_VALUES = "rejected_values"
"""Name of the stream of values that do not fit their column."""

WHOLE_RECORD = "(record)"
"""The field of a reject whose record has no usable key, or is no object."""

Row = dict[str, Any]
Reject = tuple[str, Any, str]
"""Column, value as sent, error."""


class RowReader:
    """Turns the records of one stream into rows, and counts rejected rows and unknown keys."""

    def __init__(
        self,
        stream: str,
        entity: type[Entity],
        keys: Sequence[str],
        *,
        ignored_keys: Set[str],
        flat_custom_fields: bool,
    ) -> None:
        self.stream = stream
        self.entity = entity
        self.keys = keys
        self.flat_custom_fields = flat_custom_fields
        self.rejected_rows = 0
        self.lost_rows = 0
        """Records that could not become rows."""
        self.unknown_keys: Counter[str] = Counter()
        """Number of rows by key of the API that has no column."""
        self._ignored_keys = ignored_keys
        self._cleaners = {name: _cleaner(field) for name, field in entity.model_fields.items()}
        self._blank: Row = dict.fromkeys(self._cleaners)

    def raw_custom_fields(
        self, records: Sequence[Any], definitions: Mapping[str, Definition]
    ) -> list[dict[str, Any]]:
        """Return the custom fields of each record, as the object of values by key that v2 sends."""
        return [self._raw(record, definitions) for record in records]

    def _raw(self, record: Any, definitions: Mapping[str, Definition]) -> dict[str, Any]:
        if not isinstance(record, dict):
            return {}
        raw = record.get(RAW)
        custom = raw if isinstance(raw, dict) else {}
        if self.flat_custom_fields:
            sent = {key: value for key, value in custom.items() if value is not None}
            return {**unflatten(record, definitions), **sent}
        return custom

    def read(
        self, records: Sequence[Any], custom_fields: CustomFields | None, raws: Sequence[dict[str, Any]]
    ) -> tuple[list[Row], list[Row]]:
        """Return rows of the table, and rows of `rejected_values`."""
        rows: list[Row] = []
        rejected: list[Row] = []
        for position, record in enumerate(records):
            row, rejects = self._row(record)
            self.lost_rows += row is None
            if row is not None:
                if custom_fields:
                    rejects += custom_fields.read(raws[position], row)
                if raws and not isinstance(raw := record.get(RAW), dict | None):
                    rejects.append((RAW, raw, "expected an object"))
                rows.append(row)
            if rejects:
                self.rejected_rows += 1
                rejected += [self._rejected_value(record, *reject) for reject in rejects]
        return rows, rejected

    def _row(self, record: Any) -> tuple[Row | None, list[Reject]]:
        if not isinstance(record, dict):
            return None, [("", record, "the record is no object")]
        row = self._blank.copy()
        rejects: list[Reject] = []
        cleaners = self._cleaners
        for key, value in self.entity.prepare(record).items():
            clean = cleaners.get(key)
            if clean is None:
                if key in record and not self._is_ignored(key, value):
                    self.unknown_keys[key] += 1
            elif value is None:
                continue
            elif clean is clean_text and type(value) is str:  # without a call, as most values are such
                row[key] = value or None
            elif clean is clean_integer and type(value) is int and -MAX_INTEGER <= value <= MAX_INTEGER:
                row[key] = value
            else:
                try:
                    row[key] = clean(value)
                except ValueError as error:
                    rejects.append((key, value, str(error)))
        for key in self.keys:
            if row[key] is None:
                why = next((error for column, _, error in rejects if column == key), "the key is missing")
                return None, [("", record, f"{key}: {why}")]
        return row, rejects

    def _is_ignored(self, key: str, value: Any) -> bool:
        if key == RAW and is_blank(value):
            return True
        return key in self._ignored_keys or (self.flat_custom_fields and is_custom_key(key))

    def _rejected_value(self, record: Any, column: str, value: Any, error: str) -> Row:
        text = encode(value).decode()
        key = [record.get(key) for key in self.keys] if isinstance(record, dict) else [None]
        return {
            "stream": self.stream,
            "record_id": sha256(text.encode()).hexdigest() if None in key else "/".join(map(str, key)),
            "field": column or WHOLE_RECORD,
            "value": text,
            "error": error,
            "seen_at": datetime.now(UTC),
        }


def _cleaner(field: FieldInfo) -> Callable[[Any], Any]:
    """Return the function of `values.py` that a field's type stands for.

    It is called without pydantic around it, so that nulls cost nothing, and a value that does not fit does not
    cost a second pass over the whole record.
    """
    (clean,) = (part.func for part in field.metadata if isinstance(part, PlainValidator))
    return cast("Callable[[Any], Any]", clean)
