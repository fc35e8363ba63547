"""Which columns the custom fields of a table get, and how they are named.

A custom field is identified by its 40-character key; its name may change and need not be unique. The name of its
column is an alias from the settings, else the name that the field had when it was first seen (pinned in the
state), else the slug of its present name.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from hashlib import sha1
from typing import Any

from anyascii import anyascii

from tap_pipedrive import values
from tap_pipedrive.errors import PipedriveError
from tap_pipedrive.field_types import Options, kind_of

Pins = dict[str, dict[str, str]]
"""By key: the `name` and `type` that a field had when its columns were made."""

RAW, OVERFLOW = "custom_fields", "custom_fields_overflow"
"""Columns for the raw object, and for values without a column of their own; no field may take these names."""

PARAMETERS = {"version", "deletedate"}
"""Names that no column may have: target-postgres uses them as parameters when it marks deleted rows."""

SYSTEM_COLUMNS = {"ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"}
"""Names that no column may have: Postgres gives columns of these names to every table ("System Columns" in its
manual), and refuses a table that defines one."""

KEY_LENGTH = 40
"""Letters of the key of a custom field; in v1, parts of its value have more, such as `…_currency`."""

_KEY = re.compile(rf"^[0-9a-f]{{{KEY_LENGTH}}}")
_DESCRIBED = re.compile(r"^Custom field (.+)$", re.DOTALL)


@dataclass(frozen=True)
class Definition:
    """A custom field as `GET /api/v2/dealFields` (and its siblings) defines it."""

    key: str
    name: str
    type: str
    options: Options


@dataclass(frozen=True)
class Takeover:
    """A column that passes from a deleted field to the one whose alias it is."""

    field: Definition
    column: str
    former_type: str
    """The deleted field's type."""


@dataclass(frozen=True)
class Move:
    """A field that goes on in another column than before, as its type or its alias changed."""

    field: Definition
    former_column: str
    former_type: str
    column: str


def describe(field: Definition) -> dict[str, str]:
    """Return what the schema of a custom field's column says of the field; `key_of` reads it back."""
    return {"title": field.name, "description": f"Custom field {field.key}"}


def key_of(schema: Mapping[str, Any]) -> str | None:
    """Return the key of the custom field to which a column belongs, by its schema; None for other columns."""
    match = _DESCRIBED.match(schema.get("description") or "")
    return match[1] if match else None


def is_custom_key(name: str) -> bool:
    """Return whether a v1 record's key is that of a custom field, or of one of its parts."""
    return bool(_KEY.match(name))


def slug(name: str) -> str:
    """Return a name as a column name: transliterated to ASCII, in snake_case, without a digit at its beginning;
    empty if nothing is left."""
    plain = anyascii(unicodedata.normalize("NFC", name)).lower()
    words = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")
    return f"_{words}" if words[:1].isdigit() else words


def assign_names(
    definitions: Sequence[Definition], aliases: Mapping[str, str], pins: Pins, reserved: Sequence[str]
) -> dict[str, str]:
    """Return column names by key: aliases, else pins, else slugs; slugs that clash get a suffix. `reserved`:
    built-in columns. An alias may be the name that a deleted field had. Raises PipedriveError when an alias cannot
    be a column name."""
    names: dict[str, str] = {}
    taken = {*reserved, *PARAMETERS, *SYSTEM_COLUMNS, RAW, OVERFLOW}
    deleted = _of_deleted_fields(pins, definitions)
    for field in definitions:
        if alias := aliases.get(field.key):
            columns = _columns(alias, field.type)
            others = (
                _pinned(pin)
                for key, pin in pins.items()
                if key not in deleted and field.key not in _owners(key)
            )
            own = _pinned(pins[field.key]) if field.key in pins else set()
            if refusal := _refusal(columns, taken | (set().union(*others) - own)):
                raise PipedriveError(
                    f"Setting custom_field_names: {field.key} ({field.name}) cannot be named {alias}: the "
                    f"column {refusal}; choose another name."
                )
            names[field.key] = alias
            taken |= columns
    present = {field.key: [pins[field.key]] for field in definitions if field.key in pins}
    for found in (present, _former_columns(pins)):
        for field in definitions:
            fitting = (pin for pin in found.get(field.key, ()) if pin["type"] == field.type)
            pin = next((pin for pin in fitting if not _pinned(pin) & taken), None)
            if pin and field.key not in names:
                names[field.key] = pin["name"]
                taken |= _pinned(pin)
    for pin in pins.values():  # of deleted fields too: their columns stay in the warehouse
        taken |= _pinned(pin)
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


def update_pins(
    pins: Pins, definitions: Sequence[Definition], names: Mapping[str, str]
) -> tuple[list[Takeover], list[Move]]:
    """Pin the columns that fields have now; return which columns pass from a deleted field to another one, and
    which fields go on in another column than before.

    Columns that a field had before stay in the warehouse, and stay pinned. A deleted field whose column went to
    another one is named anew if it is ever restored.
    """
    takeovers, moves = [], []
    heirs = {column: field for field in definitions for column in _columns(names[field.key], field.type)}
    for key, pin in _of_deleted_fields(pins, definitions).items():
        for column in sorted(_pinned(pin) & heirs.keys()):
            heir = heirs[column]
            if key in pins and not key.endswith(f" {pin['name']}"):
                pins[f"{key} {pin['name']}"] = pins.pop(key)
            if pins.get(heir.key, {}).get("name") != names[heir.key]:
                takeovers.append(Takeover(heir, column, pin["type"]))
    for field in definitions:
        pin = {"name": names[field.key], "type": field.type}
        pins.pop(f"{field.key} {pin['name']}", None)  # it is the present column again
        if (old := pins.get(field.key, pin)) != pin:
            pins[f"{field.key} {old['name']}"] = old
            moves.append(Move(field, old["name"], old["type"], pin["name"]))
        pins[field.key] = pin
    return takeovers, moves


def _former_columns(pins: Pins) -> dict[str, list[dict[str, str]]]:
    """Return the columns that fields had before, by key of the field, the last one first."""
    former: dict[str, list[dict[str, str]]] = {}
    for key, pin in reversed(pins.items()):
        if (field := field_of(key, pin)) != key:
            former.setdefault(field, []).append(pin)
    return former


def _refusal(columns: Set[str], taken: Set[str]) -> str:
    """Return which of an alias's columns cannot be, and why; empty if all can."""
    for column in sorted(columns):
        if column in PARAMETERS | SYSTEM_COLUMNS:
            return f"{column} is reserved by the warehouse"
        if column in taken:
            return f"{column} exists already"
        if len(column) > values.MAX_IDENTIFIER:
            return f"{column} is longer than {values.MAX_IDENTIFIER} bytes"
    return ""


def field_of(key: str, pin: Mapping[str, str]) -> str:
    """Return the key of the field to which a pin belongs: with the column's name after a blank it stands for a
    column that the field had before."""
    return key.removesuffix(f" {pin['name']}")


def columns_of(name: str, field_type: str) -> list[str]:
    """Return the columns of a field that has a name and a type, in their order."""
    return [name + suffix for suffix, _ in kind_of(field_type).columns]


def _owners(pin: str) -> set[str]:
    """Return the keys that a field may have to which a pin's key belongs: with the column's name after a blank it
    stands for a column that the field had before."""
    return {pin, pin.rpartition(" ")[0]}


def _of_deleted_fields(pins: Pins, definitions: Sequence[Definition]) -> Pins:
    """Return those pins whose fields are not defined any more."""
    keys = {field.key for field in definitions}
    return {key: pin for key, pin in pins.items() if not keys & _owners(key)}


def _columns(name: str, field_type: str) -> set[str]:
    """Return the columns of a field that has a name and a type."""
    return set(columns_of(name, field_type))


def _pinned(pin: Mapping[str, str]) -> set[str]:
    return _columns(pin["name"], pin["type"])


def _digits(key: str) -> str:
    """Return the digits that make a clashing name unique: the key, or the hash of a key that is none itself."""
    return key if re.fullmatch(_KEY, key) else sha1(key.encode(), usedforsecurity=False).hexdigest()


def _fit(name: str, field_type: str, tail: str = "") -> str:
    """Cut a name so that its longest column, with suffix and tail, is a valid identifier."""
    longest = max(len(suffix) for suffix, _ in kind_of(field_type).columns)
    return name[: values.MAX_IDENTIFIER - longest - len(tail)].rstrip("_")
