"""What happens to records: created, changed, moved, archived, deleted, merged.

Every function takes `touch`: with False no `update_time` moves, as when Pipedrive changes a row
behind an extractor's back.
"""

from __future__ import annotations

import hashlib
from decimal import Decimal
from typing import Any
from uuid import UUID

from .account import TOMBSTONED, Account
from .clock import stamp, stamp_ms
from .model import Id, Record, Refusal, Row, not_found

TOUCHED = {"users": "modified"}
"""Where the time of the last change is not called `update_time`."""

WITH_MILLISECONDS = ("leads", "lead_labels")

DEFAULTS: dict[str, Record] = {
    "deals": {"title": "New deal", "status": "open", "value": 0, "origin": "API", "visible_to": 3},
    "persons": {"name": "New person", "visible_to": 3},
    "organizations": {"name": "New organization", "visible_to": 3},
    "activities": {"subject": "New activity", "note": ""},
    "products": {"name": "New product", "tax": 0, "visible_to": 3, "is_linkable": True, "prices": []},
    "pipelines": {"name": "New pipeline"},
    "stages": {"name": "New stage", "deal_probability": 100},
    "deal_products": {"item_price": 0, "quantity": 1, "discount": 0, "tax": 0, "comments": ""},
    "leads": {"title": "New lead", "source_name": "API", "origin": "API", "visible_to": "3"},
    "notes": {"content": "New note", "active_flag": True},
    "users": {"name": "New user", "active_flag": True, "activated": True, "access": []},
    "lead_labels": {"name": "New label", "color": "blue"},
    "activity_types": {"name": "New type", "active_flag": True, "is_custom_flag": True},
    "currencies": {"name": "New currency", "active_flag": True, "is_custom_flag": True},
    "filters": {"name": "New filter", "type": "deals", "active_flag": True, "visible_to": "7"},
}
"""What a new record holds where it is not told otherwise."""

FROM_ANOTHER = {
    "currency",
    "type",
    "billing_frequency",
    "tax_method",
    "discount_type",
    "default_currency",
    "locale",
    "lang",
    "role_id",
    "timezone_name",
    "timezone_offset",
}
"""Keys a new record takes from the first record of its kind."""

REFERENCES: dict[str, tuple[tuple[str, str], ...]] = {
    "deals": (("activities", "deal_id"), ("notes", "deal_id"), ("deal_products", "deal_id")),
    "persons": (
        ("deals", "person_id"),
        ("activities", "person_id"),
        ("leads", "person_id"),
        ("notes", "person_id"),
    ),
    "organizations": (
        ("deals", "org_id"),
        ("persons", "org_id"),
        ("activities", "org_id"),
        ("leads", "organization_id"),
        ("notes", "org_id"),
    ),
}
"""Who points at a record that can be merged."""

SILENT = {
    *("update_time", "stage_change_time", "archive_time", "products_count", "first_won_time"),
    *("close_time", "won_time", "lost_time", "is_archived", "is_deleted", "custom_fields"),
    *("local_won_date", "local_lost_date", "local_close_date"),
}
"""Keys of a deal that follow from others and have no line of their own in the change log."""


def now(account: Account, entity: str) -> str:
    """Return the account's time as the entity writes it."""
    moment = account.clock.now()
    return stamp_ms(moment) if entity in WITH_MILLISECONDS else stamp(moment)


def create(account: Account, entity: str, given: Row) -> Record:
    """Add a record; what is not given gets a default. Returns it."""
    table = account.table(entity)
    number = table.next_number()
    model = next(iter(table), None) or {}
    row: Record = {key: _blank(key, value) for key, value in model.items()}
    if "custom_fields" in model:
        row["custom_fields"] = dict.fromkeys(model["custom_fields"])
    row |= _owned(account, row) | DEFAULTS[entity]
    _demand_keys(row, given)
    row |= {"id": _uuid(entity, number) if entity in WITH_MILLISECONDS else number}
    row |= dict.fromkeys(
        {"add_time", "update_time", "created", "modified"} & row.keys(), now(account, entity)
    )
    custom = row.get("custom_fields", {}) | given.get("custom_fields", {})
    row |= dict(given) | ({"custom_fields": custom} if "custom_fields" in row else {})
    if entity == "deals":
        row |= _placed(account, row, given)
    if entity == "deal_products":
        row |= _priced(account, row, given)
    table.put(row)
    if entity == "deal_products":
        _follow_lines(account, row["deal_id"], touch=True)
    return row


def _blank(key: str, value: Any) -> Any:
    """Return an unset value of the kind another record has under the key."""
    if key in FROM_ANOTHER:
        return value
    if isinstance(value, bool):
        return False
    if isinstance(value, list):
        return []
    return 0 if key.endswith("_count") else None


def _owned(account: Account, row: Row) -> Record:
    owner = min(viewer.user_id for viewer in account.viewers.values())
    keys = {"owner_id", "creator_user_id", "creator_id", "user_id", "last_update_user_id"}
    return dict.fromkeys(keys & row.keys(), owner)


def _placed(account: Account, row: Row, given: Row) -> Record:
    """Put a new deal into the given stage, or the first of its pipeline."""
    stages = account.table("stages")
    if "stage_id" in given:
        stage = account.get("stages", given["stage_id"])
    else:
        stage = min(
            (s for s in stages if given.get("pipeline_id") in (None, s["pipeline_id"])),
            key=lambda s: (s["pipeline_id"], s["order_nr"]),
        )
    closed = {} if row["status"] == "open" else _closed(account, row)
    return {"stage_id": stage["id"], "pipeline_id": stage["pipeline_id"]} | closed


def _priced(account: Account, row: Row, given: Row) -> Record:
    """Complete a line item from its deal and product."""
    line = {"currency": account.get("deals", row["deal_id"])["currency"], "is_enabled": True}
    if row["product_id"] is not None:
        line["name"] = account.get("products", row["product_id"])["name"]
    return {"sum": _sum({**row, **line})} | line | dict(given)


def _sum(line: Row) -> Decimal:
    total = _exact(line["item_price"]) * _exact(line["quantity"])
    discount = _exact(line["discount"])
    if line["discount_type"] == "amount":
        return total - discount
    return round(total - total * discount / 100, 2)


def _exact(number: float | Decimal | None) -> Decimal:
    return Decimal(str(number or 0))


def update(account: Account, entity: str, id_: Id, changes: Row, *, touch: bool = True) -> Record:
    """Change keys of a record, and what follows from them. Returns it.

    A deal's change log, `stage_change_time`, closing times and pipeline follow its stage and
    status; a deal's value and `products_count` follow its line items.
    """
    before = account.get(entity, id_)
    if before.get("is_deleted") and entity in TOMBSTONED:
        raise Refusal(400, "the record is deleted", code="ERR_DEAL_DELETED")
    _demand_keys(before, changes)
    row = before | dict(changes)
    if "custom_fields" in changes:
        row["custom_fields"] = before["custom_fields"] | changes["custom_fields"]
    if entity == "deals":
        row |= _consequences(account, before, row)
    if entity == "deal_products" and changes.keys() & {"item_price", "quantity", "discount"}:
        row["sum"] = changes.get("sum", _sum(row))
    return _replace(account, entity, before, row, touch=touch)


def _replace(account: Account, entity: str, before: Row, row: Record, *, touch: bool) -> Record:
    clock_key = TOUCHED.get(entity, "update_time")
    if touch and clock_key in row:
        row[clock_key] = now(account, entity)
    account.table(entity).put(row)
    if entity == "deals":
        _log(account, before, row)
    if entity == "deal_products":
        for deal_id in {before["deal_id"], row["deal_id"]}:
            _follow_lines(account, deal_id, touch=touch)
    return row


def _demand_keys(known: Row, given: Row) -> None:
    unknown = sorted(given.keys() - known.keys() - {"id"})
    unknown += sorted(given.get("custom_fields", {}).keys() - known.get("custom_fields", {}).keys())
    if unknown:
        raise Refusal(400, f"unknown keys: {', '.join(unknown)}")


def _consequences(account: Account, before: Row, row: Row) -> Record:
    result: Record = {}
    if row["stage_id"] != before["stage_id"]:
        stage = account.get("stages", row["stage_id"])
        result["pipeline_id"] = stage["pipeline_id"]
        result["stage_change_time"] = now(account, "deals")
    if row["status"] != before["status"]:
        result |= _closed(account, row)
    return result


def _closed(account: Account, row: Row) -> Record:
    """Return the closing times that go with a deal's status."""
    moment, result = now(account, "deals"), {}
    for status in ("won", "lost"):
        reached = row["status"] == status
        result[f"{status}_time"] = moment if reached else None
        result[f"local_{status}_date"] = moment[:10] if reached else None
    closed = row["status"] in ("won", "lost")
    result |= {
        "close_time": moment if closed else None,
        "local_close_date": moment[:10] if closed else None,
        "lost_reason": row["lost_reason"] if row["status"] == "lost" else None,
    }
    if row["status"] == "won":
        result["first_won_time"] = row["first_won_time"] or moment
    return result


def _log(account: Account, before: Row, row: Row) -> None:
    """Append the changed fields of a deal to its change log."""
    old = {**before, **before["custom_fields"]}
    new = {**row, **row["custom_fields"]}
    keys = [key for key in new if new[key] != old.get(key)]
    entries = tuple(
        {
            "field_key": key,
            "old_value": _text(old.get(key)),
            "new_value": _text(new[key]),
            "actor_user_id": row["owner_id"],
            "time": now(account, "deals"),
            "change_source": "app",
            "change_source_user_agent": None,
            "is_bulk_update_flag": False,
        }
        for key in keys
        if key not in SILENT
    )
    if entries:
        account.changes[row["id"]] = account.changes.get(row["id"], ()) + entries


def _text(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, dict):
        return str(value.get("value", value.get("label")))
    if isinstance(value, list):
        return ",".join(str(item) for item in value)
    return str(value)


def archive(account: Account, entity: str, id_: Id, *, yes: bool, touch: bool = True) -> Record:
    """Archive a deal or lead, or bring it back."""
    before = account.get(entity, id_)
    if "is_archived" not in before:
        raise not_found(f"{entity} cannot be archived")
    row = before | {"is_archived": yes}
    if "archive_time" in row:
        row["archive_time"] = now(account, entity) if yes else None
    return _replace(account, entity, before, row, touch=touch)


def delete(account: Account, entity: str, id_: Id, *, touch: bool = True) -> Record:
    """Delete a record the way its entity does. Returns its last state.

    Deals, persons, organizations, activities and products stay 30 days, flagged; pipelines and
    stages stay flagged for good; notes, users, activity types, currencies and filters turn
    inactive; leads, lead labels and line items are gone at once.
    """
    before = account.get(entity, id_)
    if entity == "deals":
        return _replace(
            account, entity, before, before | {"is_deleted": True, "status": "deleted"}, touch=touch
        )
    flag = {"is_deleted": True} if "is_deleted" in before else {}
    if "active_flag" in before:
        flag["active_flag"] = False
    if flag:
        return _replace(account, entity, before, before | flag, touch=touch)
    account.table(entity).remove(id_)
    if entity == "deal_products":
        _follow_lines(account, before["deal_id"], touch=touch)
    return before


def merge(account: Account, entity: str, id_: Id, into: Id, *, touch: bool = True) -> Record:
    """Merge a deal, person or organization into another of its kind, which is returned.

    The first disappears without a trace; what pointed at it points at the other, which takes
    over custom field values where it had none.
    """
    if entity not in REFERENCES:
        raise not_found(f"{entity} cannot be merged")
    if id_ == into:
        raise Refusal(400, "a record cannot be merged with itself")
    loser, winner = account.get(entity, id_), account.get(entity, into)
    if loser["is_deleted"] or winner["is_deleted"]:
        raise Refusal(400, "deleted records cannot be merged")
    for other, reference in REFERENCES[entity]:
        for row in [row for row in account.table(other) if row[reference] == id_]:
            if not (other in TOMBSTONED and row["is_deleted"]):
                update(account, other, row["id"], {reference: into}, touch=touch)
    if entity == "persons":
        _rewrite_participants(account, id_, into, touch=touch)
    account.table(entity).remove(id_)
    if entity == "deals":
        account.changes = {deal: rows for deal, rows in account.changes.items() if deal != id_}
    missing = {
        key: value
        for key, value in loser["custom_fields"].items()
        if value is not None and winner["custom_fields"].get(key) is None
    }
    return update(account, entity, into, {"custom_fields": missing}, touch=touch)


def _rewrite_participants(account: Account, id_: Id, into: Id, *, touch: bool) -> None:
    for row in list(account.table("activities")):
        people = row["participants"] or ()
        if not row["is_deleted"] and any(person["person_id"] == id_ for person in people):
            moved = [
                person | {"person_id": into} if person["person_id"] == id_ else person for person in people
            ]
            update(account, "activities", row["id"], {"participants": moved}, touch=touch)


def _follow_lines(account: Account, deal_id: int, *, touch: bool) -> None:
    """Let a deal's value and number of products agree with its line items."""
    if account.get("deals", deal_id)["is_deleted"]:
        return
    lines = [line for line in account.table("deal_products") if line["deal_id"] == deal_id]
    value = sum((_exact(line["sum"]) for line in lines if line["is_enabled"]), Decimal(0))
    update(account, "deals", deal_id, {"value": value, "products_count": len(lines)}, touch=touch)


def _uuid(entity: str, number: int) -> str:
    return str(UUID(bytes=hashlib.md5(f"{entity}:{number}".encode()).digest(), version=4))  # noqa: S324
