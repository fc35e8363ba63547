"""Answers of API v1: lists by offset, logs, and answers with special envelopes."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from pipedrive_sandbox.account.store import Account
from pipedrive_sandbox.api.endpoint import Call
from pipedrive_sandbox.api.paging import ENVELOPES, list_page, passing, sort_rows
from pipedrive_sandbox.api.params import read, selection
from pipedrive_sandbox.api.v1_rows import organization_stub, rendered, timed, user
from pipedrive_sandbox.api.v2 import children_of, envelope
from pipedrive_sandbox.records.changelog import PARTICIPANTS
from pipedrive_sandbox.records.model import COMPANY_ID, Id, Record, Row
from pipedrive_sandbox.records.refusals import invalid, not_found

COMPANY = {
    "company_id": COMPANY_ID,
    "company_name": "Sandbox",
    "company_domain": "sandbox",
    "company_country": "BR",
    "company_industry": "IT Services",
    "language": {"language_code": "pt", "country_code": "BR"},
}

DEFAULT_ORDERS = {"leads": ("add_time", False), "mail_threads": ("last_message_timestamp", True)}
"""The default order of entities that are not listed by id: the sort field, and whether it is descending."""


def everything(call: Call) -> Record:
    """Answer with a list that is not paged."""
    return envelope(rendered(call, _selected(call, read(call))))


def page(call: Call) -> Record:
    """Answer with a list by offset, in the envelope of the endpoint."""
    values = read(call)
    rows = sort_rows(_selected(call, values), values.get("sort", []))
    return _page(call, rows, values)


def children(call: Call) -> Record:
    """Answer with the rows that belong to the record in the path."""
    values = read(call)
    rows = passing(iter(children_of(call, _id(call))), selection(call, values))
    if call.endpoint.paging == "none":
        return envelope(rendered(call, rows))
    return _page(call, list(rows), values)


def _page(call: Call, rows: list[Record], values: Record) -> Record:
    start, limit = values.get("start", 0), values["limit"]
    data = rendered(call, rows[start : start + limit])
    paging = ENVELOPES[call.endpoint.paging](start, limit, more=start + limit < len(rows))
    return {"success": True, "data": data} | ({"additional_data": paging} if paging else {})


def _selected(call: Call, values: Record) -> Iterator[Record]:
    """Return the rows in their default order, which mostly is that of their creation."""
    field, descending = DEFAULT_ORDERS.get(call.endpoint.entity, ("id", False))
    table = call.account.table(call.endpoint.entity)
    return passing(table.walk(field, descending=descending), selection(call, values))


def _id(call: Call) -> int:
    return int(call.key) if call.key.isdecimal() else 0


def _visible(call: Call, entity: str, id_: Id) -> Record:
    row = call.account.get(entity, id_)
    if not call.viewer.sees(entity, row):
        raise not_found()
    return row


def one(call: Call) -> Record:
    """Answer with a single record."""
    read(call)
    id_: Id = call.key if call.endpoint.entity == "leads" else _id(call)
    rows = rendered(call, [_visible(call, call.endpoint.entity, id_)])
    return envelope(rows and rows[0])


def me(call: Call) -> Record:
    """Answer with the token's user and the company."""
    return envelope(user(call, call.account.get("users", call.viewer.user_id)) | COMPANY)


def summary(call: Call) -> Record:
    """Answer with the number of deals and their value by currency."""
    values = read(call)
    totals: dict[str, Record] = {}
    count = 0
    for deal in _selected(call, values):
        count += 1
        total = totals.setdefault(deal["currency"], {"value": Decimal(0), "count": 0})
        total["value"] += Decimal(str(deal["value"] or 0))
        total["count"] += 1
    return envelope({"values_total": totals, "total_count": count})


def changelog(call: Call) -> Record:
    """Answer with the field changes of a record, newest first. `start` is ignored, as in Pipedrive."""
    values = read(call)
    row = _visible(call, call.endpoint.entity, _id(call))
    changes = call.account.changes[call.endpoint.entity].get(row["id"], ())[::-1]
    rows, next_cursor = list_page(changes, values.get("cursor"), values["limit"])
    return envelope([timed(row) for row in rows] or None, next_cursor=next_cursor)


def participants_changelog(call: Call) -> Record:
    """Answer with the persons added to a deal and removed from it, newest first."""
    values = read(call)
    row = _visible(call, "deals", _id(call))
    changes = call.account.changes[PARTICIPANTS].get(row["id"], ())[::-1]
    rows, next_cursor = list_page(changes, values.get("cursor"), values["limit"])
    return envelope([timed(row) for row in rows] or None, next_cursor=next_cursor)


def filter_(call: Call) -> Record:
    """Answer with a stored filter and its conditions, which name fields by code on request only."""
    values = read(call)
    row = timed(_visible(call, "filters", _id(call)))
    if not values.get("include_field_code"):
        groups = [
            group | {"conditions": [_without_code(line) for line in group["conditions"]]}
            for group in row["conditions"]["conditions"]
        ]
        row["conditions"] = row["conditions"] | {"conditions": groups}
    return envelope(row)


def _without_code(condition: Row) -> Record:
    return {key: value for key, value in condition.items() if key != "field_code"}


def goals(call: Call) -> Record:
    """Answer with goals: the user's own unless others are requested, and active ones by default."""
    values = read(call)
    if ("period.start" in values) != ("period.end" in values):
        raise invalid("period.start and period.end go together")
    asked = {name: values[name] for name in call.endpoint.params if name in values}
    everyone = asked.keys() & {"type.name", "assignee.id", "assignee.type"}
    found = [
        goal
        for goal in call.account.table("goals")
        if goal["is_active"] == asked.get("is_active", True)
        and (everyone or goal["assignee"] == {"type": "person", "id": call.viewer.user_id})
        and _fits(goal, asked)
    ]
    return envelope({"goals": found})


def _fits(goal: Row, asked: Row) -> bool:
    duration = goal["duration"]
    return (
        asked.get("type.name", goal["type"]["name"]) == goal["type"]["name"]
        and asked.get("assignee.id", goal["assignee"]["id"]) == goal["assignee"]["id"]
        and asked.get("assignee.type", goal["assignee"]["type"]) == goal["assignee"]["type"]
        and asked.get("title", goal["title"]) == goal["title"]
        and duration["start"] <= asked.get("period.end", duration["start"])
        and (duration["end"] is None or duration["end"] >= asked.get("period.start", duration["end"]))
    )


def assignments(call: Call) -> Record:
    """Answer with the users of a permission set, or with 404 if it has none."""
    values = read(call)
    rows = [row for row in assigned(call.account) if row["permission_set_id"] == call.key]
    if not rows:
        raise not_found()
    return _page(call, rows, values)


def assigned(account: Account) -> list[Record]:
    """Return which user has which permission set according to their `access`."""
    return [
        {
            "user_id": user["id"],
            "permission_set_id": entry["permission_set_id"],
            "name": account.get("permission_sets", entry["permission_set_id"])["name"],
        }
        for user in account.table("users").walk("id", descending=False)
        for entry in user["access"]
    ]


def relationships(call: Call) -> Record:
    """Answer with the relationships of an organization, from its own point of view."""
    values = read(call)
    org_id = _visible(call, "organizations", values["org_id"])["id"]
    sides = {"rel_owner_org_id": "rel_linked_org_id", "rel_linked_org_id": "rel_owner_org_id"}
    rows = [
        _relationship(call, row, row[other], owns=side == "rel_owner_org_id")
        for side, other in sides.items()
        for row in call.account.table("organization_relationships").having(side, org_id)
    ]
    others = {str(row["calculated_related_org_id"]) for row in rows}
    related = {id_: organization_stub(call, int(id_)) | {"id": int(id_)} for id_ in sorted(others)}
    paging = ENVELOPES["flat"](0, values["limit"], more=False)
    body = {"success": True, "data": rows or None, "additional_data": paging}
    return body | {"related_objects": {"organization": related}}


def _relationship(call: Call, row: Row, other: int, *, owns: bool) -> Record:
    kind = row["type"] if row["type"] == "related" else "daughter" if owns else "parent"
    stub = organization_stub(call, other)
    return timed(row) | {
        "rel_owner_org_id": organization_stub(call, row["rel_owner_org_id"]),
        "rel_linked_org_id": organization_stub(call, row["rel_linked_org_id"]),
        "calculated_type": kind,
        "calculated_related_org_id": other,
        "related_organization_name": stub["name"],
    }


def webhooks(call: Call) -> Record:
    """Answer with the webhooks; this list has a key `status` as well."""
    return {"status": "ok"} | everything(call)
