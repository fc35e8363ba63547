"""Effects of child rows on their parents: counters and a deal's value; and duplicates among children."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from pipedrive_sandbox.account.store import Account, lives
from pipedrive_sandbox.records.model import Id, Record, Row

COUNTED: dict[str, tuple[tuple[str, str, str], ...]] = {
    "deal_products": (("deals", "deal_id", "products_count"),),
    "deal_followers": (("deals", "deal_id", "followers_count"),),
    "person_followers": (("persons", "person_id", "followers_count"),),
    "organization_followers": (("organizations", "org_id", "followers_count"),),
    "deal_participants": (("deals", "deal_id", "participants_count"),),
    "files": (
        ("deals", "deal_id", "files_count"),
        ("persons", "person_id", "files_count"),
        ("organizations", "org_id", "files_count"),
    ),
}
"""Children that are counted: the parent, the child's key of it, and the name of the counter."""

PAIRS = {
    "deal_followers": ("deal_id", "user_id"),
    "person_followers": ("person_id", "user_id"),
    "organization_followers": ("org_id", "user_id"),
    "deal_participants": ("deal_id", "person_id"),
}
"""Keys whose values are unique."""


def exact(number: float | Decimal | None) -> Decimal:
    """Return an amount of a record as an exact number for calculations."""
    return Decimal(str(number or 0))


def parents_follow(account: Account, entity: str, row: Row) -> Iterator[tuple[str, Id, Record]]:
    """Yield the changes of a changed row's parents: their entity, id and new values."""
    for parent, key, counter in COUNTED.get(entity, ()):
        found = account.table(parent).get(row[key]) if row[key] is not None else None
        if found is None or found["is_deleted"]:
            continue
        siblings = [other for other in account.table(entity).having(key, row[key]) if lives(other)]
        if entity == "deal_products":
            value = sum((exact(line["sum"]) for line in siblings if line["is_enabled"]), Decimal(0))
            yield parent, row[key], {"value": value, counter: len(siblings)}
        elif found[counter] != len(siblings):
            yield parent, row[key], {counter: len(siblings)}


def superfluous(account: Account, entity: str, row: Row) -> bool:
    """Return whether another row is equal, or the row relates a record to itself."""
    if entity == "organization_relationships":
        return bool(row["rel_owner_org_id"] == row["rel_linked_org_id"])
    keys: Any = PAIRS.get(entity, ())
    return bool(keys) and any(
        other["id"] != row["id"] and other[keys[1]] == row[keys[1]]
        for other in account.table(entity).having(keys[0], row[keys[0]])
    )
