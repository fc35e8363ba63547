"""Changes of field definitions: fields and options added, renamed and removed."""

from __future__ import annotations

import hashlib
from typing import Any

from pipedrive_sandbox.account.clock import stamp
from pipedrive_sandbox.account.store import FIELDS_OF, Account
from pipedrive_sandbox.records.flat import ADDRESS_PARTS
from pipedrive_sandbox.records.model import Record, Row
from pipedrive_sandbox.records.refusals import Refusal, not_found

SUBFIELDS: dict[str, dict[str, str]] = {
    "monetary": {"value": "double", "currency": "varchar"},
    "daterange": {"value": "date", "until": "date"},
    "time": {"value": "time", "timezone_id": "int", "timezone_name": "varchar"},
    "timerange": {
        "value": "time",
        "until": "time",
        "timezone_id": "int",
        "timezone_name": "varchar",
    },
    "address": dict.fromkeys(("value", *ADDRESS_PARTS), "varchar"),
}
"""The keys of custom-field values that are objects in v2."""


def _replace_fields(account: Account, entity: str, definitions: list[Record]) -> None:
    account.fields[entity] = definitions


def _definition(account: Account, entity: str, code: str) -> Record:
    for definition in account.fields.get(entity, ()):
        if definition["field_code"] == code:
            return definition
    raise not_found("Field was not found")


def _rewrite_custom_fields(account: Account, entity: str, code: str, *, keep: bool) -> None:
    """Give every row an empty value of a new field, or remove the value of a removed field."""
    for table in (account.tables[name] for name, owner in FIELDS_OF.items() if owner == entity):
        for row in list(table):
            custom = {key: value for key, value in row["custom_fields"].items() if key != code}
            table.put(row | {"custom_fields": custom | ({code: None} if keep else {})})


def _option(account: Account, label: str) -> Record:
    moment = stamp(account.clock.now())
    id_ = next(account.option_ids)
    return {"id": id_, "label": label, "color": None, "add_time": moment, "update_time": moment}


def add_field(account: Account, entity: str, given: Row) -> Record:
    """Add a custom field: `field_name`, `field_type`, and `options` as a list of labels."""
    if entity not in account.fields:
        raise not_found(f"unknown entity {entity!r}; known: {', '.join(account.fields)}")
    existing = account.fields[entity]
    seed = f"{entity}:{next(account.field_numbers)}:{given['field_name']}"
    definition: Record = {
        "field_name": given["field_name"],
        "field_code": hashlib.sha1(seed.encode()).hexdigest(),  # noqa: S324
        "description": "",
        "field_type": given["field_type"],
        "options": None,
        "subfields": None,
        "is_custom_field": True,
        "is_optional_response_field": False,
    }
    if parts := SUBFIELDS.get(given["field_type"]):
        definition["subfields"] = [
            {"field_code": part, "field_name": f"{part} of {given['field_name']}", "field_type": type_}
            for part, type_ in parts.items()
        ]
    labels = given.get("options") or []
    if labels:
        definition["options"] = [_option(account, label) for label in labels]
    _replace_fields(account, entity, [*existing, definition])
    _rewrite_custom_fields(account, entity, definition["field_code"], keep=True)
    return definition


def change_field(account: Account, entity: str, code: str, changes: Row) -> Record:
    """Change a field's definition, e.g. its `field_name`; its code and values stay."""
    before = _definition(account, entity, code)
    if unknown := changes.keys() - {"field_name", "description"}:
        raise Refusal(400, f"unknown keys: {', '.join(sorted(unknown))}")
    after = before | dict(changes)
    _replace_fields(account, entity, [after if f is before else f for f in account.fields[entity]])
    return after


def remove_field(account: Account, entity: str, code: str) -> Record:
    """Delete a custom field; it vanishes from the definitions and from all records."""
    before = _definition(account, entity, code)
    if not before["is_custom_field"]:
        raise Refusal(400, "built-in fields cannot be deleted")
    _replace_fields(account, entity, [f for f in account.fields[entity] if f is not before])
    _rewrite_custom_fields(account, entity, code, keep=False)
    return before


def _with_options(account: Account, entity: str, before: Record, options: list[Any]) -> Record:
    after = before | {"options": options}
    _replace_fields(account, entity, [after if f is before else f for f in account.fields[entity]])
    return after


def add_option(account: Account, entity: str, code: str, label: str) -> Record:
    """Add an option to a field of single or multiple options."""
    before = _definition(account, entity, code)
    option = _option(account, label)
    return _with_options(account, entity, before, [*(before["options"] or ()), option])


def rename_option(account: Account, entity: str, code: str, option_id: str, label: str) -> Record:
    """Give an option another label; records keep its id."""
    before = _definition(account, entity, code)
    _demand_option(before, option_id)
    options = [
        option | {"label": label, "update_time": stamp(account.clock.now())}
        if str(option["id"]) == option_id
        else option
        for option in before["options"]
    ]
    return _with_options(account, entity, before, options)


def remove_option(account: Account, entity: str, code: str, option_id: str) -> Record:
    """Delete an option from the definition; records may still refer to it."""
    before = _definition(account, entity, code)
    _demand_option(before, option_id)
    options = [option for option in before["options"] if str(option["id"]) != option_id]
    return _with_options(account, entity, before, options)


def _demand_option(definition: Row, option_id: str) -> None:
    if all(str(option["id"]) != option_id for option in definition["options"] or ()):
        raise not_found("Option was not found")
