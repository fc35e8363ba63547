"""Changes of records: who changed which field when, from what to what (`GET /api/v1/deals/{id}/changelog`)."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

from tap_pipedrive.children import ChildListing
from tap_pipedrive.listings import Source, changed_at
from tap_pipedrive.writer import encode

IDENTITY = ("time", "field_key", "old_value", "new_value", "actor_user_id")
"""What makes a change, as it has no id: two at the same second may still be alike, see `of_parent`."""


@dataclass(frozen=True)
class ChangeListing(ChildListing):
    """The change log of each record, which has neither ids nor a filter.

    It is read to its end each time, so that each change can be numbered from the oldest on.
    """

    only_field: str | None = None
    """Leave out the changes of all other fields."""

    def is_wanted(self, source: Source) -> bool:
        """Whether the setting `history` asks for this much of a deal's changes."""
        return not self.name or source.settings.history == self.name

    def of_parent(self, parent: int, rows: Sequence[Any]) -> Sequence[Any]:
        """The changes of one record, oldest first, each with its number and a key."""
        found: list[Any] = [row for row in rows if not isinstance(row, dict)]
        sequence = 0
        alike: Counter[bytes] = Counter()
        latest: dict[str, bytes] = {}
        for row in _oldest_first([row for row in rows if isinstance(row, dict)]):
            field, identity = str(row.get("field_key")), encode([row.get(part) for part in IDENTITY])
            if latest.get(field) == identity:
                continue  # the same row on two pages: no field changes from A to B twice without coming back
            latest[field] = identity
            alike[identity] += 1
            sequence += 1
            key = encode([self.key, parent, alike[identity]]) + identity
            change_id = blake2b(key, digest_size=16).hexdigest()
            if self.only_field in (None, field):
                found.append({**row, "change_id": change_id, self.key: parent, "sequence": sequence})
        return found


def _oldest_first(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The log comes newest first; within a second that order is all there is."""
    start = datetime.min.replace(tzinfo=UTC)
    return sorted(rows, key=lambda row: changed_at(row, "time") or start, reverse=True)[::-1]
