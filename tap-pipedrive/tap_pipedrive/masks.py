"""Personal data that the user does not want in the warehouse: the setting `mask`.

Values are hidden before rows are made of them, and so wherever rows go: in the table, in samples, in values that
do not fit, and in the histories of the records that they come from.
"""

import hmac
import re
from collections.abc import Iterator, Mapping, Sequence, Set
from hashlib import blake2b
from typing import Any

from tap_pipedrive.columns import KEY_LENGTH, OVERFLOW, RAW, Pins, columns_of, field_of
from tap_pipedrive.custom_fields import CustomFields
from tap_pipedrive.entity import Entity
from tap_pipedrive.errors import PipedriveError
from tap_pipedrive.field_types import kind_of
from tap_pipedrive.masking import hide
from tap_pipedrive.nearest import nearest
from tap_pipedrive.rows import Row
from tap_pipedrive.settings import DROP, HASH, Settings
from tap_pipedrive.values import OBJECT, encode

HASH_DIGITS = 32
"""Hexadecimal digits of a hash: enough for no two values to share one."""

DOMAIN = "masked.invalid"
"""What stands after the hash of an e-mail address, by which such addresses are told from other texts. Nobody can
own the domain (RFC 2606)."""

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")

TOGETHER: Mapping[str, Sequence[Set[str]]] = {
    "persons": (
        {"name", "first_name", "last_name"},
        {"emails", "primary_email"},
        {"phones", "primary_phone"},
    ),
}
"""Columns of a stream that hold the same data: a rule for one is one for those that have none of their own."""

IN_HISTORIES: Mapping[str, str] = {
    "emails": "email",
    "primary_email": "email",
    "phones": "phone",
    "primary_phone": "phone",
    "label_ids": "label",
    "owner_id": "user_id",
}
"""Names of fields in change logs, which are those of API v1, where these are not the columns'."""


class Masks:
    """The setting `mask`: which columns of which streams are hidden, and how."""

    def __init__(self, settings: Settings) -> None:
        self._key = (settings.mask_key or "").encode()
        hide(settings.mask_key)
        self._rules: dict[str, dict[str, str]] = {}
        for stream, rules in settings.mask.items():
            own: dict[str, str] = (
                dict.fromkeys(rules, settings.mask_method) if isinstance(rules, list) else {**rules}
            )
            for group in TOGETHER.get(stream, ()):
                for column in [column for column in own if column in group]:
                    own = {**dict.fromkeys(group, own[column]), **own}
            self._rules[stream] = own

    def of(self, stream: str) -> Mapping[str, str]:
        """Return the methods by column of a stream."""
        return self._rules.get(stream, {})

    def errors(self, streams: Sequence[str]) -> Iterator[str]:
        """Yield a sentence for each stream that does not exist, and one if hashes have no key."""
        for stream in self._rules:
            if stream not in streams:
                yield f"Setting mask: there is no stream {stream}{nearest(stream, streams)}"
        methods = [method for rules in self._rules.values() for method in rules.values()]
        if HASH in methods and not self._key:
            yield "Setting mask_key is missing, without which hashes can be guessed: set a long text, and keep it."

    def shape(self, stream: str) -> str:
        """Return a short text that is another one when the values of a stream would be hidden otherwise."""
        rules = sorted(self.of(stream).items())
        return blake2b(encode(rules), key=self._key[:64], digest_size=6).hexdigest() if rules else ""

    def hidden(self, value: Any, method: str) -> Any:
        """Return what stands for a value: nothing, or the hash of each text and number in it. The same text has
        the same hash in all columns, whatever its case; flags stay."""
        if method == DROP or value is None or isinstance(value, bool):
            return None if method == DROP else value
        if isinstance(value, list):
            return [self.hidden(part, method) for part in value]
        if isinstance(value, dict):
            return {name: self.hidden(part, method) for name, part in value.items()}
        text = value.strip() if isinstance(value, str) else encode(value).decode()
        digest = hmac.digest(self._key, text.casefold().encode(), "sha256").hex()[:HASH_DIGITS]
        return (f"{digest}@{DOMAIN}" if _EMAIL.fullmatch(text) else digest) if text else text


class RowMask:
    """What is hidden in the rows of one table. Raises PipedriveError for a column that the table does not have, or
    that cannot be hidden in that way."""

    def __init__(
        self,
        stream: str,
        masks: Masks,
        entity: type[Entity],
        needed: Set[str],
        custom_fields: CustomFields | None,
        pins: Pins,
    ) -> None:
        """`needed`: columns without which rows could not be told apart or read; `pins`: columns of custom fields,
        also of deleted ones, whose values may still come."""
        self._masks = masks
        self.columns: dict[str, str] = {}
        """Methods by built-in column."""
        self.fields: dict[str, str] = {}
        """Methods by key of the custom field."""
        built_in = entity.columns()
        types = custom_fields.types if custom_fields else {}
        named = _fields_by_column(pins)
        for column, method in masks.of(stream).items():
            key = column if column in types else named.get(column)
            if column in needed:
                raise PipedriveError(
                    f"Setting mask: rows of {stream} are told apart or read by {column}: leave it out."
                )
            if column in built_in or column in (RAW, OVERFLOW):
                is_text = _holds_texts(built_in.get(column, OBJECT))
                self.columns[column] = method
            elif key:
                is_text = kind_of(types.get(key, "")).is_text
                self.fields[key] = method
            else:
                known = [*built_in, *named]
                raise PipedriveError(f"Setting mask: {stream} has no column {column}{nearest(column, known)}")
            if method == HASH and not is_text:
                raise PipedriveError(
                    f"Setting mask: {column} of {stream} holds no text, and cannot have a hash: write "
                    f'{{"{stream}": {{"{column}": "drop"}}}}.'
                )

    @property
    def is_empty(self) -> bool:
        """Whether nothing is hidden."""
        return not (self.columns or self.fields)

    def hides(self, column: str, custom_fields: CustomFields | None) -> bool:
        """Return whether a column, or the custom field that it belongs to, is hidden."""
        names = custom_fields.names if custom_fields else {}
        return column in self.columns or any(names.get(key) == column for key in self.fields)

    def raw(self, raws: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return custom fields as the API sends them, with hidden values."""
        if not self.fields:
            return list(raws)
        return [
            {
                key: self._masks.hidden(value, method) if (method := self._method_of(key)) else value
                for key, value in raw.items()
            }
            for raw in raws
        ]

    def _method_of(self, field: str) -> str | None:
        """Return how a field is hidden; in v1, a part of its value has a longer key."""
        return self.fields.get(field) or self.fields.get(field[:KEY_LENGTH])

    def hide(self, rows: Sequence[Row]) -> None:
        """Hide values in the built-in columns of rows."""
        for column, method in self.columns.items():
            for row in rows:
                row[column] = self._masks.hidden(row.get(column), method)

    def hide_changes(self, rows: Sequence[Row], parent: str) -> None:
        """Hide values in the histories of this table's records. The key of such a row is made anew, as it is a
        hash of the values; `parent`: the column with the record's id."""
        of_columns = {IN_HISTORIES.get(column, column): method for column, method in self.columns.items()}
        for row in rows:
            field = str(row["field_key"] or "")
            method = self._method_of(field) or self.columns.get(field) or of_columns.get(field)
            if method:
                parts = [parent, row[parent], row["sequence"], row["time"], field]
                row["change_id"] = blake2b(encode(parts), digest_size=16).hexdigest()
                for column in ("old_value", "new_value"):
                    row[column] = self._masks.hidden(row[column], method)


def _holds_texts(schema: Mapping[str, Any]) -> bool:
    """Return whether a column can hold hashes: of a text, or within a list or an object."""
    return "format" not in schema and bool({"string", "array", "object"}.intersection(schema["type"]))


def _fields_by_column(pins: Pins) -> dict[str, str]:
    """Return the keys of custom fields by each of their columns, also former ones and those of deleted fields."""
    found = {}
    for key, pin in pins.items():
        found.update(dict.fromkeys(columns_of(pin["name"], pin["type"]), field_of(key, pin)))
    return found
