"""Lines of change logs: which changes are logged, and in which format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipedrive_sandbox.records.flat import flatten
from pipedrive_sandbox.records.model import Record, Row

V1_KEYS: dict[str, dict[str, str]] = {
    "deals": {"owner_id": "user_id", "label_ids": "label"},
    "persons": {"emails": "email", "phones": "phone", "label_ids": "label"},
    "organizations": {"label_ids": "label"},
}
"""Entities with a change log, and the keys that it names as v1 does."""

PARTICIPANTS = "deal_participants"
"""The entity with another kind of log: for each deal, which persons were added and removed, when and by whom."""

LOGGED = (*V1_KEYS, PARTICIPANTS)
"""Entities with a log; that of participants is kept by deal id."""

_SILENT = {"next_activity_id", "last_activity_id", "is_archived", "is_deleted", "custom_fields"}
"""Derived keys, besides counters, times and local dates."""


def differences(
    entity: str, before: Row, after: Row, types: Mapping[str, str]
) -> Iterator[tuple[str, str | None, str | None]]:
    """Yield field key, old and new text of everything that was changed by hand.

    `types` contains the types of the custom fields by key.
    """
    for key, new in after.items():
        if key not in _SILENT and new != before[key] and not _derived(key):
            yield V1_KEYS[entity].get(key, key), text(before[key]), text(new)
    for key, new in after["custom_fields"].items():
        old = before["custom_fields"].get(key)
        if new != old:
            yield from custom_differences(key, types[key], old, new)


def custom_differences(
    key: str, field_type: str, old: Any, new: Any
) -> Iterator[tuple[str, str | None, str | None]]:
    """Yield field key, old and new text of a custom field, once for each of its parts that changed."""
    was, now = flatten(key, field_type, old), flatten(key, field_type, new)
    for part in was | now:
        if was.get(part) != now.get(part):
            yield part, text(was.get(part)), text(now.get(part))


def _derived(key: str) -> bool:
    return key.endswith(("_count", "_time")) or key.startswith("local_")


def text(value: Any) -> str | None:
    """Return a value in the format of change logs."""
    if value is None:
        return None
    if isinstance(value, dict):
        return str(value.get("value", value.get("label")))
    if isinstance(value, list):
        return ",".join(str(text(item)) for item in value)
    return str(value)


def participant_row(person: int, action: str, actor: int, time: Any) -> Record:
    """Return a line of a deal's log of participants; `action` is added or removed."""
    return {"actor_user_id": actor, "person_id": person, "action": action, "time": time}


def change_row(key: str, old: str | None, new: str | None, actor: int, time: Any, **differing: Any) -> Record:
    """Return a line of a change log."""
    return {
        "field_key": key,
        "old_value": old,
        "new_value": new,
        "actor_user_id": actor,
        "time": time,
        "change_source": "app",
        "change_source_user_agent": None,
        "is_bulk_update_flag": False,
    } | differing
