"""What the state of a stream keeps of its custom fields: their columns, and since when a field has no definition.

Rows that are read while a field has no definition lack its values, and would not come again by themselves. So the
state says since when; the run that finds the definition again moves the bookmarks back to that moment.
"""

from collections.abc import Iterable, Mapping, Set
from typing import Any

from tap_pipedrive.columns import Pins, field_of
from tap_pipedrive.errors import PipedriveError
from tap_pipedrive.memory import lists_of, read_anew
from tap_pipedrive.references import READ_AT

PINS, UNDEFINED, NAMES = "custom_fields", "undefined_custom_fields", "custom_field_names"
"""Keys of the state: columns by custom field, see `Pins`; bookmarks by custom field that rows are read without;
and what people called the fields."""

BEGINNING = ""
"""Stands for a bookmark before all rows."""


class FieldState:
    """The part of a stream's state that is about custom fields. Raises PipedriveError when it is malformed."""

    def __init__(self, stream: str, state: dict[str, Any], lists: int) -> None:
        """`lists`: how many lists the stream reads."""
        self._state = state
        self.is_new = PINS not in state
        """Whether no run has read the custom fields before."""
        self.pins: Pins = state.setdefault(PINS, {})
        """Columns by custom field."""
        self._undefined: dict[str, str] = state.get(UNDEFINED, {})
        self._bookmark = self._first_bookmark(lists)
        try:
            well_formed = all(isinstance(pin["name"] + pin["type"], str) for pin in self.pins.values())
            well_formed = well_formed and all(
                isinstance(since + "", str) for since in self._undefined.values()
            )
        except (AttributeError, KeyError, TypeError):
            well_formed = False
        if not well_formed:
            raise PipedriveError(f"The state's {PINS} of {stream} are malformed: clear the state.")

    @property
    def undefined(self) -> Set[str]:
        """Keys of the fields that rows are read without."""
        return self._undefined.keys()

    @property
    def names(self) -> dict[str, str]:
        """What people called the fields in the run before, by key."""
        names = self._state.get(NAMES)
        return (
            {key: name for key, name in names.items() if isinstance(name, str)}
            if isinstance(names, dict)
            else {}
        )

    def note_names(self, names: Mapping[str, str]) -> None:
        """Keep what people call the fields; deleted ones keep their last name."""
        if names or NAMES in self._state:
            self._state[NAMES] = {**self.names, **names}

    def is_unknown(self, key: str) -> bool:
        """Return whether a field has never had a column."""
        return not any(field_of(pinned, pin) == key for pinned, pin in self.pins.items())

    @property
    def has_fields(self) -> bool:
        """Whether the stream ever had a custom field, with or without a definition."""
        return bool(self.pins or self._undefined)

    def known(self) -> set[str]:
        """Return the keys of the fields that had columns and a definition when they were last read."""
        present = {key for key, pin in self.pins.items() if field_of(key, pin) == key}
        return present - self._undefined.keys()

    def note_undefined(self, keys: Iterable[str]) -> None:
        """Keep since when fields have no definition: since the bookmark with which the run began."""
        for key in sorted(keys):
            self._state.setdefault(UNDEFINED, self._undefined).setdefault(key, self._bookmark)

    def define(self, keys: Set[str]) -> list[str]:
        """Note that fields have definitions; return those that had none, whose rows are read again."""
        again = sorted(keys & self._undefined.keys())
        for key in again:
            self.read_again(self._undefined.pop(key))
        if not self._undefined:
            self._state.pop(UNDEFINED, None)
        return again

    def read_again(self, since: str = BEGINNING) -> None:
        """Move the bookmarks of the stream back, so that this run reads what has changed since."""
        if since == BEGINNING:
            read_anew(self._state)
        for part in lists_of(self._state):
            part.pop(READ_AT, None)
            if str(part.get("replication_key_value", since)) > since:
                part["replication_key_value"] = since

    def _first_bookmark(self, lists: int) -> str:
        """Return the earliest bookmark of the lists; BEGINNING where one of them has not been read to its end."""
        parts = lists_of(self._state)
        if len(parts) < lists or any("first_load" in part for part in parts):
            return BEGINNING
        return min(str(part.get("replication_key_value", BEGINNING)) for part in parts)
