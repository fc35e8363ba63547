"""Pipedrive's documentation of each endpoint that can be read; `extract.py` writes the table."""

import json
from collections.abc import Mapping
from typing import Any

from .extract import TABLE

Schema = Mapping[str, Any]

ENDPOINTS: dict[str, dict[str, Any]] = json.loads(TABLE.read_text())
"""For each path: `tokens`, the values of `include_fields`, and the schema of the `answer`."""

PRICES: dict[str, int] = {path: row["tokens"] for path, row in ENDPOINTS.items() if row["tokens"]}
"""API tokens of a request by path."""


def properties(schema: Schema) -> dict[str, Schema]:
    """Return the properties of a schema and of the schemas that it is composed of."""
    found = dict(schema.get("properties", {}))
    for part in (*schema.get("allOf", ()), *schema.get("oneOf", ()), *schema.get("anyOf", ())):
        found |= properties(part)
    return found


def is_list(path: str) -> bool:
    """Return whether an endpoint returns a list of records."""
    return _rows(path) is not None


def row_keys(path: str) -> set[str]:
    """Return the keys of a record in the list that an endpoint returns; empty if it returns no list."""
    return set(properties(_rows(path) or {}))


def _rows(path: str) -> Schema | None:
    data = properties(ENDPOINTS[path]["answer"]).get("data", {})
    if "items" in data:
        return dict(data["items"])
    if path.endswith(("}", "/me")):
        return None
    for inner in properties(data).values():  # goals and search results are one level deeper
        if "items" in inner and properties(inner["items"]):
            return dict(inner["items"])
    return None
