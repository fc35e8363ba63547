"""The description of the marts' columns for Metabase: their semantic types, and which of them are technical.

Metabase reads descriptions and foreign keys from the database itself, where dbt has written them.
"""

import re
from collections.abc import Iterable, Mapping

from analyze.metabase.client import Json, Metabase

TEXT, NUMBER, TIME, DAY = "type/Text", "type/Number", "type/DateTime", "type/Date"

SEMANTIC_TYPES = (
    (r"(\w+_)?email", (TEXT,), "type/Email"),
    (r"(\w+_)?(website|url|linkedin)", (TEXT,), "type/URL"),
    (r"country", (TEXT,), "type/Country"),
    (r"region", (TEXT,), "type/State"),
    (r"city", (TEXT,), "type/City"),
    (r"name|title|subject", (TEXT,), "type/Name"),
    (
        r"(\w+_)?(currency|status|channel|crm|rule|entity|origin|priority|outcome|industry|movement|change)"
        r"|(pipeline|stage|owner|user|activity_type|crm)_name|lost_reason|type",
        (TEXT,),
        "type/Category",
    ),
    (r"(\w+_)?(rate|share)", (NUMBER,), "type/Percentage"),
    (r"created_at", (TIME,), "type/CreationTimestamp"),
    (r"created_date", (DAY,), "type/CreationDate"),
    (r"updated_at", (TIME,), "type/UpdatedTimestamp"),
)
"""Patterns of names, the types of values, and what Metabase calls that meaning. The first that fits counts.

Amounts are no `type/Currency`: Metabase would write one currency's sign before amounts of all.
"""

OF_ONE_CURRENCY = re.compile(r"reporting_(?!currency)\w+")
"""A pattern of amounts that are all in the reporting currency."""

TECHNICAL = re.compile(r"(\w+_)?ids|\w+_key|_sdc_\w+")
"""A pattern of columns for joins and tools, which readers do not need."""

KEYS = ("type/PK", "type/FK")

VALUE_TYPES = {
    TEXT: ("type/Text",),
    NUMBER: ("type/Integer", "type/BigInteger", "type/Decimal", "type/Float", "type/Number"),
    TIME: ("type/DateTime", "type/DateTimeWithTZ", "type/DateTimeWithLocalTZ", "type/DateTimeWithZoneOffset"),
    DAY: ("type/Date",),
}
"""Metabase's types of values by their group."""


def describe(metabase: Metabase, tables: Iterable[Json], reporting_currency: str) -> None:
    """Set types of columns that have none in Metabase, and hide technical columns unless a user has chosen
    otherwise.

    Args:
        metabase: The session.
        tables: The marts with their fields, as Metabase lists them.
        reporting_currency: Code of the currency of converted amounts.
    """
    changed = 0
    for table in tables:
        for field in table["fields"]:
            if change := change_of(field, reporting_currency):
                metabase.put(f"field/{field['id']}", change)
                changed += 1
    if changed:
        metabase.done.append(f"{changed} columns got a type or were hidden")


def change_of(field: Mapping[str, object], reporting_currency: str) -> Json:
    """Return the changes of a field; empty if Metabase or a user has decided already.

    Args:
        field: A field as Metabase lists it: `name`, `base_type`, `semantic_type`, `visibility_type`,
    `settings`.
        reporting_currency: Code of the currency of converted amounts.
    """
    name, base_type = str(field["name"]), str(field["base_type"])
    change: Json = {}
    if not field.get("semantic_type"):
        if OF_ONE_CURRENCY.fullmatch(name) and base_type in VALUE_TYPES[NUMBER]:
            change["semantic_type"] = "type/Currency"
            if not field.get("settings"):
                change["settings"] = {"number_style": "currency", "currency": reporting_currency}
        elif kind := _semantic_type(name, base_type):
            change["semantic_type"] = kind
    is_technical = TECHNICAL.fullmatch(name) and field.get("semantic_type") not in KEYS
    if is_technical and field.get("visibility_type", "normal") == "normal":
        change["visibility_type"] = "details-only"
    return change


def _semantic_type(name: str, base_type: str) -> str | None:
    return next(
        (
            kind
            for pattern, values, kind in SEMANTIC_TYPES
            if re.fullmatch(pattern, name) and any(base_type in VALUE_TYPES[value] for value in values)
        ),
        None,
    )
