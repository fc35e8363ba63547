"""The figures of the charts as Postgres computes them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import psycopg

from analyze.definitions import Chart, rows
from analyze.influence import most_influential
from analyze.report import packed
from analyze.sql import statement

Figures = list[dict[str, Any]]


def asked(connection: psycopg.Connection, chart: Chart, values: dict[str, str]) -> Figures:
    """Return what Postgres answers to the statement behind a chart, in JavaScript's types."""
    sql = statement(chart, rows_of(connection, chart), columns(connection, chart), values)
    cursor = connection.execute(sql.encode())
    names = [column.name for column in cursor.description or ()]
    return [dict(zip(names, map(plain, line), strict=True)) for line in cursor.fetchall()]


def rows_of(connection: psycopg.Connection, chart: Chart) -> Any:
    if chart.rows != "influence":
        return rows()[chart.rows]
    influence = most_influential(connection)
    assert influence
    return influence


def columns(connection: psycopg.Connection, chart: Chart) -> set[str]:
    return set(packed(connection, rows_of(connection, chart).sql)["columns"])


def plain(value: Any) -> Any:
    if isinstance(value, int | None | str):
        return value
    return float(value) if isinstance(value, Decimal | float) else value.isoformat()
