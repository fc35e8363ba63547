"""Answers of API v2: lists, single records and field definitions."""

from __future__ import annotations

from typing import Any

from .model import Call, Record, Row, invalid, not_found
from .paging import keyset_page, list_page
from .params import read, selection
from .render import Shape

NAMESPACES: dict[str, Record] = {
    "ui_visibility": {"add_visible_flag": True, "details_visible_flag": True},
    "important_fields": {"enabled": False, "stage_ids": []},
    "required_fields": {"enabled": False, "stage_ids": []},
}
"""Parts of a field definition that are only given on request, and what they hold by default."""


def _shape(call: Call, values: Record) -> Shape:
    return Shape(
        call.endpoint.entity,
        frozenset(call.endpoint.include) - values.get("include_fields", frozenset()),
        values.get("custom_fields"),
        values.get("include_option_labels", False),
        values.get("include_labels", False),
        call.account.fields_version,
    )


def envelope(data: Any, **additional: Any) -> Record:
    """Return v2's success envelope."""
    return {"success": True, "data": data} | ({"additional_data": additional} if additional else {})


def many(call: Call) -> Record:
    """Answer a list, one keyset page at a time."""
    values = read(call)
    if "deal_ids" in call.endpoint.params and "deal_ids" not in values:
        raise invalid("deal_ids is required")
    rows, next_cursor = keyset_page(
        call.account.table(call.endpoint.entity),
        selection(call, values),
        field=values.get("sort_by", "id"),
        descending=values.get("sort_direction") == "desc",
        cursor=values.get("cursor"),
        limit=values["limit"],
    )
    return envelope(call.renderer.many(rows, _shape(call, values)), next_cursor=next_cursor)


def one(call: Call) -> Record:
    """Answer a single record; one deleted in the last 30 days is shown as deleted."""
    values = read(call)
    row = call.account.get(call.endpoint.entity, _number(call.key))
    if not call.viewer.sees(call.endpoint.entity, row):
        raise not_found()
    return envelope(call.renderer.many([row], _shape(call, values))[0])


def _number(key: str) -> int:
    if not key.isdecimal():
        raise invalid("id is not an integer")
    return int(key)


def fields(call: Call) -> Record:
    """Answer the field definitions of an entity."""
    values = read(call)
    page, next_cursor = list_page(
        call.account.fields[call.endpoint.entity], values.get("cursor"), values["limit"]
    )
    return envelope([_field(field, values) for field in page], next_cursor=next_cursor)


def field(call: Call) -> Record:
    """Answer one field definition."""
    values = read(call)
    for found in call.account.fields[call.endpoint.entity]:
        if found["field_code"] == call.key:
            return envelope(_field(found, values))
    raise not_found("Field was not found")


def _field(definition: Row, values: Record) -> Record:
    asked = values.get("include_fields", ())
    return {key: value for key, value in definition.items() if key not in NAMESPACES} | {
        name: definition.get(name, default) for name, default in NAMESPACES.items() if name in asked
    }
