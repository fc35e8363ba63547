"""Custom fields: from the account's definitions to typed, named columns, and from values to cells.

A custom field's identity is its 40-character key; its name may change and need not be unique. The column's
name is an alias from the settings, else the name that the field got when it was first seen (pinned in the
state), else the slug of its name now.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha1
from typing import Any

import msgspec

from tap_pipedrive import values
from tap_pipedrive.errors import PipedriveError

Schema = dict[str, Any]
Pins = dict[str, dict[str, str]]
"""By key: the `name` and `type` that a field had when its columns were made."""

Options = Mapping[int, str]
"""Labels by option id."""

Clean = Callable[[Any], Any]
Cells = Callable[[Any, Options], Sequence[Any]]

RAW, OVERFLOW = "custom_fields", "custom_fields_overflow"
"""Columns for the raw object, and for what has no column of its own; no field may take their names."""

PARAMETERS = {"version", "deletedate"}
"""No column's names either: they are parameters of the statement with which target-postgres marks deleted rows."""

ADDRESS_PARTS = (
    "street_number", "route", "sublocality", "subpremise", "locality", "admin_area_level_1",
    "admin_area_level_2", "country", "postal_code", "formatted_address",
)  # fmt: skip

_KEY = re.compile(r"^[0-9a-f]{40}")
_DESCRIBED = re.compile(r"^Custom field (.+)$", re.DOTALL)


@dataclass(frozen=True)
class Definition:
    """A custom field as `GET /api/v2/dealFields` (and its siblings) defines it."""

    key: str
    name: str
    type: str
    options: Options


@dataclass(frozen=True)
class Kind:
    """What becomes of a field type: its columns (suffix and schema), and a value's cells for them."""

    columns: tuple[tuple[str, Schema], ...]
    read: Cells
    flat: tuple[str, ...] = ()
    """Suffixes of the keys over which v1 spreads the parts of one value."""

    clean: Clean | None = None
    """The short way, for a type with one column and no options."""


def _scalar(clean: Clean, schema: Schema) -> Kind:
    return Kind((("", schema),), lambda value, _: (clean(value),), clean=clean)


def _parts(*columns: tuple[str, tuple[str, ...], Clean, Schema], flat: tuple[str, ...]) -> Kind:
    """A type whose value is an object: (column suffix, names of the part, cleaning, schema).

    A bare value is its first part; a part has several names where the API versions differ.
    """

    first = columns[0][1][0]
    parts = tuple((names, clean) for _, names, clean, _ in columns)

    def read(value: Any, _: Options) -> list[Any]:
        sent = value if isinstance(value, dict) else {first: value}
        cells = []
        for names, clean in parts:
            for name in names:
                part = sent.get(name)
                if part is not None:
                    break
            cells.append(None if part is None else clean(part))
        return cells

    return Kind(tuple((suffix, schema) for suffix, _, _, schema in columns), read, flat)


def _read_option(value: Any, options: Options) -> tuple[str | None, int | None]:
    """Label and id of an option; an option that was deleted has no label any more."""
    option = values.clean_integer(value)
    return (None if option is None else options.get(option)), option


def _read_options(value: Any, options: Options) -> tuple[list[Any] | None, list[Any] | None]:
    """Labels and ids of a set; v1 writes `"12,34"`, v2 `[12, 34]`."""
    if value is None or value == "":
        return None, None
    chosen = value.split(",") if isinstance(value, str) else value if isinstance(value, list) else [value]
    found = [_read_option(one, options) for one in chosen]
    return [label for label, _ in found], [option for _, option in found]


def _read_anything(value: Any, _: Options) -> tuple[str | None]:
    """A type that the tap does not know: text as it is, the rest as JSON."""
    if isinstance(value, dict | list):
        return (msgspec.json.Encoder(decimal_format="number").encode(value).decode(),)
    return (values.clean_text(value),)


_TEXT = _scalar(values.clean_text, values.TEXT)
_INTEGER = _scalar(values.clean_integer, values.INTEGER)
_UNKNOWN = Kind((("", values.TEXT),), _read_anything)

KINDS: Mapping[str, Kind] = {
    "varchar": _TEXT,
    "varchar_auto": _TEXT,
    "text": _TEXT,
    "phone": _TEXT,
    "varchar_options": _TEXT,
    "double": _scalar(values.clean_number, values.NUMBER),
    "int": _INTEGER,
    "boolean": _scalar(values.clean_boolean, values.BOOLEAN),
    "date": _scalar(values.clean_date, values.DATE),
    "json": _UNKNOWN,
    **dict.fromkeys(
        ("user", "org", "people", "deal", "project", "stage", "activity", "visible_to"), _INTEGER
    ),
    "lead": _TEXT,
    "enum": Kind((("", values.TEXT), ("_id", values.INTEGER)), _read_option),
    "set": Kind((("", values.ARRAY), ("_ids", values.ARRAY)), _read_options),
    "monetary": _parts(
        ("", ("value",), values.clean_number, values.NUMBER),
        ("_currency", ("currency",), values.clean_text, values.TEXT),
        flat=("currency",),
    ),
    "daterange": _parts(
        ("", ("value",), values.clean_date, values.DATE),
        ("_until", ("until",), values.clean_date, values.DATE),
        flat=("until",),
    ),
    "time": _parts(
        ("", ("value",), values.clean_time, values.TEXT),
        ("_timezone", ("timezone_name", "timezone_id"), values.clean_text, values.TEXT),
        flat=("timezone_id",),
    ),
    "timerange": _parts(
        ("", ("value",), values.clean_time, values.TEXT),
        ("_until", ("until",), values.clean_time, values.TEXT),
        ("_timezone", ("timezone_name", "timezone_id"), values.clean_text, values.TEXT),
        flat=("until", "timezone_id"),
    ),
    "address": _parts(
        ("", ("value",), values.clean_text, values.TEXT),
        *((f"_{part}", (part,), values.clean_text, values.TEXT) for part in ADDRESS_PARTS),
        flat=ADDRESS_PARTS,
    ),
}
"""Pipedrive's field types. The list is open-ended: a type that is not here becomes text."""


class CustomFields:
    """The custom-field columns of one table.

    Raises PipedriveError when an alias of the settings cannot be a column name.
    """

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
        names = _assign_names(definitions, aliases, pins, {*reserved, *PARAMETERS, RAW, OVERFLOW})
        for field in definitions:
            pin = {"name": names[field.key], "type": field.type}
            if (old := pins.get(field.key, pin)) != pin:  # its columns stay in the warehouse, and reserved
                pins[f"{field.key} {old['name']}"] = old
            pins[field.key] = pin
        self.columns: dict[str, Schema] = {}
        """Schema by column, in the order in which the fields were first seen."""
        self.known = {field.key for field in definitions}
        self._readers: dict[str, tuple[tuple[str, ...], Clean | None, Cells, Options]] = {}
        order = {key: position for position, key in enumerate(pins)}
        for field in sorted(definitions, key=lambda field: order[field.key]) if mode != "json" else ():
            kind = KINDS.get(field.type, _UNKNOWN)
            about = {"title": field.name, "description": f"Custom field {field.key}"}
            columns = {names[field.key] + suffix: {**schema, **about} for suffix, schema in kind.columns}
            if len(self.columns) + len(columns) > max_columns:
                continue
            self._readers[field.key] = (tuple(columns), kind.clean, kind.read, field.options)
            self.columns |= columns
        self.names = {key: columns[0] for key, (columns, *_) in self._readers.items()}
        """(First) column by key of each field that has one."""
        self.left_over = sorted(self.known - self._readers.keys()) if mode != "json" else []
        """Keys of the fields for which there was no room."""
        if mode != "json":
            self.columns[OVERFLOW] = values.OBJECT
        if mode != "columns":
            self.columns[RAW] = values.OBJECT
        self._mode = mode
        self._blank = dict.fromkeys(self.columns)

    def read(self, raw: Mapping[str, Any], row: dict[str, Any]) -> list[tuple[str, Any, str]]:
        """Fill a row's columns from its raw custom fields; return what did not fit: (column, value, error)."""
        rejects: list[tuple[str, Any, str]] = []
        beyond: dict[str, Any] = {}
        row.update(self._blank)
        for key, value in raw.items():
            if value is None:
                continue
            reader = self._readers.get(key)
            if not reader:
                beyond[key] = value
                continue
            columns, clean, read, options = reader
            try:
                if clean:
                    row[columns[0]] = clean(value)
                else:
                    for column, cell in zip(columns, read(value, options), strict=True):
                        row[column] = cell
            except (ValueError, TypeError, ArithmeticError) as error:
                rejects.append((columns[0], value, str(error)))
        if self._mode != "json":
            row[OVERFLOW] = beyond or None
        if self._mode != "columns":
            row[RAW] = raw
        return rejects


def unflatten(record: Mapping[str, Any], definitions: Mapping[str, Definition]) -> dict[str, Any]:
    """The custom fields of a v1 record, which lie flat at its root, as v2's `custom_fields` object."""
    raw: dict[str, Any] = {}
    for name, value in record.items():
        if not _KEY.match(name):
            continue
        key, part = name[:40], name[41:]
        flat = KINDS.get(definitions[key].type, _UNKNOWN).flat if key in definitions else ()
        if value is None or isinstance(value, dict) or (part and part not in flat) or not flat:
            raw.setdefault(name, value)
        else:
            parts = {part: record[f"{key}_{part}"] for part in flat if f"{key}_{part}" in record}
            raw[key] = {"value": record.get(key), **parts}
    return raw


def is_custom_key(name: str) -> bool:
    """Whether a v1 record's key is a custom field's, or one of its parts."""
    return bool(_KEY.match(name))


def key_of(schema: Mapping[str, Any]) -> str | None:
    """The custom field to which a column of a catalog belongs, by the column's schema."""
    match = _DESCRIBED.match(schema.get("description") or "")
    return match[1] if match else None


def slug(name: str) -> str:
    """A name as a column name: ASCII, snake_case, not starting with a digit; empty if nothing is left."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")
    return f"_{words}" if words[:1].isdigit() else words


def _assign_names(
    definitions: Sequence[Definition], aliases: Mapping[str, str], pins: Pins, reserved: set[str]
) -> dict[str, str]:
    """Column names by key: aliases first, then pins, then slugs, of which those that clash get a suffix."""
    names: dict[str, str] = {}
    taken = set(reserved)
    for field in definitions:
        if alias := aliases.get(field.key):
            columns = _columns(alias, field.type)
            others = (
                _columns(pin["name"], pin["type"]) for key, pin in pins.items() if key[:40] != field.key
            )
            taken_by_others = taken.union(*others)
            if clash := next(
                (
                    column
                    for column in columns
                    if column in taken_by_others or len(column) > values.MAX_IDENTIFIER
                ),
                None,
            ):
                raise PipedriveError(
                    f"Setting custom_field_names: {field.key} ({field.name}) cannot be named {alias}: the "
                    f"column {clash} exists already or is too long; choose another name."
                )
            names[field.key] = alias
            taken |= columns
    types = {field.key: field.type for field in definitions}
    for key, pin in pins.items():
        columns = _columns(pin["name"], pin["type"])
        if types.get(key) == pin["type"] and key not in names and not columns & taken:
            names[key] = pin["name"]
        taken |= columns  # of deleted fields too: their columns stay in the warehouse
    new = sorted((field for field in definitions if field.key not in names), key=lambda field: field.key)
    wanted = {field.key: _fit(slug(field.name), field.type) for field in new}
    demand = Counter(
        column for field in new for column in _columns(wanted[field.key], field.type) if wanted[field.key]
    )
    for field in new:
        name, length = wanted[field.key], 6
        columns = _columns(name, field.type)
        if not name or columns & taken or any(demand[column] > 1 for column in columns):
            name = ""
        while not name or _columns(name, field.type) & taken:
            tail = "_" + _digits(field.key)[:length]
            name = _fit(wanted[field.key] or "field", field.type, tail) + tail
            length += 2
        names[field.key] = name
        taken |= _columns(name, field.type)
    return names


def _columns(name: str, field_type: str) -> set[str]:
    return {name + suffix for suffix, _ in KINDS.get(field_type, _UNKNOWN).columns}


def _digits(key: str) -> str:
    """What tells a field's column from others that want its name: of a key that is no hash, the digits of one."""
    return key if re.fullmatch(_KEY, key) else sha1(key.encode(), usedforsecurity=False).hexdigest()


def _fit(name: str, field_type: str, tail: str = "") -> str:
    """Cut a name so that its longest column, tail and suffix included, is a valid identifier."""
    longest = max(len(suffix) for suffix, _ in KINDS.get(field_type, _UNKNOWN).columns)
    return name[: values.MAX_IDENTIFIER - longest - len(tail)].rstrip("_")
