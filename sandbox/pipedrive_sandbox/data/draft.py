"""A data set under construction, which the packages of the generator read and extend."""

from collections import defaultdict
from dataclasses import dataclass, field
from random import Random
from typing import Any

from pipedrive_sandbox.data.contacts.people import People
from pipedrive_sandbox.data.times import Season

Record = dict[str, Any]


@dataclass
class Draft:
    """Records whose times are still whole seconds (UTC), so that the generator can calculate with them."""

    deals: int
    seed: int
    season: Season
    people: People
    records: dict[str, list[Record]] = field(default_factory=dict)
    fields: dict[str, list[Record]] = field(default_factory=dict)
    changes: dict[str, dict[int, list[Record]]] = field(
        default_factory=lambda: {"deals": {}, "persons": {}, "organizations": {}}
    )
    domains: dict[int, str] = field(default_factory=dict)
    """Mail domains by organization id."""
    spoilt: defaultdict[tuple[str, str], set[Any]] = field(default_factory=lambda: defaultdict(set))
    """Ids that a trouble has already spoilt, by (list, key)."""
    last_option_id: int = 100

    @property
    def now(self) -> int:
        """Return the time at which the history ends."""
        return self.season.now

    def rng(self, room: str) -> Random:
        """Return a package's own random generator, so that draws in one package never change another."""
        return Random(f"{self.seed}/{room}")  # noqa: S311 - made-up data, no secret

    def next_option_id(self) -> int:
        """Return a new option id; these are unique in the whole account."""
        self.last_option_id += 1
        return self.last_option_id


def money(cents: int) -> int | float:
    """Return an amount as the API writes it: 1500, not 1500.0."""
    return cents // 100 if cents % 100 == 0 else cents / 100
