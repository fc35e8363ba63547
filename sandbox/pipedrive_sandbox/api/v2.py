"""Answers of API v2: lists, single records and field definitions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pipedrive_sandbox.account.store import Table
from pipedrive_sandbox.api.endpoint import Call
from pipedrive_sandbox.api.paging import keyset_page, list_page, passing
from pipedrive_sandbox.api.params import read, selection
from pipedrive_sandbox.records.model import PARENTS, Id, Record, Row, Test
from pipedrive_sandbox.records.refusals import invalid, not_found

NAMESPACES: dict[str, Record] = {
    "ui_visibility": {"add_visible_flag": True, "details_visible_flag": True},
    "important_fields": {"enabled": False, "stage_ids": []},
    "required_fields": {"enabled": False, "stage_ids": []},
}
"""Optional parts of a field definition with their defaults; some endpoints return them only on request."""

CAMPAIGN_KEYS = {"marketing_status", "doi_status"}


def shown(call: Call, rows: Iterable[Record], values: Record) -> list[Record]:
    """Return the rows as the call shows them.

    These are all their keys except optional ones that were not requested; of custom fields, the chosen ones,
    with the labels of their options if requested.
    """
    left_out = set(call.endpoint.include) - values.get("include_fields", frozenset())
    if "campaigns" in call.without_features:
        left_out |= CAMPAIGN_KEYS
    chosen = values.get("custom_fields")
    options = _options(call) if values.get("include_option_labels") else {}
    labels = _options(call)["label_ids"] if values.get("include_labels") else None
    result = []
    for row in rows:
        copy = {key: row[key] for key in call.endpoint.shows} if call.endpoint.shows else row.copy()
        for key in left_out:
            copy.pop(key, None)
        if "custom_fields" in copy and (chosen is not None or call.leaves_unset_out or options):
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
    """Return the labels of options, by field and option, of all fields that can have options."""
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
    """Answer with a list, one keyset page at a time."""
    values = read(call)
    return _page(call, call.account.table(call.endpoint.entity), selection(call, values), values)


def whole(call: Call) -> Record:
    """Answer with a list that is not paged, which its null cursor shows."""
    values = read(call)
    rows = call.account.table(call.endpoint.entity).walk("id", descending=False)
    found = shown(call, passing(rows, selection(call, values)), values)
    return {"success": True, "data": found, "additional_data": None}


def children(call: Call) -> Record:
    """Answer with the rows that belong to the record in the path."""
    values = read(call)
    rows, tests = children_of(call, _number(call.key)), selection(call, values)
    if call.endpoint.paging == "none":
        return envelope(shown(call, passing(iter(rows), tests), values))
    return _page(call, Table(rows), tests, values)


def children_of(call: Call, parent_id: Id) -> list[Record]:
    """Return the endpoint's rows of a parent, or refuse with 404 if the token does not see the parent."""
    parent, key = PARENTS[call.endpoint.entity]
    row = call.account.get(parent, parent_id)
    foreign = call.endpoint.own and row["user_id"] != call.viewer.user_id
    if foreign or not call.viewer.sees(parent, row):
        raise not_found()
    return call.account.table(call.endpoint.entity).having(key, parent_id)


def _page(call: Call, table: Table, tests: Iterable[Test], values: Record) -> Record:
    rows, next_cursor = keyset_page(
        table,
        tests,
        field=values.get("sort_by", "id"),
        descending=values.get("sort_direction") == "desc",
        cursor=values.get("cursor"),
        limit=values["limit"],
    )
    return envelope(shown(call, rows, values), next_cursor=next_cursor)


def one(call: Call) -> Record:
    """Answer with a single record; one deleted in the last 30 days is shown as deleted."""
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
    """Answer with the field definitions of an entity."""
    values = read(call)
    page, next_cursor = list_page(
        call.account.fields[call.endpoint.entity], values.get("cursor"), values["limit"]
    )
    return envelope([_field(call, field, values) for field in page], next_cursor=next_cursor)


def field(call: Call) -> Record:
    """Answer with one field definition."""
    values = read(call)
    for found in call.account.fields[call.endpoint.entity]:
        if found["field_code"] == call.key:
            return envelope(_field(call, found, values))
    raise not_found("Field was not found")


def _field(call: Call, definition: Row, values: Record) -> Record:
    asked = values.get("include_fields", ()) if call.endpoint.include else NAMESPACES
    return {key: value for key, value in definition.items() if key not in NAMESPACES} | {
        name: definition.get(name, default) for name, default in NAMESPACES.items() if name in asked
    }
