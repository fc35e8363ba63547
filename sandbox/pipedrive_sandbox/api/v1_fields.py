"""Field definitions in API v1: those of leads, which are the ones of deals, and those of notes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pipedrive_sandbox.api.endpoint import Call
from pipedrive_sandbox.api.paging import ENVELOPES
from pipedrive_sandbox.api.params import read
from pipedrive_sandbox.records.flat import SUBFIELDS
from pipedrive_sandbox.records.model import Record, Row

LEAD_FIELDS = {
    "title": ("Title", "varchar"),
    "owner_id": ("Owner", "user"),
    "person_id": ("Contact person", "people"),
    "organization_id": ("Organization", "org"),
    "value": ("Value", "monetary"),
    "label_ids": ("Labels", "set"),
    "expected_close_date": ("Expected close date", "date"),
    "add_time": ("Lead created", "date"),
    "update_time": ("Update time", "date"),
    "visible_to": ("Visible to", "visible_to"),
}
NOTE_FIELDS = {
    "content": ("Content", "text"),
    "add_time": ("Add time", "date"),
    "update_time": ("Update time", "date"),
    "user_id": ("User", "user"),
    "person_id": ("Person", "people"),
    "org_id": ("Organization", "org"),
    "pinned_to_deal_flag": ("Pinned to deal", "enum"),
}


def lead_fields(call: Call) -> Record:
    """Answer with the fields of leads: a few of their own, and all custom fields of deals."""
    values = read(call)
    rows = [_field(i, code, name, type_) for i, (code, (name, type_)) in enumerate(LEAD_FIELDS.items())]
    for definition in call.account.fields_of("leads"):
        if definition["is_custom_field"]:
            rows += _custom_field_rows(len(rows), definition)
    start, limit = values.get("start", 0), values["limit"]
    paging = ENVELOPES[call.endpoint.paging](start, limit, more=start + limit < len(rows))
    data = rows[start : start + limit] or None
    return {"success": True, "data": data, "additional_data": paging}


def note_fields(call: Call) -> Record:
    """Answer with the fields of notes."""
    read(call)
    keys = ("id", "key", "name", "field_type", "active_flag", "edit_flag", "bulk_edit_allowed")
    rows = [
        {key: _field(i, code, name, type_)[key] for key in (*keys, "mandatory_flag")}
        for i, (code, (name, type_)) in enumerate(NOTE_FIELDS.items())
    ]
    paging = ENVELOPES["flat"](0, 100, more=False)
    return {"success": True, "data": rows, "additional_data": paging}


def _field(number: int, key: str, name: str, type_: str, **differing: Any) -> Record:
    return {
        "id": number + 1,
        "key": key,
        "name": name,
        "order_nr": number + 1,
        "field_type": type_,
        "add_time": "2019-02-04 13:58:03",
        "update_time": "2019-02-04 13:58:03",
        "last_updated_by_user_id": None,
        "created_by_user_id": None,
        "active_flag": True,
        "edit_flag": False,
        "index_visible_flag": True,
        "details_visible_flag": True,
        "add_visible_flag": True,
        "important_flag": False,
        "bulk_edit_allowed": True,
        "searchable_flag": False,
        "filtering_allowed": True,
        "sortable_flag": True,
        "mandatory_flag": False,
        "options": None,
    } | differing


def _custom_field_rows(number: int, definition: Row) -> Iterator[Record]:
    """Yield a custom field's row and, as v1 does, one more row for each of its subfields."""
    code, name = definition["field_code"], definition["field_name"]
    options = definition["options"] and [
        {"id": option["id"], "label": option["label"]} for option in definition["options"]
    ]
    parent = _field(number, code, name, definition["field_type"], edit_flag=True, options=options or None)
    yield parent
    for part in SUBFIELDS.get(definition["field_type"], ()):
        yield _field(
            number,
            f"{code}_{part}",
            f"{part} of {name}",
            "varchar",
            id=None,
            parent_id=parent["id"],
            id_suffix=f"_{part}",
            is_subfield=True,
        )
