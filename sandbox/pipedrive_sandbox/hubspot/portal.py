"""The account: records of companies, contacts and deals, and the effects of a change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from pipedrive_sandbox.account.clock import Clock, stamp_ms
from pipedrive_sandbox.hubspot.definitions import (
    MADE_UP,
    MODIFIED_BY,
    PROPERTIES,
    STAGES,
    Json,
    properties_of,
)

FIRST_IDS = {"companies": 9_800_000_000, "contacts": 51_000, "deals": 14_200_000_000}
KEPT_BY_MERGE = ("contacts",)
"""Objects of which a merge keeps the first record; of others it makes a new one of both.

https://developers.hubspot.com/changelog/announcement-deals-now-support-merging
"""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def milliseconds(moment: datetime) -> int:
    """Return the time in the format of searches."""
    return round(moment.timestamp() * 1000)


def as_time(milliseconds_: int) -> str:
    """Return milliseconds since 1970 in the format of records."""
    return stamp_ms(_EPOCH + timedelta(milliseconds=milliseconds_))


@dataclass
class Record:
    """A company, contact or deal."""

    id: int
    values: dict[str, Any] = field(default_factory=dict)
    """Properties that were ever set: text, or milliseconds since 1970; an empty text was emptied."""
    associated: dict[str, list[int]] = field(default_factory=dict)
    """Ids of associated records, by object; a deal's first company is its primary one."""
    archived_at: int | None = None
    merged_into: int | None = None

    @property
    def is_listed(self) -> bool:
        """Return whether lists and searches contain the record."""
        return self.archived_at is None and self.merged_into is None


class Portal:
    """An account and its clock."""

    def __init__(self, clock: Clock, properties: int = 0) -> None:
        self.clock = clock
        self.properties = {kind: properties_of(kind, properties) for kind in PROPERTIES}
        self.types = {kind: {each.name: each.type for each in own} for kind, own in self.properties.items()}
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
        """Associate two records with each other; neither counts as changed."""
        if id_ not in record.associated.setdefault(other, []):
            record.associated[other].append(id_)
            self.records[other][id_].associated.setdefault(kind, []).append(record.id)

    def archive(self, kind: str, record: Record) -> None:
        """Archive a record: no list of the others contains it, and no association leads to it."""
        record.archived_at = milliseconds(self.clock.now())
        self._untie(kind, record)

    def restore(self, record: Record) -> None:
        """Restore an archived record; it does not count as changed."""
        record.archived_at = None

    def merge(self, kind: str, first: Record, second: Record) -> Record:
        """Merge two records into one: values of the first have precedence, associations are those of both."""
        gone = [second] if kind in KEPT_BY_MERGE else [first, second]
        kept = first if kind in KEPT_BY_MERGE else self.create(kind, {})
        ids = [id_ for each in (first, second) for id_ in each.values.get(MERGED, "").split(";") if id_]
        ids += [str(each.id) for each in gone]
        values = {**second.values, **first.values, MERGED: ";".join(ids), "hs_object_id": str(kept.id)}
        others = [(other, id_) for each in gone for other, found in each.associated.items() for id_ in found]
        for each in gone:
            each.merged_into = kept.id
            self._untie(kind, each)
        self.update(kind, kept, values)
        for other, id_ in others:
            self.associate(kind, kept, other, id_)
        return kept

    def _untie(self, kind: str, record: Record) -> None:
        for other, ids in record.associated.items():
            for id_ in ids:
                self.records[other][id_].associated[kind].remove(record.id)
        record.associated = {}

    def find(self, kind: str, id_: int) -> Record | None:
        """Return a record by its id, or by the id of a record that was merged into it."""
        record = self.records[kind].get(id_)
        while record and record.merged_into:
            record = self.records[kind][record.merged_into]
        return record

    def listed(self, kind: str) -> list[Record]:
        """Return records that are neither archived nor merged into others, oldest first."""
        return [record for record in self.records[kind].values() if record.is_listed]

    def archived(self, kind: str) -> list[Record]:
        """Return archived records, oldest first."""
        return [record for record in self.records[kind].values() if record.archived_at is not None]

    def _set(self, kind: str, record: Record, values: Mapping[str, Any], now: int) -> None:
        changed = dict(values)
        if kind == "deals" and "dealstage" in changed:
            stage = STAGES[changed["dealstage"]]
            changed["hs_is_closed"] = str(stage.is_closed).lower()
            changed["hs_is_closed_won"] = str(stage.is_won).lower()
        changed[MODIFIED_BY[kind]] = now
        record.values |= changed

    def truth(self, kind: str) -> list[Json]:
        """Return all records that a list contains, with every property, in the format of lists."""
        return [
            {
                "id": str(record.id),
                "properties": {name: self.text(kind, record, name) for name in self.types[kind]},
                "associations": {
                    name: [str(id_) for id_ in ids] for name, ids in record.associated.items() if ids
                },
            }
            for record in self.listed(kind)
        ]

    def text(self, kind: str, record: Record, name: str) -> str | None:
        """Return a property's value in the format of records."""
        value = record.values.get(name)
        if value is None and name.startswith(MADE_UP):
            return next(_made_up(record, name), None)
        if self.types[kind][name] == "datetime" and isinstance(value, int):
            return as_time(value)
        return None if value is None else str(value)


MERGED = "hs_merged_object_ids"


def _made_up(record: Record, name: str) -> Iterator[str]:
    """Return a value for one in twenty of the invented properties."""
    number = int(name.removeprefix(MADE_UP))
    if (record.id + number) % 20 == 0:
        yield f"{number} · {record.id % 97}"
