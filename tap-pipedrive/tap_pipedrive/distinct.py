"""A count of distinct keys in bounded memory."""

from array import array
from collections.abc import Hashable, Iterable

PARTS = 256
"""Keys are compared part by part, so that only this share of them is in a set at a time."""


class DistinctCount:
    """Counts distinct keys by their hashes, 8 bytes for each key that is added."""

    def __init__(self) -> None:
        self._parts = [array("q") for _ in range(PARTS)]
        self.added = 0
        """Keys that were added, also those that came again."""

    def add(self, keys: Iterable[Hashable]) -> None:
        """Add keys."""
        for key in keys:
            number = hash((key,))  # of a tuple, as that of a small number is the number
            self._parts[number % PARTS].append(number)
            self.added += 1

    def distinct(self, *others: "DistinctCount") -> int:
        """Return how many different keys were added here or there."""
        groups = zip(self._parts, *(other._parts for other in others), strict=True)
        return sum(len(set().union(*parts)) for parts in groups)
