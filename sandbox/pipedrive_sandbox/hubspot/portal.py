"""The account: records of companies, contacts and deals, and what follows from a change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from ..clock import Clock, stamp_ms
from .definitions import MODIFIED_BY, PROPERTIES, STAGES, Json

PORTAL_ID = 62_515_001
FIRST_IDS = {"companies": 9_800_000_000, "contacts": 51_000, "deals": 14_200_000_000}
TYPES = {name: {each.name: each.type for each in properties} for name, properties in PROPERTIES.items()}

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def milliseconds(moment: datetime) -> int:
    """Return the moment as HubSpot's older endpoints count it."""
    return round(moment.timestamp() * 1000)


def as_time(milliseconds_: int) -> str:
    """Return milliseconds since 1970 as HubSpot's newer endpoints write them."""
    return stamp_ms(_EPOCH + timedelta(milliseconds=milliseconds_))


@dataclass
class Record:
    """A company, contact or deal."""

    id: int
    values: dict[str, Any] = field(default_factory=dict)
    """Properties that have ever been set: text, or milliseconds since 1970; an empty text is an emptied one."""
    set_at: dict[str, int] = field(default_factory=dict)
    """When each of them was set last."""
    associated: dict[str, list[int]] = field(default_factory=dict)
    """Ids of associated records, by object."""
    is_archived: bool = False


class Portal:
    """An account and its clock."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.records: dict[str, dict[int, Record]] = {name: {} for name in PROPERTIES}

    def create(
        self, kind: str, values: Mapping[str, Any], associated: Mapping[str, Iterable[int]] | None = None
    ) -> Record:
        """Add a record; ids grow."""
        record = Record(FIRST_IDS[kind] + 7 * (len(self.records[kind]) + 1))
        self.records[kind][record.id] = record
        now = milliseconds(self.clock.now())
        self._set(kind, record, {"hs_object_id": str(record.id), "createdate": now, **values}, now)
        for other, ids in (associated or {}).items():
            for id_ in ids:
                self.associate(kind, record, other, id_)
        return record

    def update(self, kind: str, record: Record, values: Mapping[str, Any]) -> None:
        """Set properties of a record."""
        self._set(kind, record, values, milliseconds(self.clock.now()))

    def associate(self, kind: str, record: Record, other: str, id_: int) -> None:
        """Tie two records to each other."""
        record.associated.setdefault(other, []).append(id_)
        self.records[other][id_].associated.setdefault(kind, []).append(record.id)

    def archive(self, kind: str, record: Record) -> None:
        """Put a record into the recycling bin: no list shows it, no association leads to it."""
        record.is_archived = True
        for other, ids in record.associated.items():
            for id_ in ids:
                self.records[other][id_].associated[kind].remove(record.id)
        record.associated.clear()

    def listed(self, kind: str) -> list[Record]:
        """Records that are not archived, oldest first."""
        return [record for record in self.records[kind].values() if not record.is_archived]

    def _set(self, kind: str, record: Record, values: Mapping[str, Any], now: int) -> None:
        changed = dict(values)
        if kind == "deals" and "dealstage" in changed:
            stage = STAGES[changed["dealstage"]]
            changed["hs_is_closed"] = str(stage.is_closed).lower()
            changed["hs_is_closed_won"] = str(stage.is_won).lower()
        changed[MODIFIED_BY[kind]] = now
        record.values |= changed
        record.set_at |= dict.fromkeys(changed, now)

    def truth(self, kind: str) -> list[Json]:
        """All records that a list shows, with every property, as the newer endpoints write them."""
        return [
            {
                "id": str(record.id),
                "properties": {name: as_text(kind, name, record.values.get(name)) for name in TYPES[kind]},
                "associations": {name: [str(id_) for id_ in ids] for name, ids in record.associated.items()},
            }
            for record in self.listed(kind)
        ]


def as_text(kind: str, name: str, value: Any) -> str | None:
    """Return a property's value as the newer endpoints write it."""
    if TYPES[kind][name] == "datetime" and isinstance(value, int):
        return as_time(value)
    return None if value is None else str(value)
