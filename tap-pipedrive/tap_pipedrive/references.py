"""Lists that change rarely: when the warehouse got each, and which of its rows others name.

The state keeps both, as another warehouse may have got them at another time. A list is read when it is too old,
when its columns are others than they were, or when a row names one that it lacks.
"""

from collections.abc import Hashable, Iterable, Mapping, MutableMapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from tap_pipedrive.values import clean_timestamp, rfc3339

READ_AT, LAST_ROW_AT, KNOWN, LACKING, SHAPE = "read_at", "last_row_at", "known", "lacking", "shape"
"""Keys in the state of a list."""

MOST_KNOWN = 1_000
"""Names that the state keeps of one list; a row that names one beyond them has the list read."""

LATELY = 100
"""Names that it keeps of a list that is too long to be known: those that rows have named last."""


class Reference:
    """One list that is not read in each run."""

    def __init__(self, state: MutableMapping[str, Any], shape: str, *, is_whole: bool) -> None:
        """`state`: the list's part of the state, which is changed in place; `shape`: what its rows look like now;
        `is_whole`: whether a reading brings all rows, so that their names are all that there are."""
        self.is_kept = False
        """Whether this run does not read it."""
        self.may_be_cached = False
        """Whether other processes may have it as Pipedrive has sent it."""
        self._state = state
        self._shape = shape
        self._is_whole = is_whole
        self.lacking: set[Hashable] = set(_names_of(state, LACKING))
        """What rows name, and the list has not shown."""
        self._known: dict[Hashable, None] = dict.fromkeys(_names_of(state, KNOWN))
        self._shown: set[Hashable] = set()

    @property
    def read_at(self) -> datetime | None:
        """When the warehouse got it, by Pipedrive's clock; None when it is to be read."""
        return self._moment(READ_AT)

    @property
    def last_row_at(self) -> datetime | None:
        """`time_extracted` of its last row then."""
        return self._moment(LAST_ROW_AT)

    def _moment(self, key: str) -> datetime | None:
        try:
            return clean_timestamp(self._state.get(key))
        except ValueError:
            return None

    def is_young(self, now: datetime, most: timedelta) -> bool:
        """Return whether it is good as it is in the warehouse."""
        read_at = self.read_at
        is_read = self._is_whole or (
            "replication_key_value" in self._state and "first_load" not in self._state
        )
        return (
            is_read
            and read_at is not None
            and timedelta() <= now - read_at < most
            and self._state.get(SHAPE, "") == self._shape
        )

    def show(self, names: Iterable[Hashable]) -> None:
        """Note rows of the list that were written."""
        if self._is_whole:
            self._known.update(dict.fromkeys(names))
        elif self.is_kept:  # else all of them come in this run, and may be many
            self._shown.update(names)

    def name(self, names: set[Hashable]) -> None:
        """Note what rows name. If the list lacks it, it is to be read from then on, also if this run dies."""
        if not self._is_whole and not self.is_kept:
            self._keep(names)
            return
        lacking = names - self._known.keys() - self._shown
        if lacking:
            self.lacking |= lacking
            self._state[LACKING] = [*self.lacking][:MOST_KNOWN]
            self._state.pop(READ_AT, None)

    def note_read(self, read_at: datetime | None, last_row_at: datetime | None) -> None:
        """Note that it has been read to its end. What it lacks then does not exist, and is looked for no more."""
        self.is_kept = False
        self._keep(self.lacking)
        self.lacking = set()
        self._state.pop(LACKING, None)
        if self._shape:
            self._state[SHAPE] = self._shape
        if read_at:
            self._state[READ_AT] = rfc3339(read_at)
        if self._is_whole and last_row_at:
            self._state[LAST_ROW_AT] = last_row_at.isoformat()

    def _keep(self, names: Iterable[Hashable]) -> None:
        """Keep names for later runs, in which they are no reason to read the list."""
        most = MOST_KNOWN if self._is_whole else LATELY
        self._known.update(dict.fromkeys(names))
        if not self._is_whole:
            self._known = dict.fromkeys([*self._known][-most:])
        if self._known:
            self._state[KNOWN] = [*self._known][-most:]


def _names_of(state: Mapping[str, Any], key: str) -> list[Hashable]:
    names = state.get(key)
    return [each for each in names if isinstance(each, str | int)] if isinstance(names, list) else []


def names_in(rows: Sequence[Mapping[str, Any]], column: str, inside: str = "") -> set[Hashable]:
    """Return what a column of some rows names; `inside`: the key of the name, where it is a list of objects."""
    found: set[Hashable] = set()
    for row in rows:
        value = row.get(column)
        if isinstance(value, list):
            parts = [part.get(inside) if isinstance(part, dict) else part for part in value]
            found.update(part for part in parts if isinstance(part, str | int))
        else:
            found.add(value)
    return found - {None}
