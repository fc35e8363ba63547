"""What has become of a table's custom fields since the run before: for the log, and for `schema_changes`."""

from collections.abc import Iterator, Mapping, Set
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, NamedTuple

from tap_pipedrive.columns import Definition, Pins, field_of
from tap_pipedrive.rows import Row

SCHEMA_CHANGES = "schema_changes"
"""Name of the stream of these changes."""

SENTENCES = {
    "added": "the custom field {new_name} was added; its column is {new_column}",
    "adopted": "the custom field {new_name} has the column {new_column} from now on",
    "ignored": "the custom field {new_name} was added; it has no column, as new_custom_fields is ignore",
    "renamed": "the custom field {old_name} is called {new_name} now; its column stays {new_column}",
    "retyped": "the custom field {new_name} was {old_type} in {old_column}, and is {new_type} in {new_column} now",
    "moved": "the custom field {new_name} was in the column {old_column}, and is in {new_column} now",
    "deleted": "the custom field {old_name} was deleted; its column {old_column} keeps what it has",
    "restored": "the custom field {new_name} is there again; its column is {new_column}",
}
"""What the log says, by kind of change."""


class FieldChange(NamedTuple):
    """A change of one field."""

    key: str
    change: str
    """One of SENTENCES."""

    old_name: str | None
    new_name: str | None
    old_type: str | None
    new_type: str | None
    old_column: str | None
    new_column: str | None

    @property
    def sentence(self) -> str:
        """The change in words."""
        names = {"old_name": self.old_name or self.key, "new_name": self.new_name or self.key}
        return SENTENCES[self.change].format_map({**self._asdict(), **names})

    def row(self, run_id: str, stream: str) -> Row:
        """Return the change as a row."""
        parts = self._asdict()
        return {"run_id": run_id, "stream": stream, "field_code": parts.pop("key"), **parts}


@dataclass
class Fields:
    """What is known of the custom fields of a table at one moment."""

    pins: Pins
    names: Mapping[str, str]
    """What people see, by key."""

    undefined: Set[str]
    """Fields without a definition, or ignored."""

    @classmethod
    def copy(cls, pins: Pins, names: Mapping[str, str], undefined: Set[str]) -> "Fields":
        """Return what is known now, whatever becomes of it."""
        return cls(deepcopy(pins), dict(names), set(undefined))


def changes(before: Fields, after: Fields, definitions: Mapping[str, Definition]) -> Iterator[FieldChange]:
    """Yield what has changed between two moments; `definitions`: all that there are now, ignored ones included."""
    former = {
        key for pins in (before.pins, after.pins) for key, pin in pins.items() if field_of(key, pin) != key
    }
    for key in sorted({*before.pins, *after.pins, *definitions} - former):
        old, new = before.pins.get(key), after.pins.get(key)
        old_name, new_name = before.names.get(key), after.names.get(key)
        kinds: list[str] = []
        was_there, is_there = key not in before.undefined, key not in after.undefined
        if old is None and new is None:
            kinds += ["ignored"] if key in definitions and was_there and not is_there else []
        elif old is None:
            kinds += ["added" if was_there else "adopted"]
        elif was_there and not is_there:
            kinds += ["deleted"]
        elif new:
            kinds += ["restored"] if is_there and not was_there else []
            kinds += ["renamed"] if old_name is not None and new_name not in (None, old_name) else []
            if old["type"] != new["type"]:
                kinds += ["retyped"]
            elif old["name"] != new["name"]:
                kinds += ["moved"]
        for kind in kinds:
            columns: tuple[Any, ...] = (
                old and old["name"],
                new["name"] if new and kind != "deleted" else None,
            )
            types: tuple[Any, ...] = (old and old["type"], new["type"] if new and kind != "deleted" else None)
            yield FieldChange(key, kind, old_name, None if kind == "deleted" else new_name, *types, *columns)
