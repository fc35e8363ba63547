"""`make report`: one page with all dashboards, which needs no server and makes no requests.

The page contains the rows of the charts in packed form, and computes the figures for any filters itself.
"""

import base64
import gzip
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import vl_convert
from psycopg.rows import dict_row

from analyze.as_of import rows_of
from analyze.definitions import FOLDER, LANGUAGES, Dashboard, dashboards, rows, words
from analyze.files import write_private
from analyze.influence import Influence, most_influential

PAGE = FOLDER / "page"
PERIOD = timedelta(days=365)
"""The period that the page shows at first."""

PART = re.compile(r"{{(\w+)}}")
"""A placeholder in `page.html`. It is not replaced within inserted parts, where names may look like one."""

Table = dict[str, Any]


def write_report(connection: psycopg.Connection, path: Path, *, reporting_currency: str) -> None:
    """Write the page, which only its owner may read, because it contains names and amounts.

    Args:
        connection: A connection to the warehouse.
        path: The path of the page; its folder is created.
        reporting_currency: The currency of the converted amounts.

    Raises:
        psycopg.Error: A mart is missing, or a query fails.
    """
    influence = most_influential(connection)
    tables = {name: packed(connection, each.sql) for name, each in rows().items()}
    if influence:
        tables["influence"] = packed(connection, influence.sql)
    parts = {
        "style": (PAGE / "style.css").read_text(),
        "definitions": _json(_definitions(connection, tables, influence, reporting_currency)).replace(
            "<", "\\u003c"
        ),
        "rows": _packed(_json(tables)),
        "vega": _packed(vl_convert.javascript_bundle()),  # type: ignore[call-arg]  # its stub errs
        **{path.stem: path.read_text() for path in PAGE.glob("*.js")},
    }
    page = (PAGE / "page.html").read_text()
    write_private(path, PART.sub(lambda found: parts[found[1]], page))


def _packed(text: str) -> str:
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def packed(connection: psycopg.Connection, sql: str) -> Table:
    """Return the rows of a query by column: the values, or the distinct values and the position of each
    row's.
    """
    cursor = connection.execute(sql.encode())
    found = cursor.fetchall()
    names = [column.name for column in cursor.description or ()]
    columns = zip(*found, strict=True) if found else ([] for _ in names)
    return {
        "size": len(found),
        "columns": {name: _column(values) for name, values in zip(names, columns, strict=True)},
    }


def _column(values: Iterable[Any]) -> dict[str, Any]:
    values = [_value(each) for each in values]
    if not any(isinstance(each, str) for each in values):
        return {"values": values}
    known: dict[str, int] = {}
    codes = [-1 if each is None else known.setdefault(each, len(known)) for each in values]
    return {"values": list(known), "codes": codes}


def _value(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value.isoformat() if isinstance(value, date) else value


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _definitions(
    connection: psycopg.Connection,
    tables: Mapping[str, Table],
    influence: Influence | None,
    reporting_currency: str,
) -> dict[str, Any]:
    """Return the page's data besides the rows: dashboards, choices of the filters, words from the account."""
    currencies = connection.execute(
        "select currency from marts.fct_deals where currency is not null and not is_deleted"
        " group by currency order by count(*) desc, currency"
    ).fetchall()
    today = datetime.now(UTC).date()
    return {
        "dashboards": [_dashboard(connection, each, tables) for each in _with_rows(tables)],
        "words": {
            name: {value: text.model_dump() for value, text in each.items()} for name, each in words().items()
        },
        "pipelines": _choices(tables, "pipeline"),
        "owners": _choices(tables, "owner"),
        "currencies": [currency for (currency,) in currencies],
        "currency": currencies[0][0] if currencies else "",
        "reporting_currency": reporting_currency,
        "from": (today - PERIOD).replace(day=1).isoformat(),
        "to": today.isoformat(),
        "company": _company(connection),
        "made_at": datetime.now(UTC).isoformat(),
        "values": _words(influence) if influence else {},
    }


def _with_rows(tables: Mapping[str, Table]) -> Sequence[Dashboard]:
    """Return the dashboards that have something to show, or all of them if none has."""
    found = [
        each
        for each in dashboards()
        if any(tables[chart.rows]["size"] for chart in each.charts if chart.rows in tables)
    ]
    return found or dashboards()


def _dashboard(
    connection: psycopg.Connection, dashboard: Dashboard, tables: Mapping[str, Table]
) -> dict[str, Any]:
    shown = dashboard.model_dump(mode="json")
    shown["charts"] = [each for each in shown["charts"] if each["rows"] in tables]
    with connection.cursor(row_factory=dict_row) as cursor:
        sentence = cursor.execute(rows_of(dashboard.streams).sql.encode()).fetchone() or {}
    shown["as_of"] = {language: sentence[language] for language in LANGUAGES}
    return shown


def _company(connection: psycopg.Connection) -> str:
    """Return the name of the company whose Pipedrive was read last; empty if no run has recorded it."""
    found = connection.execute(
        "select company_name from marts.load_completeness where company_name is not null"
        " order by last_run_at desc nulls last limit 1"
    ).fetchone()
    return str(found[0]) if found else ""


def _choices(tables: Mapping[str, Table], column: str) -> list[str]:
    """Return the distinct values of a column in all rows that have it."""
    found = {
        value
        for table in tables.values()
        if column in table["columns"]
        for value in table["columns"][column]["values"]
    }
    return sorted(found - {None}, key=str.casefold)


MORE_THAN_CHANCE = {
    True: {
        "en": "It shows a correlation, not a cause.",
        "pt": "Mostra uma correlação, não uma causa.",
    },
    False: {
        "en": "The relation is so weak that it may be due to chance.",
        "pt": "A relação é tão fraca que pode ser acaso.",
    },
}


def _words(influence: Influence) -> dict[str, tuple[Any, str]]:
    """Return the replacements of the words in braces, each with its format."""
    return {
        "field": (influence.field, "text"),
        "bits": (influence.bits, "bits"),
        "of": (influence.of, "bits"),
        "share": (influence.filled / influence.deals, "percent"),
        "deals": (influence.deals, "integer"),
        "verdict": (MORE_THAN_CHANCE[influence.is_significant], "words"),
    }
