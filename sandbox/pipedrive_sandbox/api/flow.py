"""The timeline of a deal in API v1: its changes, notes, files and activities in one list."""

from __future__ import annotations

from collections.abc import Iterator

from pipedrive_sandbox.api.endpoint import Call
from pipedrive_sandbox.api.paging import ENVELOPES
from pipedrive_sandbox.api.params import read
from pipedrive_sandbox.api.v1_rows import RENDERERS, organization_stub, plain, timed, user_stub
from pipedrive_sandbox.records.changelog import change_row
from pipedrive_sandbox.records.model import Record, Row
from pipedrive_sandbox.records.refusals import not_found

KINDS = {"note": "notes", "file": "files", "activity": "activities"}
_CHANGES_PER_DEAL = 10_000


def flow(call: Call) -> Record:
    """Answer with the events of a deal, newest first; `items` restricts them to some kinds.

    Changes of custom fields are left out unless `all_changes` is 1.
    """
    values = read(call)
    deal = call.account.get("deals", int(call.key) if call.key.isdecimal() else 0)
    if not call.viewer.sees("deals", deal):
        raise not_found()
    wanted = values.get("items", {"dealChange", *KINDS})
    events = [
        event for event in _events(call, deal, bool(values.get("all_changes"))) if event["object"] in wanted
    ]
    events.sort(key=lambda event: str(event["timestamp"]), reverse=True)
    start, limit = values.get("start", 0), values["limit"]
    return {
        "success": True,
        "data": events[start : start + limit] or None,
        "additional_data": ENVELOPES[call.endpoint.paging](start, limit, more=start + limit < len(events)),
        "related_objects": _related(call, deal),
    }


def _events(call: Call, deal: Row, all_changes: bool) -> Iterator[Record]:
    custom = {field["field_code"] for field in call.account.fields_of("deals") if field["is_custom_field"]}
    yield _change(deal, 0, _birth(deal))
    for number, row in enumerate(call.account.changes["deals"].get(deal["id"], ()), 1):
        if all_changes or row["field_key"][:40] not in custom:
            yield _change(deal, number, timed(row))
    for kind, entity in KINDS.items():
        render = RENDERERS.get(entity, plain)
        for row in call.account.table(entity).having("deal_id", deal["id"]):
            shown = render(call, row)
            yield {"object": kind, "timestamp": shown["add_time"], "data": shown}


def _birth(deal: Row) -> Record:
    time = timed(deal)["add_time"]
    return change_row("add_time", None, time, deal["creator_user_id"], time)


def _change(deal: Row, number: int, row: Row) -> Record:
    data = {
        "id": deal["id"] * _CHANGES_PER_DEAL + number,
        "item_id": deal["id"],
        "user_id": row["actor_user_id"],
        **{key: row[key] for key in ("field_key", "old_value", "new_value", "is_bulk_update_flag")},
        "log_time": row["time"],
        **{key: row[key] for key in ("change_source", "change_source_user_agent")},
        "additional_data": [],
    }
    return {"object": "dealChange", "timestamp": row["time"], "data": data}


def _related(call: Call, deal: Row) -> Record:
    keys = ("id", "title", "status", "value", "currency", "stage_id", "pipeline_id")
    owner, org_id = deal["owner_id"], deal["org_id"]
    related: Record = {
        "deal": {str(deal["id"]): {key: deal[key] for key in keys}},
        "user": {str(owner): user_stub(call, owner)},
    }
    if org_id and call.account.table("organizations").get(org_id):
        related["organization"] = {str(org_id): organization_stub(call, org_id) | {"id": org_id}}
    return related
