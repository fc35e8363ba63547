"""Answers of API v1: older time format, hydrated stubs, flat custom fields, offset envelopes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from .model import Call, Record, Row, not_found
from .paging import ENVELOPES, list_page, passing, sort_rows
from .params import read, selection
from .v2 import envelope

TIMES = ("add_time", "update_time", "last_used_time", "created", "modified", "last_login", "time")
ADDRESS_PARTS = (
    "subpremise",
    "street_number",
    "route",
    "sublocality",
    "locality",
    "admin_area_level_1",
    "admin_area_level_2",
    "country",
    "postal_code",
    "formatted_address",
)
SUBFIELDS: dict[str, tuple[str, ...]] = {
    "monetary": ("currency",),
    "daterange": ("until",),
    "time": ("timezone_id",),
    "timerange": ("until", "timezone_id"),
    "address": ADDRESS_PARTS,
}
"""Field types whose v2 value is an object; its other keys become columns of their own in v1."""

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
COMPANY = {
    "company_id": 10_000_001,
    "company_name": "Sandbox",
    "company_domain": "sandbox",
    "company_country": "BR",
    "company_industry": "IT Services",
    "language": {"language_code": "pt", "country_code": "BR"},
}


def timed(row: Row) -> Record:
    """Return the row with its times as `YYYY-MM-DD HH:MM:SS`, still UTC."""
    times = {key: row[key] for key in TIMES if row.get(key)}
    return dict(row) | {key: time[:10] + " " + time[11:19] for key, time in times.items()}


def flatten(key: str, field_type: str, value: Any) -> Record:
    """Return a custom field's v2 value as v1 gives it: at the record's root, in several keys."""
    if field_type == "enum":
        return {key: str(value)}
    if field_type == "set":
        return {key: ",".join(str(item) for item in value)}
    if not isinstance(value, dict):
        return {key: value}
    parts = SUBFIELDS.get(field_type, ())
    return {key: value["value"]} | {f"{key}_{part}": value.get(part) for part in parts}


def lead(call: Call, row: Row) -> Record:
    """Render a lead: times with milliseconds, custom fields at the root, unset ones left out."""
    flat = {key: value for key, value in row.items() if key != "custom_fields"}
    types = {field["field_code"]: field["field_type"] for field in call.account.fields_of("leads")}
    for key, value in row["custom_fields"].items():
        if value is not None:
            flat |= flatten(key, types[key], value)
    return flat


def note(call: Call, row: Row) -> Record:
    """Render a note with stubs of what it is attached to and of its author."""
    stubs = {
        "deal": ("deals", "deal_id", ("title",)),
        "person": ("persons", "person_id", ("name",)),
        "organization": ("organizations", "org_id", ("name",)),
        "user": ("users", "user_id", ("email", "icon_url", "name")),
    }
    shown = timed(row)
    for name, (entity, reference, keys) in stubs.items():
        other = call.account.table(entity).get(row[reference]) if row[reference] else None
        shown[name] = {key: other[key] for key in keys} if other else None
    if shown["user"]:
        shown["user"]["is_you"] = row["user_id"] == call.viewer.user_id
    return shown


def user(call: Call, row: Row) -> Record:
    """Render a user; `is_you` depends on whose token asks."""
    return timed(row) | {"is_you": row["id"] == call.viewer.user_id}


def plain(_call: Call, row: Row) -> Record:
    """Render a row that is the same for everyone."""
    return timed(row)


def verbatim(_call: Call, row: Row) -> Record:
    """Render a row whose times already carry their zone."""
    return dict(row)


RENDERERS: dict[str, Callable[[Call, Row], Record]] = {
    "leads": lead,
    "notes": note,
    "users": user,
    "lead_labels": verbatim,
}


def _rendered(call: Call, rows: Iterable[Row]) -> list[Record] | None:
    """Render rows; v1 says null where there are none."""
    render = RENDERERS.get(call.endpoint.entity, plain)
    return [render(call, row) for row in rows] or None


def everything(call: Call) -> Record:
    """Answer a list that is not paged."""
    return envelope(_rendered(call, _selected(call, read(call))))


def page(call: Call) -> Record:
    """Answer a list by offset, in the envelope of the endpoint."""
    values = read(call)
    rows = sort_rows(_selected(call, values), values.get("sort", []))
    start, limit = values.get("start", 0), values["limit"]
    data = _rendered(call, rows[start : start + limit])
    more = start + limit < len(rows)
    paging = ENVELOPES[call.endpoint.paging](start, limit, more=more)
    return {"success": True, "data": data, "additional_data": paging}


def _selected(call: Call, values: Record) -> Iterator[Record]:
    """Return the rows in their default order, which is that of their creation."""
    table = call.account.table(call.endpoint.entity)
    field = "add_time" if call.endpoint.entity == "leads" else "id"
    return passing(table.walk(field, descending=False), selection(call, values))


def me(call: Call) -> Record:
    """Answer the token's user, with facts about the company."""
    return envelope(user(call, call.account.get("users", call.viewer.user_id)) | COMPANY)


def changelog(call: Call) -> Record:
    """Answer the field changes of a deal, newest first. `start` is ignored, as in real life."""
    values = read(call)
    deal = call.account.get("deals", int(call.key) if call.key.isdecimal() else 0)
    if not call.viewer.sees("deals", deal):
        raise not_found()
    changes = call.account.changes.get(deal["id"], ())[::-1]
    rows, next_cursor = list_page(changes, values.get("cursor"), values["limit"])
    return envelope([timed(row) for row in rows] or None, next_cursor=next_cursor)


def lead_fields(call: Call) -> Record:
    """Answer the fields of leads: a few of their own and all custom fields of deals."""
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
    """Answer the fields of notes."""
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
