"""Records as JSON, exact to the last digit and rendered once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

import orjson

from .account import Account
from .model import Id, Record


def exact(value: object) -> orjson.Fragment:
    """Serialise a Decimal with all its digits."""
    if isinstance(value, Decimal):
        return orjson.Fragment(str(value))
    raise TypeError(type(value).__name__)


class Shape(NamedTuple):
    """What an answer shows of its records."""

    entity: str
    left_out: frozenset[str] = frozenset()
    """Optional keys that were not asked for."""
    custom_fields: frozenset[str] | None = None
    """Keys of the custom fields to show; None shows all."""
    option_labels: bool = False
    labels: bool = False
    fields_version: int = 0


class Renderer:
    """Renders records as JSON and keeps what it rendered until the record changes.

    `unset` tells what becomes of custom fields without value: `null` or `absent`. Which of the
    two Pipedrive's v2 does is not documented.
    """

    def __init__(self, account: Account, unset: str) -> None:
        self._account = account
        self._absent = unset == "absent"
        self._kept: dict[Shape, dict[Id, tuple[Record, bytes]]] = {}

    def many(self, rows: Iterable[Record], shape: Shape) -> list[orjson.Fragment]:
        """Render rows, each on its own."""
        kept = self._kept.setdefault(shape, {})
        return [orjson.Fragment(self._one(row, shape, kept)) for row in rows]

    def _one(self, row: Record, shape: Shape, kept: dict[Id, tuple[Record, bytes]]) -> bytes:
        known = kept.get(row["id"])
        if known and known[0] is row:
            return known[1]
        rendered = orjson.dumps(self._shaped(row, shape), default=exact)
        kept[row["id"]] = (row, rendered)
        return rendered

    def _shaped(self, row: Record, shape: Shape) -> Record:
        shown = {key: value for key, value in row.items() if key not in shape.left_out}
        custom = row.get("custom_fields")
        if custom:
            if shape.custom_fields is not None:
                custom = {key: custom[key] for key in custom if key in shape.custom_fields}
            if self._absent:
                custom = {key: value for key, value in custom.items() if value is not None}
            if shape.option_labels:
                custom = self._labelled(custom, shape.entity)
            shown["custom_fields"] = custom
        if shape.labels:
            options = self._options(shape.entity)["label_ids"]
            shown["labels"] = [_option(options, id_) for id_ in row["label_ids"]]
        return shown

    def _labelled(self, custom: Record, entity: str) -> Record:
        options = self._options(entity)
        return {
            key: _option(options[key], value) if value is not None and key in options else value
            for key, value in custom.items()
        }

    def _options(self, entity: str) -> dict[str, dict[Any, str]]:
        return {
            field["field_code"]: {option["id"]: option["label"] for option in field["options"]}
            for field in self._account.fields_of(entity)
            if field["field_type"] in ("enum", "set") or field["field_code"] == "label_ids"
            if field["options"]
        }


def _option(options: Mapping[Any, str], value: Any) -> Any:
    """Return an option, or each of a list, as id and label; a deleted one has no label."""
    if isinstance(value, list):
        return [_option(options, item) for item in value]
    return {"id": value, "label": options.get(value)}
