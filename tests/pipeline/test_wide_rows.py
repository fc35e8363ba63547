"""Records with more custom fields than fit into a row of Postgres, through the stock target."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg

from ..tap.harness import TOKEN, account, fake, field_definition
from .pipe import Pipe

LABEL, TEXT = "A label of 22 characters", "A text of thirty-three characters"


def key(number: int) -> str:
    return f"{number:040x}"


def test_every_record_is_loaded_with_every_value(target: Path, tmp_path: Path, database: str) -> None:
    options = [{"id": 125, "label": LABEL}]
    deal_fields = [field_definition(key(n), f"Option {n}", "enum", options) for n in range(235)]
    person_fields = [field_definition(key(n), f"Text {n}", "varchar") for n in range(500)]
    deal: dict[str, Any] = {"id": 1, "title": "Wide", "custom_fields": {key(n): 125 for n in range(235)}}
    person = {"id": 2, "name": "Wide", "custom_fields": {key(n): TEXT for n in range(500)}}
    lists = {
        "/api/v2/dealFields": deal_fields,
        "/api/v2/personFields": person_fields,
        "/api/v2/deals": [deal, {"id": 3, "custom_fields": {key(7): 125}}],
        "/api/v2/persons": [person],
        "/api/v1/notes": [{"id": 4, "content": "a later stream"}],
    }
    with fake(account(lists)) as server:
        run = Pipe(target, tmp_path, database, {"api_token": TOKEN, "api_url": server.url}).run().succeeded()
    assert "deals: 1 rows are too wide for Postgres" in run.tap_log
    assert "persons: 1 rows are too wide for Postgres" in run.tap_log
    with psycopg.connect(database) as connection:
        query = "select to_jsonb(one) from pipedrive.{} as one order by id"
        deals = [row[0] for row in connection.execute(query.format("deals").encode())]
        (loaded,) = [row[0] for row in connection.execute(query.format("persons").encode())]
        assert connection.execute("select count(*) from pipedrive.notes").fetchone() == (1,)
    assert (deals[1]["option_7"], deals[1]["option_7_id"]) == (LABEL, 125)
    for row, name, raw, cell, fields in (
        (deals[0], "option", 125, LABEL, 235),
        (loaded, "text", TEXT, TEXT, 500),
    ):
        overflow = row["custom_fields_overflow"]
        assert 0 < len(overflow) < fields * 2 / 3
        for number in range(fields):
            column = row[f"{name}_{number}"]
            assert (column, overflow.get(key(number))) in ((cell, None), (None, raw)), number
