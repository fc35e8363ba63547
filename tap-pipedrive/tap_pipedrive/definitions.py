"""The account's field definitions, read once a run."""

from collections.abc import Mapping, Sequence
from typing import Any

from tap_pipedrive.custom_fields import Definition
from tap_pipedrive.errors import PipedriveError
from tap_pipedrive.values import clean_integer, clean_text

FIELD_ENDPOINTS = {
    "deal": "/api/v2/dealFields",
    "person": "/api/v2/personFields",
    "organization": "/api/v2/organizationFields",
    "product": "/api/v2/productFields",
    "activity": "/api/v2/activityFields",
}
"""By entity; leads have the deals' fields."""


def custom_fields(fields: Sequence[Mapping[str, Any]], endpoint: str) -> dict[str, Definition]:
    """The custom ones among an entity's fields, by key."""
    found = {}
    for field in fields:
        if field.get("is_custom_field"):
            key, name, kind = (field.get(part) for part in ("field_code", "field_name", "field_type"))
            if not (isinstance(key, str) and isinstance(kind, str)):
                raise PipedriveError(
                    f"GET {endpoint} answered a field without code or type: report this line."
                )
            found[key] = Definition(key, str(name or ""), kind, dict(_options(field.get("options"))))
    return found


def _options(options: Any) -> list[tuple[int, str]]:
    labels = []
    for option in options if isinstance(options, list) else ():
        try:
            option_id, label = clean_integer(option.get("id")), clean_text(option.get("label"))
        except (ValueError, AttributeError):
            continue
        if option_id is not None and label is not None:
            labels.append((option_id, label))
    return labels
