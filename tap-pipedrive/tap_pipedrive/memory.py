"""What the state keeps of one stream from run to run besides its bookmarks."""

import zlib
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import accumulate, pairwise
from typing import Any

import msgspec

from tap_pipedrive.values import clean_timestamp, rfc3339

MOST_UNREAD = 1_000
"""Parents that a stream may leave unread; with more of them, it is the list that fails."""


STARVED = "starved"
"""Key in a stream's state of the number of runs whose tokens ended before its first page."""


MASK = "mask"
"""Key in a stream's state of how its values were hidden, see `Masks.shape`."""

_PLACES = ("replication_key", "replication_key_value", "first_load", "place", "read_at")


def lists_of(state: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the state of each list of a stream."""
    partitions = state.get("partitions")
    return (
        [part for part in partitions if isinstance(part, dict)] if isinstance(partitions, list) else [state]
    )


def read_anew(state: dict[str, Any]) -> None:
    """Forget how far the lists of a stream have been read, so that this run reads them from the beginning."""
    for part in lists_of(state):
        for name in _PLACES:
            part.pop(name, None)


def starved_runs(state: Any) -> int:
    """Return in how many runs in a row a stream had no turn: the longer, the earlier the next run reads it."""
    count = state.get(STARVED) if isinstance(state, dict) else None
    return count if type(count) is int else 0


class Memory:
    """What earlier runs found out about a stream; malformed entries count as missing."""

    def __init__(self, state: dict[str, Any]) -> None:
        """`state`: the stream's part of the state, which is changed in place."""
        self._state = state

    @property
    def unread(self) -> list[int]:
        """The parents that could not be read; each run asks for them again until they answer or are gone."""
        unread = self._state.get("unread")
        return [each for each in unread if type(each) is int] if isinstance(unread, list) else []

    @property
    def unasked(self) -> list[int]:
        """The parents that have come to be listed, and that no run has asked about since."""
        unasked = self._state.get("unasked")
        return [each for each in unasked if type(each) is int] if isinstance(unasked, list) else []

    def settle(self, parent: int, *, is_unread: bool) -> None:
        """Note that a parent was asked about, and whether it is still unread."""
        self._forget("unasked", parent)
        if is_unread:
            self._note("unread", {*self.unread, parent})
        else:
            self._forget("unread", parent)

    def note_parents(self, listed: Iterable[int], with_rows: set[int], *, is_whole: bool) -> None:
        """Note which parents are listed, so that those that appear later without a change are found.

        Args:
            listed: All parents, or those that have changed.
            with_rows: Those of them that may have rows.
            is_whole: Whether `listed` are all.
        """
        known = _unpacked(self._state.get("parents"))
        if known is not None:
            self._note("unasked", {*self.unasked} | with_rows.difference(known))
        if is_whole:
            self._state["parents"] = _packed(listed)
        elif known is not None:
            self._state["parents"] = _packed([*known, *listed])

    def note_moves(
        self, asked: set[int], moved_since: Callable[[datetime | None], set[int]], began: datetime | None
    ) -> None:
        """Note which parents are asked about now, so that those that moved while they were not listed are found.

        Args:
            asked: Those that are asked about, as they have moved since the bookmark.
            moved_since: Returns those that have moved since a moment.
            began: When the reading of all parents began, if all were read.
        """
        before = self._moment("parents_at")
        asked = asked.union(_unpacked(self._state.get("asked")) or ())
        if began is None:
            if before:
                self._state["asked"] = _packed(asked)
            return
        if before:
            self._note("unasked", {*self.unasked} | (moved_since(before) - asked))
        self._state.pop("asked", None)
        self._state["parents_at"] = rfc3339(began)

    def _note(self, name: str, parents: set[int]) -> None:
        self._state.pop(name, None)
        if parents:
            self._state[name] = sorted(parents)

    def _forget(self, name: str, parent: int) -> None:
        parents = self._state.get(name)
        if isinstance(parents, list) and parent in parents:
            parents.remove(parent)
            if not parents:
                self._state.pop(name)

    @property
    def lost(self) -> int:
        """Records that could not become rows, since the last reading from beginning to end began."""
        lost = self._state.get("lost")
        return lost if type(lost) is int else 0

    @lost.setter
    def lost(self, count: int) -> None:
        self._state.pop("lost", None)
        if count:
            self._state["lost"] = count

    @property
    def has_had_rows(self) -> bool:
        """Whether any run has read a row."""
        return any(self._counts())

    def note_rows(self) -> None:
        """Note that a row has been read."""
        self._state["has_had_rows"] = True

    def note_turn(self, *, is_starved: bool) -> None:
        """Note whether the tokens of this run ended before the stream's first page, as in how many runs before."""
        count = starved_runs(self._state) + 1
        self._state.pop(STARVED, None)
        if is_starved:
            self._state[STARVED] = count

    @property
    def last_complete_pass(self) -> datetime | None:
        """When the last reading from beginning to end began, by Pipedrive's clock."""
        return self._moment("last_complete_pass")

    @last_complete_pass.setter
    def last_complete_pass(self, moment: datetime) -> None:
        self._state["last_complete_pass"] = rfc3339(moment)

    def _moment(self, name: str) -> datetime | None:
        try:
            return clean_timestamp(self._state.get(name))
        except ValueError:
            return None

    def _counts(self) -> Iterator[bool]:
        """Yield whether a listing had rows, by what states have held since the first version."""
        for part in [self._state, *lists_of(self._state)]:
            first_load = part.get("first_load")
            rows = first_load.get("rows") if isinstance(first_load, dict) else 0
            yield bool(part.get("has_had_rows") is True or part.get("complete_pass_rows") or rows)


def _packed(ids: Iterable[int]) -> str:
    """Return ids as a short text: what each adds to the one before, compressed, as most of them add 1."""
    steps = [after - before for before, after in pairwise([0, *sorted(set(ids))])]
    return b64encode(zlib.compress(msgspec.json.encode(steps))).decode()


def _unpacked(text: Any) -> Sequence[int] | None:
    """Return the ids of a text; None if it is none of ours."""
    try:
        steps = msgspec.json.decode(zlib.decompress(b64decode(text)), type=list[int])
    except (TypeError, ValueError, zlib.error, msgspec.MsgspecError):
        return None
    return list(accumulate(steps))
