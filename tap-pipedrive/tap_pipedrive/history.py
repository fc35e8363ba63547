"""Changes of records: who changed which field when, from what to what (`GET /api/v1/deals/{id}/changelog`)."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, ClassVar

from pydantic import Field

from tap_pipedrive.children import ChildListing
from tap_pipedrive.entity import Boolean, Entity, Integer, Key, Text, Timestamp, UserId
from tap_pipedrive.source import RunContext
from tap_pipedrive.values import changed_at, clean_integer, clean_text, encode

FIELD_KEY = "field_key"
"""Column with the field that a change is about."""

_START = datetime.min.replace(tzinfo=UTC)


class Change(Entity):
    """The columns that all histories have."""

    change_id: Key = Field(description="Hash of the change: Pipedrive numbers none")
    sequence: Integer = Field(None, description="1 for the oldest change of the record")
    time: Timestamp = None
    field_key: Text = Field(
        None, description="The field's name in API v1; a 40-character key for custom ones"
    )
    old_value: Text = None
    new_value: Text = None
    actor_user_id: UserId = None
    change_source: Text = Field(None, description="app, api …")
    change_source_user_agent: Text = None
    is_bulk_update_flag: Boolean = None


@dataclass(frozen=True)
class ChangeListing(ChildListing):
    """The change log of each record, which is read to its end, as it has neither ids nor a filter."""

    subject: str = FIELD_KEY
    """Key of a change that says what changed."""

    effort: ClassVar[int] = 3
    is_read_once: ClassVar[bool] = True
    identity: tuple[str, ...] = ("time", "field_key", "old_value", "new_value", "actor_user_id")
    """Keys that identify a change, as it has no id; two in the same second may still be equal."""

    only_field: str | None = None
    """Only changes of this field become rows; None: changes of all fields."""

    def is_enabled(self, run: RunContext) -> bool:
        """Return whether the setting `history` asks for these changes of deals."""
        return not self.name or run.settings.history == self.name

    def of_parent(self, parent: int, rows: Sequence[Any]) -> Sequence[Any]:
        """Return the changes of one record, oldest first, each with its number and a key."""
        found: list[Any] = [row for row in rows if not isinstance(row, dict)]
        log = [row for row in rows if isinstance(row, dict)]  # newest first, also within a second
        oldest_first = sorted(log, key=lambda row: changed_at(row, "time") or _START, reverse=True)[::-1]
        sequence = 0
        alike: Counter[bytes] = Counter()
        latest: dict[str, bytes] = {}
        for row in oldest_first:
            field = str(row.get(self.subject))
            identity = encode([_as_documented(part, row.get(part)) for part in self.identity])
            if latest.get(field) == identity:
                continue  # the same row on two pages: nothing changes from A to B twice without coming back
            latest[field] = identity
            alike[identity] += 1
            sequence += 1
            key = encode([self.key, parent, alike[identity]]) + identity
            change_id = blake2b(key, digest_size=16).hexdigest()
            if self.only_field in (None, field):
                found.append({**row, "change_id": change_id, self.key: parent, "sequence": sequence})
        return found


def _as_documented(name: str, value: Any) -> Any:
    """Return a part of a change as the API's documentation has it, however it is spelt: the hash of the same
    change stays the same.

    The times of change logs are documented as `YYYY-MM-DD HH:MM:SS`, ids as integers, values as texts.
    """
    try:
        if name == "time" and (moment := changed_at({name: value}, name)):
            return f"{moment:%Y-%m-%d %H:%M:%S}"
        if name.endswith("_id"):
            return clean_integer(value)
        return value if value == "" else clean_text(value)
    except ValueError:
        return value
