"""Answers of API v2: lists, single records and field definitions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .model import Call, Record, Row, invalid, not_found
from .paging import keyset_page, list_page
from .params import read, selection

NAMESPACES: dict[str, Record] = {
    "ui_visibility": {"add_visible_flag": True, "details_visible_flag": True},
    "important_fields": {"enabled": False, "stage_ids": []},
    "required_fields": {"enabled": False, "stage_ids": []},
}
"""Parts of a field definition that are only given on request, and what they hold by default."""


def shown(call: Call, rows: Iterable[Record], values: Record) -> list[Record]:
    """Return what the call shows of the rows.

    That is all their keys but the optional ones it did not ask for, and of the custom fields the
    chosen ones, with their options' labels if wanted.
    """
    left_out = set(call.endpoint.include) - values.get("include_fields", frozenset())
    chosen = values.get("custom_fields")
    options = _options(call) if values.get("include_option_labels") else {}
    labels = _options(call)["label_ids"] if values.get("include_labels") else None
    result = []
    for row in rows:
        copy = row.copy()
        for key in left_out:
            copy.pop(key, None)
        if chosen is not None or call.leaves_unset_out or options:
            copy["custom_fields"] = {
                key: _option(options[key], value) if key in options else value
                for key, value in row["custom_fields"].items()
                if (chosen is None or key in chosen) and not (call.leaves_unset_out and value is None)
            }
        if labels is not None:
            copy["labels"] = _option(labels, row["label_ids"])
        result.append(copy)
    return result


def _options(call: Call) -> dict[str, dict[Any, str]]:
    """Return the labels of options, by field and option, of all fields that can have some."""
    return {
        field["field_code"]: {option["id"]: option["label"] for option in field["options"] or ()}
        for field in call.account.fields_of(call.endpoint.entity)
        if field["field_type"] in ("enum", "set") or field["field_code"] == "label_ids"
    }


def _option(labels: Mapping[Any, str], value: Any) -> Any:
    """Return an option, or each of a list, as id and label; a deleted one has no label."""
    if value is None:
        return None
    if isinstance(value, list):
        return [_option(labels, item) for item in value]
    return {"id": value, "label": labels.get(value)}


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
    return envelope(shown(call, rows, values), next_cursor=next_cursor)


def one(call: Call) -> Record:
    """Answer a single record; one deleted in the last 30 days is shown as deleted."""
    values = read(call)
    row = call.account.get(call.endpoint.entity, _number(call.key))
    if not call.viewer.sees(call.endpoint.entity, row):
        raise not_found()
    return envelope(shown(call, [row], values)[0])


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
