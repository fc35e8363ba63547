"""The flat form of custom fields: API v1 and the change logs distribute a value over several keys."""

from __future__ import annotations

from typing import Any

from pipedrive_sandbox.records.model import Record

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
"""Field types whose v2 value is an object; its other keys become separate keys in v1."""


def flatten(key: str, field_type: str, value: Any) -> Record:
    """Return a custom field's v2 value in the format of v1: at the record's root, in several keys."""
    if value is None:
        return {key: None}
    if field_type == "enum":
        return {key: str(value)}
    if field_type == "set":
        return {key: ",".join(str(item) for item in value)}
    if not isinstance(value, dict):
        return {key: value}
    parts = SUBFIELDS.get(field_type, ())
    return {key: value["value"]} | {f"{key}_{part}": value.get(part) for part in parts}
