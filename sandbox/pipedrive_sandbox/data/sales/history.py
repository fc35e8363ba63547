"""Manual changes: custom fields of deals and contacts, contacts' own fields, postponed dates."""

from collections.abc import Iterator
from datetime import date, timedelta
from random import Random
from typing import Any

from pipedrive_sandbox.data.draft import Draft, Record
from pipedrive_sandbox.data.draws import pick
from pipedrive_sandbox.data.sales.deals import logged
from pipedrive_sandbox.records.changelog import V1_KEYS, custom_differences, text

_ENTITIES = {"deals": ("deal", 0.35), "persons": ("person", 0.3), "organizations": ("organization", 0.4)}
_OWN = {"deals": (), "persons": ("owner_id", "phones"), "organizations": ("owner_id", "address")}
_WAS_EMPTY = 0.4
_SLIPPED_BEFORE = 0.55
_BROUGHT_FORWARD = 0.2

Change = tuple[str, str | None, str | None]


def edits(draft: Draft) -> None:
    """Add edits between a record's creation and its last change to the change logs.

    The old value is that of a neighbouring record, or empty; the present value stays.
    """
    for entity, (owner, share) in _ENTITIES.items():
        rng = draft.rng(f"edits of {entity}")
        types = {
            row["field_code"]: row["field_type"] for row in draft.fields[owner] if row["is_custom_field"]
        }
        rows = draft.records[entity]
        for row in rows:
            born, last = row["add_time"], row["update_time"] or draft.now
            if rng.random() >= share or last - born < 2:
                continue
            log = draft.changes[entity].setdefault(row["id"], [])
            for _ in range(1 + int(rng.random() ** 2 * 3)):
                moment = born + 1 + int(rng.random() * (last - born - 1))
                taken = {line["field_key"] for line in log}
                for key, old, new in _edit(rng, entity, row, pick(rng, rows), types):
                    if key not in taken:
                        log.append(logged(moment, key, old, new, row["owner_id"], rng.random() < 0.1))
            log.sort(key=lambda line: line["time"])
            if not log:
                del draft.changes[entity][row["id"]]


def slips(draft: Draft) -> None:
    """Add earlier changes of the expected close date to deals that have one: some are postponed repeatedly."""
    rng = draft.rng("slips")
    for deal in draft.records["deals"]:
        log = draft.changes["deals"].get(deal["id"], [])
        line = next((line for line in log if line["field_key"] == "expected_close_date"), None)
        while line and line["time"] - deal["add_time"] > 1 and rng.random() < _SLIPPED_BEFORE:
            moment = deal["add_time"] + 1 + int(rng.random() * (line["time"] - deal["add_time"] - 1))
            days = timedelta(days=1 + int(rng.random() * 45))
            days = -days if rng.random() < _BROUGHT_FORWARD else days
            before = str(date.fromisoformat(line["old_value"]) - days)
            line = logged(moment, "expected_close_date", before, line["old_value"], deal["owner_id"])
            log.append(line)
        log.sort(key=lambda line: line["time"])


def _edit(
    rng: Random, entity: str, row: Record, neighbour: Record, types: dict[str, Any]
) -> Iterator[Change]:
    """Return the lines of one edit of a built-in field, or of a custom field with a value."""
    own = _OWN[entity]
    if own and rng.random() < 0.3:
        key = pick(rng, own)
        old, new = text(neighbour[key]), text(row[key])
        if old != new:
            yield V1_KEYS[entity].get(key, key), old, new
        return
    filled = [key for key, value in row["custom_fields"].items() if value is not None]
    if filled:
        key = pick(rng, filled)
        old = None if rng.random() < _WAS_EMPTY else neighbour["custom_fields"][key]
        yield from custom_differences(key, types[key], old, row["custom_fields"][key])
