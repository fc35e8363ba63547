"""How many bytes of a row in Postgres the cells of custom fields take.

A row has to fit into a page: 8,160 bytes, see "TOAST" and "Database Page Layout" in the manual of Postgres. Long
texts and JSON are stored elsewhere, and leave a pointer of 18 bytes; texts of 23 bytes or fewer, numbers and times
stay in the row.
"""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

ROOM = 5_500
"""Bytes of a row for its custom fields. The rest is for the row's header (up to 224), built-in columns, those of
the loader, and for the columns that the table `deals_wide` has instead of them (up to 2,400)."""

ROOM_FOR_NULLS = 2_500
"""Bytes of a row for JSON columns without a value, of `ROOM`: the loader writes a JSON null of 9 bytes."""

MAX_SHORT, POINTER = 24, 18
"""Bytes of the longest value that stays in the row, its header included, and of the pointer to a longer one."""


def is_json(schema: Mapping[str, Any]) -> bool:
    """Return whether a column is JSON in the warehouse."""
    return bool({"array", "object"} & set(schema["type"]))


def null_bytes(schema: Mapping[str, Any]) -> int:
    """Return the bytes that a column without a value takes."""
    return 9 if is_json(schema) else 0


def most_bytes(schema: Mapping[str, Any]) -> int:
    """Return the most bytes that a value of a column takes, alignment included."""
    if "integer" in schema["type"]:
        return 15
    if "boolean" in schema["type"]:
        return 1
    return 7 if schema.get("format") == "date" else MAX_SHORT


def cell_bytes(value: Any, schema: Mapping[str, Any]) -> int:
    """Return the bytes that a value of a column takes at most, alignment included."""
    if value is None:
        return null_bytes(schema)
    if isinstance(value, str):
        size = len(value.encode(errors="replace")) + 1
    elif isinstance(value, int | Decimal) and "number" in schema["type"]:
        size = _numeric_bytes(Decimal(value))
    elif isinstance(value, list) and not value:
        size = 5
    else:
        return most_bytes(schema) if isinstance(value, int | date) else MAX_SHORT
    return size if size <= MAX_SHORT else POINTER


def _numeric_bytes(number: Decimal) -> int:
    """Return the bytes of a numeric: 7 and 2 for each group of four digits, on either side of the point."""
    _, digits, exponent = number.as_tuple()
    return 7 + 2 * (len(digits) // 4 + 2 + (max(int(exponent), 0) if number else 0) // 4)
