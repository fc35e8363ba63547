"""The target's COPY, as meltano.yml configures it, writes exactly what INSERT would write."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from psycopg.types.string import TextLoader

from .pipe import connection_settings, connection_variables, loader_config

INSERT = {"sqlalchemy_url": None, "dialect+driver": "postgresql+psycopg", "use_copy": False}
"""The stock way to insert, which uses no code of this project."""

SCHEMA = {
    "id": {"type": "integer"},
    "number": {"type": ["number", "null"]},
    "text": {"type": ["string", "null"]},
    "flag": {"type": ["boolean", "null"]},
    "day": {"type": ["string", "null"], "format": "date"},
    "moment": {"type": ["string", "null"], "format": "date-time"},
    "list": {"type": ["array", "null"]},
    "object": {"type": ["object", "null"]},
}

NUMBERS = [
    "0", "-1", "0.10", "12345678901234567.89", "-0.1234567890123456789", "1E+20", "1E-20", "9223372036854775807",
    "1234567890123456789012345678901234567.891", "0.1234567890123456789012345678901234567891", "348.78",
]  # fmt: skip
TEXTS = [
    "", " ", "null", "NULL", r"\N", r"\.", "\\", "a\tb", "a\nb\r\n", "\x01\x08\x0b\x7f", '"', "'", "{}",
    "é 🎉 \u2028", "a,b;c|d",
]  # fmt: skip
MOMENTS = [  # times are in UTC, as the tap sends them: COPY would ignore another offset
    "2026-11-22T01:02:03Z",
    "2026-11-22T01:02:03.456789Z",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
]
DOCUMENTS: list[Any] = [
    [], [None], ["null", r"\N", "a\tb\n\\"], [Decimal("1.10"), Decimal("12345678901234567.89")], [{"a": []}],
]  # fmt: skip


def rows() -> list[dict[str, Any]]:
    """Return each odd value in its own row, and a row of nulls."""
    odd: list[dict[str, Any]] = [
        *({"number": Decimal(number)} for number in NUMBERS),
        *({"text": text} for text in TEXTS),
        *({"flag": flag} for flag in (True, False)),
        *({"day": day} for day in ("2026-11-22", "0001-01-01", "9999-12-31")),
        *({"moment": moment} for moment in MOMENTS),
        *({"list": document, "object": {"a\n\\": document}} for document in DOCUMENTS),
        {},
    ]
    return [dict.fromkeys(SCHEMA) | row | {"id": number} for number, row in enumerate(odd)]


def line(**message: Any) -> str:
    """Return a Singer message with exact numbers."""
    numbers: list[str] = []

    def stand_in(number: Any) -> str:
        numbers.append(str(number))
        return f"<{len(numbers) - 1}>"

    text = json.dumps(message, default=stand_in)
    for position, number in enumerate(numbers):
        text = text.replace(f'"<{position}>"', number)
    return text + "\n"


def records(rows: Sequence[dict[str, Any]], version: int) -> list[str]:
    return [line(type="RECORD", stream="odd", record=row, version=version) for row in rows]


HEAD = line(type="SCHEMA", stream="odd", schema={"properties": SCHEMA}, key_properties=["id"])


def load(target: Path, folder: Path, database: str, messages: Sequence[str], **settings: Any) -> None:
    config = folder / "target.json"
    connection = connection_settings(database)
    config.write_text(json.dumps(loader_config() | connection | settings))
    subprocess.run(
        [target, "--config", config],
        input="".join(messages),
        env=os.environ
        | connection_variables(connection)
        | {"PGTZ": "UTC"},  # the stock driver needs the last setting
        text=True,
        check=True,
        capture_output=True,
    )


def table(database: str) -> list[dict[str, Any]]:
    with psycopg.connect(database, row_factory=dict_row) as connection:
        for kind in ("numeric", "jsonb"):
            connection.adapters.register_loader(kind, TextLoader)
        return connection.execute("select * from pipedrive.odd order by id").fetchall()


@pytest.fixture
def far_west(database: str) -> str:
    """The URL of a database with another time zone than UTC."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(f"alter database {connection.info.dbname} set timezone to 'America/Sao_Paulo'")
    return database


@pytest.mark.parametrize("settings", [{}, INSERT], ids=["COPY", "INSERT"])
def test_odd_values_are_loaded_unchanged(
    target: Path, tmp_path: Path, far_west: str, settings: dict[str, Any]
) -> None:
    sent = rows()
    blank = [dict.fromkeys(SCHEMA) | {"id": row["id"], "text": "before"} for row in sent]
    load(target, tmp_path, far_west, [HEAD, *records(blank, 1)], **settings)
    load(target, tmp_path, far_west, [HEAD, *records(sent, 2)], **settings)
    for row, stored in zip(sent, table(far_west), strict=True):
        assert (stored["number"] and Decimal(stored["number"])) == row["number"]
        assert (stored["text"], stored["flag"]) == (row["text"], row["flag"])
        assert stored["day"] == (row["day"] and date.fromisoformat(row["day"]))
        moment = row["moment"] and datetime.fromisoformat(row["moment"]).astimezone(UTC).replace(tzinfo=None)
        assert stored["moment"] == moment
        for column in ("list", "object"):
            # a missing value is a JSON null
            assert json.loads(stored[column], parse_float=Decimal) == row[column]
        assert stored["_sdc_table_version"] == 2


def test_rows_are_marked_as_deleted_with_the_right_time(target: Path, tmp_path: Path, far_west: str) -> None:
    load(target, tmp_path, far_west, [HEAD, *records(rows(), 1)])
    activate = line(type="ACTIVATE_VERSION", stream="odd", version=2)
    load(target, tmp_path, far_west, [HEAD, *records(rows()[:5], 2), activate])
    now = datetime.now(UTC).replace(tzinfo=None)
    marked = {row["id"]: row["_sdc_deleted_at"] for row in table(far_west)}
    assert all(marked[number] is None for number in range(5))
    assert all(now - timedelta(minutes=5) < marked[number] <= now for number in range(5, len(marked)))
    load(target, tmp_path, far_west, [HEAD, *records(rows()[5:7], 3)])
    assert [row["_sdc_deleted_at"] is None for row in table(far_west)][5:8] == [True, True, False]
