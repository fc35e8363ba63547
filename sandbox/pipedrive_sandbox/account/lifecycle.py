"""What happens to records: created, changed, moved, archived, deleted.

Every function takes `touch`: with False no `update_time` moves, as when Pipedrive changes a row
behind an extractor's back.
"""

from __future__ import annotations

import hashlib
from decimal import Decimal
from uuid import UUID

from pipedrive_sandbox.account.blueprints import BIRTHS, blank
from pipedrive_sandbox.account.children import exact, parents_follow, superfluous
from pipedrive_sandbox.account.clock import stamp, stamp_ms
from pipedrive_sandbox.account.store import TOMBSTONED, Account
from pipedrive_sandbox.records.changelog import (
    PARTICIPANTS,
    V1_KEYS,
    change_row,
    differences,
    participant_row,
)
from pipedrive_sandbox.records.model import IN_MILLISECONDS, PARENTS, TEXT_IDS, Id, Record, Row
from pipedrive_sandbox.records.refusals import Refusal, not_found

TOUCHED = {"users": "modified", "deal_discounts": "updated_at"}
"""Where the time of the last change is not called `update_time`."""

GONE_AT_ONCE = ("deal_participants", "organization_relationships")
"""Entities of which nothing is left when they are deleted, though they have an `active_flag`."""


def now(account: Account, entity: str) -> str:
    """Return the account's time as the entity writes it."""
    moment = account.clock.now()
    return stamp_ms(moment) if entity in IN_MILLISECONDS else stamp(moment)


def create(account: Account, entity: str, given: Row, *, touch: bool = True) -> Record:
    """Add a record; what is not given gets a default. Returns it. `touch` is about its parents."""
    table = account.table(entity)
    number = table.next_number()
    row = blank(account, entity)
    _demand_keys(row, given)
    if entity in PARENTS:
        parent, key = PARENTS[entity]
        account.get(parent, given.get(key, ""))
    row |= {"id": _uuid(entity, number) if entity in TEXT_IDS else number}
    row |= dict.fromkeys(BIRTHS & row.keys(), now(account, entity))
    custom = row.get("custom_fields", {}) | given.get("custom_fields", {})
    row |= dict(given) | ({"custom_fields": custom} if "custom_fields" in row else {})
    if entity == "deals":
        row |= _placed(account, row, given)
    if entity == "deal_products":
        row |= _priced(account, row, given)
    if superfluous(account, entity, row):
        raise Refusal(400, "there is such a record already")
    table.put(row)
    if entity == PARTICIPANTS:
        _log_participant(account, row, "added")
    _let_parents_follow(account, entity, row, touch=touch)
    return row


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
    total = exact(line["item_price"]) * exact(line["quantity"])
    discount = exact(line["discount"])
    if line["discount_type"] == "amount":
        return total - discount
    return round(total - total * discount / 100, 2)


def update(account: Account, entity: str, id_: Id, changes: Row, *, touch: bool = True) -> Record:
    """Change keys of a record, and what follows from them. Returns it.

    A deal's `stage_change_time`, closing times and pipeline follow its stage and status; its value
    and counters follow its children; change logs follow everything.
    """
    before = account.get(entity, id_)
    if before.get("is_deleted") and entity in TOMBSTONED:
        raise Refusal(400, "the record is deleted", code="ERR_DEAL_DELETED")
    _demand_keys(before, changes)
    row = before | dict(changes)
    if "custom_fields" in changes:
        row["custom_fields"] = before["custom_fields"] | changes["custom_fields"]
    if entity in CONSEQUENCES:
        row |= CONSEQUENCES[entity](account, before, row)
    if entity == "deal_products" and changes.keys() & {"item_price", "quantity", "discount"}:
        row["sum"] = changes.get("sum", _sum(row))
    return _replace(account, entity, before, row, touch=touch)


def _replace(account: Account, entity: str, before: Row, row: Record, *, touch: bool) -> Record:
    clock_key = TOUCHED.get(entity, "update_time")
    if touch and clock_key in row:
        row[clock_key] = now(account, entity)
    account.table(entity).put(row)
    if entity in V1_KEYS:
        _log(account, entity, before, row)
    if entity == PARTICIPANTS and row["deal_id"] != before["deal_id"]:
        _log_participant(account, row, "added")
    _let_parents_follow(account, entity, before, row, touch=touch)
    return row


def _let_parents_follow(account: Account, entity: str, *rows: Row, touch: bool) -> None:
    following = [change for row in rows for change in parents_follow(account, entity, row)]
    for (parent, id_), changes in {(parent, id_): changes for parent, id_, changes in following}.items():
        update(account, parent, id_, changes, touch=touch)


def _demand_keys(known: Row, given: Row) -> None:
    unknown = sorted(given.keys() - known.keys() - {"id"})
    unknown += sorted(given.get("custom_fields", {}).keys() - known.get("custom_fields", {}).keys())
    if unknown:
        raise Refusal(400, f"unknown keys: {', '.join(unknown)}")


def _of_deal(account: Account, before: Row, row: Row) -> Record:
    result: Record = {}
    if row["stage_id"] != before["stage_id"]:
        stage = account.get("stages", row["stage_id"])
        result["pipeline_id"] = stage["pipeline_id"]
        result["stage_change_time"] = now(account, "deals")
    if row["status"] != before["status"]:
        result |= _closed(account, row)
    return result


def _of_project(account: Account, before: Row, row: Row) -> Record:
    result: Record = {"board_id": account.get("project_phases", row["phase_id"])["board_id"]}
    if row["status"] != before["status"]:
        result["status_change_time"] = now(account, "projects")
    return result


def _of_task(account: Account, before: Row, row: Row) -> Record:
    if row["is_done"] == before["is_done"]:
        return {}
    return {"marked_as_done_time": now(account, "tasks") if row["is_done"] else None}


CONSEQUENCES = {"deals": _of_deal, "projects": _of_project, "tasks": _of_task}
"""What follows from the change of an entity's row."""


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


def _log(account: Account, entity: str, before: Row, row: Row) -> None:
    """Append the changed fields of a record to its change log."""
    types = {field["field_code"]: field["field_type"] for field in account.fields_of(entity)}
    moment = now(account, entity)
    entries = tuple(
        change_row(key, old, new, row["owner_id"], moment)
        for key, old, new in differences(entity, before, row, types)
    )
    if entries:
        log = account.changes[entity]
        log[row["id"]] = log.get(row["id"], ()) + entries


def _log_participant(account: Account, row: Row, action: str) -> None:
    """Append to a deal's log that somebody takes part in it, or no longer."""
    log, deal = account.changes[PARTICIPANTS], account.get("deals", row["deal_id"])
    line = participant_row(row["person_id"], action, deal["owner_id"], now(account, PARTICIPANTS))
    log[deal["id"]] = (*log.get(deal["id"], ()), line)


def archive(account: Account, entity: str, id_: Id, *, yes: bool, touch: bool = True) -> Record:
    """Archive a deal, lead or project, or bring it back."""
    before = account.get(entity, id_)
    if not before.keys() & {"is_archived", "archive_time"}:
        raise not_found(f"{entity} cannot be archived")
    row = dict(before)
    if "is_archived" in row:
        row["is_archived"] = yes
    if "archive_time" in row:
        row["archive_time"] = now(account, entity) if yes else None
    return _replace(account, entity, before, row, touch=touch)


def delete(account: Account, entity: str, id_: Id, *, touch: bool = True) -> Record:
    """Delete a record the way its entity does. Returns its last state.

    Deals, persons, organizations, activities and products stay 30 days, flagged; pipelines and
    stages stay flagged for good, and projects by their status; notes, comments, files, users,
    activity types, currencies, filters and roles turn inactive; all others are gone at once. The last line item
    of a deal takes its discounts along, as nothing is left to discount, and leaves its installments.
    """
    before = account.get(entity, id_)
    if entity == "deals":
        return _replace(
            account, entity, before, before | {"is_deleted": True, "status": "deleted"}, touch=touch
        )
    if entity == "projects":
        return update(account, entity, id_, {"status": "deleted"}, touch=touch)
    flag = {"is_deleted": True} if "is_deleted" in before else {}
    if "active_flag" in before and entity not in GONE_AT_ONCE:
        flag["active_flag"] = False
    if flag:
        return _replace(account, entity, before, before | flag, touch=touch)
    account.table(entity).remove(id_)
    if entity == PARTICIPANTS:
        _log_participant(account, before, "removed")
    if entity == "deal_products" and not account.table(entity).having("deal_id", before["deal_id"]):
        for discount in list(account.table("deal_discounts").having("deal_id", before["deal_id"])):
            account.table("deal_discounts").remove(discount["id"])
    _let_parents_follow(account, entity, before, touch=touch)
    return before


def _uuid(entity: str, number: int) -> str:
    return str(UUID(bytes=hashlib.md5(f"{entity}:{number}".encode()).digest(), version=4))  # noqa: S324
