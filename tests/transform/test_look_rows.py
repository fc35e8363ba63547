"""The rows and statements behind the charts, and what the page is made of, on a loaded account."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from analyze.definitions import dashboards, rows, words
from analyze.influence import information, is_significant
from analyze.report import packed, write_report
from analyze.sql import literal

from .charts import asked
from .conftest import NASTY, Account


def test_page_is_small_private_and_whole(connection: psycopg.Connection, tmp_path: Path) -> None:
    report = tmp_path / "index.html"
    write_report(connection, report, reporting_currency="USD")
    assert report.stat().st_mode & 0o777 == 0o600
    assert report.stat().st_size < 1_500_000
    page = report.read_text()
    assert page.startswith("<!doctype html>")
    definitions = json.loads(page.partition('id="definitions">')[2].partition("</script>")[0])
    assert NASTY in definitions["owners"]
    assert NASTY in definitions["pipelines"]


def test_streams_of_a_dashboard_are_behind_its_marts(account_of_today: Account) -> None:
    parents = account_of_today.manifest()["parent_map"]
    for dashboard in dashboards():
        found, todo = set[str](), [f"exposure.pipedrive_warehouse.dashboard_{dashboard.name}"]
        while todo:
            found |= (new := set(parents.get(todo.pop(), [])) - found)
            todo += new
        sources = {each.split(".")[-1] for each in found if each.startswith("source.")}
        assert set(dashboard.streams) <= sources, dashboard.name


def test_there_are_words_for_what_the_marts_say(connection: psycopg.Connection) -> None:
    for name, sql in {
        "rule": "select rule from marts.data_quality",
        "record": "select entity from marts.data_quality union select stream from marts.load_completeness",
        "crm": "select crm from marts.data_quality",
        "movement": rows()["movements"].sql.replace("select\n", "select distinct movement from (select\n", 1)
        + ") as x",
    }.items():
        found = {value for (value,) in connection.execute(sql.encode()).fetchall()}
        assert found, name
        assert found - words()[name].keys() - SELDOM == set(), name


SELDOM = {"rejected_values", "run_statements", "schema_changes", "source_counts", "source_samples"}
"""Streams of the tap about itself, which no reader sees."""


def test_what_moved_adds_up_to_what_is_open(connection: psycopg.Connection) -> None:
    (chart,) = (each for one in dashboards() for each in one.charts if each.bridge)
    today = literal(datetime.now(UTC).date().isoformat())
    for currency in ("BRL", "EUR"):
        figures = asked(
            connection, chart, {"currency": literal(currency), "from": "'2026-03-01'", "to": today}
        )
        steps = {each["movement"]: each["value"] for each in figures}
        closing = steps.pop("closing")
        assert {"opening", "created", "won", "lost"} < steps.keys()
        assert sum(steps.values()) == pytest.approx(closing, abs=0.005)
        open_value = connection.execute(
            "select sum(round(value, 2)) from marts.fct_deals where is_open and not is_archived and not is_deleted"
            " and currency = %s",
            [currency],
        ).fetchone()
        assert open_value is not None
        assert float(open_value[0]) == pytest.approx(closing, abs=0.05)


def test_every_column_of_the_rows_is_used(connection: psycopg.Connection) -> None:
    used: dict[str, set[str]] = {}
    for chart in (chart for dashboard in dashboards() for chart in dashboard.charts):
        names = used.setdefault(chart.rows, {"pipeline", "owner", "currency"})
        names |= {*chart.by, chart.period or "", chart.where or ""}
        for measure in chart.measures.values():
            amount = measure.sum or measure.median or ""
            names |= {amount, f"reporting_{amount}" if chart.money == "chosen" else "", measure.where or ""}
    assert used.keys() - {"influence"} == rows().keys()
    for name, each in rows().items():
        assert set(packed(connection, each.sql)["columns"]) - used[name] == set(), name


@pytest.mark.parametrize("counts", [[(10, 0), (0, 10)], [(5, 5), (5, 5)], [(30, 10), (10, 30)], [(3, 0)], []])
def test_information_about_the_outcome(counts: list[tuple[int, int]]) -> None:
    bits, entropy = information(counts)
    assert 0 <= bits <= entropy <= 1
    if counts == [(10, 0), (0, 10)]:
        assert bits > 0.9
    if counts == [(30, 10), (10, 30)]:
        assert bits == pytest.approx(0.1887 - 0.0090, abs=0.0005)
    if counts in ([(5, 5), (5, 5)], [(3, 0)], []):
        assert bits == 0


def test_small_information_of_few_deals_may_be_chance() -> None:
    assert is_significant(0.05, 1000, 4)
    assert not is_significant(0.002, 1000, 4)
    assert not is_significant(0.5, 1000, 1)
