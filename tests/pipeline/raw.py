"""Reads the raw schema of a warehouse, and describes how it differs from what is expected."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row
from psycopg.types.string import TextLoader

from .contract import KEYS, OF_THE_RUN
from .expected import Expected, Key, Row, Table, document

SCHEMA = "pipedrive"

LOADER_COLUMNS = {
    "_sdc_batched_at": "timestamp without time zone",
    "_sdc_deleted_at": "timestamp without time zone",
    "_sdc_extracted_at": "timestamp without time zone",
    "_sdc_received_at": "timestamp without time zone",
    "_sdc_sequence": "bigint",
    "_sdc_sync_started_at": "bigint",
    "_sdc_table_version": "bigint",
}
"""Columns that target-postgres adds to every table."""


def table_names(database: str) -> list[str]:
    """Return the names of the tables in the raw schema."""
    query = "select table_name from information_schema.tables where table_schema = %s order by 1"
    with psycopg.connect(database) as connection:
        return [name for (name,) in connection.execute(query, [SCHEMA])]


def read(database: str) -> dict[str, Table]:
    """Return all tables, with numbers as text and JSON as canonical text; tables about the tap's runs have no
    rows.
    """
    with psycopg.connect(database, row_factory=dict_row) as connection:
        connection.adapters.register_loader("numeric", TextLoader)
        connection.adapters.register_loader("jsonb", TextLoader)
        tables = {name: _read(connection, name) for name in table_names(database)}
    return {name: Table(one.columns, {}) if name in OF_THE_RUN else one for name, one in tables.items()}


def _read(connection: psycopg.Connection[dict[str, Any]], name: str) -> Table:
    query = (
        "select column_name, data_type from information_schema.columns"
        " where table_schema = %s and table_name = %s"
    )
    columns = {
        row["column_name"]: row["data_type"] for row in connection.execute(query, [SCHEMA, name]).fetchall()
    }
    documents = [column for column, kind in columns.items() if kind == "jsonb"]
    rows: dict[Key, Row] = {}
    for row in connection.execute(sql.SQL("select * from {}").format(sql.Identifier(SCHEMA, name))):
        for column in documents:
            if row[column] is not None:
                row[column] = document(json.loads(row[column], parse_float=Decimal))
        key = tuple(row[part] for part in KEYS.get(name, ("id",)))
        assert key not in rows, f"{name}: {key} is there twice"
        rows[key] = row
    return Table(columns, rows)


def contents(database: str) -> dict[str, tuple[dict[str, str], dict[Key, Row]]]:
    """Return columns and rows of each table, for comparing two databases; `is_marked` says whether a row is
    marked as deleted, and replaces the columns that the loader adds.
    """
    return {
        name: (
            table.columns,
            {
                key: {column: value for column, value in row.items() if column not in LOADER_COLUMNS}
                | {"is_marked": row["_sdc_deleted_at"] is not None}
                for key, row in table.rows.items()
            },
        )
        for name, table in read(database).items()
    }


def differences(database: str, expected: Expected) -> list[str]:
    """Describe the first 20 differences between the raw schema and the expectation."""
    found = []
    actual = read(database)
    for name in sorted(actual.keys() ^ expected.tables.keys()):
        found.append(f"table {name} is {'unexpected' if name in actual else 'missing'}")
    for name in sorted(actual.keys() & expected.tables.keys()):
        found += [f"{name}: {difference}" for difference in _compare(actual[name], expected[name])]
    return found[:20]


def _compare(actual: Table, expected: Table) -> Iterator[str]:
    wanted = expected.columns | LOADER_COLUMNS
    for column in sorted(actual.columns.keys() | wanted.keys()):
        kinds = actual.columns.get(column), wanted.get(column)
        if kinds[0] != kinds[1]:
            yield f"column {column} is {kinds[0]}, not {kinds[1]}"
    for key in actual.rows.keys() - expected.rows.keys():
        yield f"row {key} is unexpected"
    for key in expected.rows.keys() - actual.rows.keys():
        yield f"row {key} is missing"
    for key in expected.rows.keys() & actual.rows.keys():
        for column, value in expected.rows[key].items():
            stored = actual.rows[key].get(column)
            if stored != value or type(stored) is not type(value):
                yield f"row {key}: {column} is {stored!r}, not {value!r}"
        if actual.rows[key].get("_sdc_deleted_at") is not None:
            yield f"row {key} is marked deleted"
