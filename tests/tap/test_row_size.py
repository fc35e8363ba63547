"""Rows that are too wide for Postgres: every record fits, and no value is lost, in any order of columns."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from embedded_postgres.warehouse import Warehouse
from psycopg.types.json import Jsonb
from tap_pipedrive.columns import OVERFLOW, Definition, Pins
from tap_pipedrive.custom_fields import CustomFields
from tap_pipedrive.field_types import KINDS
from tap_pipedrive.streams import STREAMS

from .harness import Record, encode_exactly
from .test_custom_fields import make

LABELS = {number: "x" * number for number in range(1, 40)}
TEXTS = ["", "a", "é" * 11, "é" * 12, "x" * 22, "x" * 23, "x" * 24, "x" * 33, "x" * 127, "x" * 3000]
NUMBERS = [0, -1, 10**18, Decimal("0.001"), Decimal("-12345678901234567890.123456789"), Decimal("1E+40")]
SAMPLES: dict[str, Sequence[Any]] = {
    "varchar": TEXTS,
    "text": TEXTS,
    "double": NUMBERS,
    "int": [0, 2**62],
    "boolean": [True],
    "date": ["2026-11-22"],
    "enum": list(LABELS),
    "set": [[], [1], [20, 21], list(LABELS)],
    "monetary": [{"value": number, "currency": "BRL"} for number in NUMBERS],
    "daterange": [{"value": "2026-11-22", "until": "2026-11-23"}],
    "timerange": [{"value": "09:00", "until": "18:30", "timezone_id": 5}],
    "address": [{"value": text, "route": text, "country": text} for text in TEXTS],
}
TYPES = {"integer": "bigint", "number": "numeric", "boolean": "boolean", "array": "jsonb", "object": "jsonb"}
WIDEST: dict[str, Any] = {
    "bigint": 2**62,
    "numeric": Decimal("-12345678901234567890.123456789"),
    "boolean": True,
    "jsonb": Jsonb(["x" * 3000]),
    "timestamp": datetime(2026, 11, 22, 1, 2, 3),  # noqa: DTZ001
    "date": date(2026, 11, 22),
    "text": "x" * 23,
}
"""For each type, a value of the largest size in bytes within a row."""

LOADER = {f"_sdc_{number}": "timestamp" for number in range(8)}


def fields(count: int, kinds: Sequence[str]) -> list[Definition]:
    return [
        Definition(f"{number:040x}", f"F{number}", kinds[number % len(kinds)], LABELS)
        for number in range(count)
    ]


def column_type(schema: Record) -> str:
    """Return the Postgres type that the loader uses."""
    (kind,) = (
        one
        for one in ([schema["type"]] if isinstance(schema["type"], str) else schema["type"])
        if one != "null"
    )
    return TYPES.get(kind) or {"date-time": "timestamp", "date": "date"}.get(schema.get("format", ""), "text")


def stored(value: Any, kind: str) -> Any:
    """Return a cell as the loader writes it: a missing JSON value is a JSON null."""
    if kind != "jsonb" or isinstance(value, Jsonb):
        return value
    return Jsonb(value, dumps=lambda one: encode_exactly(one).decode())


@pytest.fixture(scope="module")
def connection(warehouse: Warehouse) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(warehouse.url, autocommit=True) as connection:
        yield connection


def insert(
    connection: psycopg.Connection[Any], custom: CustomFields, rows: Sequence[Record], seed: int
) -> None:
    """Write rows into a table with the widest built-in columns of any stream, in random order."""
    built_in = max((one.entity.columns() for one in STREAMS if one.custom_fields_of), key=len)
    types = {name: column_type(schema) for name, schema in {**built_in, **custom.columns}.items()} | LOADER
    names = list(types)
    random.Random(seed).shuffle(names)
    columns = ", ".join(f'"{name}" {types[name]}' for name in names)
    connection.execute(f"create temporary table wide ({columns})".encode())
    try:
        places = ", ".join(["%s"] * len(names))
        for row in rows:
            whole = {
                **{name: WIDEST[kind] for name, kind in types.items() if name not in custom.columns},
                **row,
            }
            values = [stored(whole[name], types[name]) for name in names]
            connection.execute(f"insert into wide values ({places})".encode(), values)
    finally:
        connection.execute("drop table wide")


def read(custom: CustomFields, raw: Record) -> Record:
    row: Record = {}
    assert custom.read(raw, row) == []
    return row


WIDE = {
    "235 options": (["enum"], 235, {"enum": [23, 22]}),
    "500 texts of 33 characters": (["varchar"], 500, {"varchar": ["x" * 33]}),
    "1,000 numbers": (["double", "int"], 1000, {"double": [10**18], "int": [2**62]}),
    "100 addresses": (
        ["address"],
        100,
        {"address": [dict.fromkeys(["value", "route", "country"], "x" * 23)]},
    ),
    "700 sets without a value": (["set"], 700, {"set": [None]}),
}


@pytest.mark.parametrize(("kinds", "count", "samples"), WIDE.values(), ids=WIDE)
def test_a_row_that_is_too_wide_fits_without_its_largest_values(
    connection: psycopg.Connection[Any], kinds: list[str], count: int, samples: dict[str, list[Any]]
) -> None:
    definitions = fields(count, kinds)
    custom = make(definitions)
    raw = {
        one.key: samples[one.type][number % len(samples[one.type])] for number, one in enumerate(definitions)
    }
    row = read(custom, raw)
    insert(connection, custom, [row], seed=0)
    overflow = row[OVERFLOW] or {}
    assert overflow == {key: raw[key] for key in overflow}
    kept = [key for key, column in custom.names.items() if row[column] is not None]
    assert not set(kept) & overflow.keys()
    assert set(kept) | overflow.keys() == {key for key, value in raw.items() if value is not None}
    if samples != {"set": [None]}:
        assert len(kept) > 0.2 * count, "most of a row is used"
        assert custom.wide_rows == 1


def test_any_row_fits_and_keeps_every_value(connection: psycopg.Connection[Any]) -> None:
    for seed in range(25):
        draw = random.Random(seed)
        definitions = fields(
            draw.choice([40, 200, 400, 700]), draw.sample(sorted(SAMPLES), draw.randint(1, 6))
        )
        pins: Pins = {}
        custom = make(definitions, pins=pins)
        other_order = make(list(reversed(definitions)), pins=pins)
        rows = []
        for _ in range(3):
            share = draw.random()
            filled = [one for one in definitions if draw.random() < share]
            raw = {one.key: draw.choice(SAMPLES[one.type]) for one in filled}
            row = read(custom, raw)
            backwards = dict(reversed(raw.items()))
            assert (read(other_order, backwards)[OVERFLOW] or {}) == (row[OVERFLOW] or {}), (
                "the order of columns does not matter"
            )
            overflow = row[OVERFLOW] or {}
            for one in filled:
                kind, value = KINDS[one.type], raw[one.key]
                assert overflow.get(one.key, value) == value
                if one.key in custom.names:
                    names = [custom.names[one.key] + suffix for suffix, _ in kind.columns]
                    cells = [None] * len(names) if one.key in overflow else kind.read(value, LABELS)
                    assert [row[name] for name in names] == list(cells)
                else:
                    assert one.key in overflow or value == ""
            rows.append(row)
        insert(connection, custom, rows, seed)


def test_a_row_of_few_fields_is_not_measured() -> None:
    """Measuring is skipped if a row cannot be too wide."""
    custom = make(fields(100, ["enum"]))
    row = read(custom, {one.key: 39 for one in fields(100, ["enum"])})
    assert row[OVERFLOW] is None
    assert custom.wide_rows == 0
