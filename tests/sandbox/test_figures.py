"""The invented company's figures that are not in its CRM."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from pipedrive_sandbox.data.figures import write_figures
from pipedrive_sandbox.data.setup.catalogue import CUSTOM_FIELDS
from pipedrive_sandbox.data.setup.reference import CURRENCIES

BORN = datetime(2026, 3, 4, 12, tzinfo=UTC)


def read(folder: Path, name: str, days: int = 0) -> list[dict[str, str]]:
    write_figures(folder, 100, 1, BORN, BORN + timedelta(days=days))
    with (folder / f"{name}.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_currency_has_a_rate_on_each_working_day(tmp_path: Path) -> None:
    rates = read(tmp_path, "exchange_rates")
    assert {row["currency"] for row in rates} == {code for code, *_ in CURRENCIES} - {"USD"}
    assert {row["reporting_currency"] for row in rates} == {"USD"}
    assert all(Decimal(row["rate"]) > 0 for row in rates)
    brazil = [row["rate_date"] for row in rates if row["currency"] == "BRL"]
    assert (brazil[0], brazil[-1]) == ("2024-03-04", "2026-03-04")
    assert len(set(brazil)) == len(brazil) == 523


def test_every_month_has_costs_of_each_acquisition_channel(tmp_path: Path) -> None:
    costs = read(tmp_path, "acquisition_costs")
    (field,) = (spec for spec in CUSTOM_FIELDS["deal"] if spec.name == "Canal de aquisição")
    assert {row["channel"] for row in costs} == set(field.of)
    months = sorted({row["month"] for row in costs})
    assert (months[0], months[-1], len(months)) == ("2024-03-01", "2026-03-01", 25)
    assert {row["currency"] for row in costs} == {"BRL", "USD"}


def test_a_later_clock_only_adds_rows(tmp_path: Path) -> None:
    for name in ("exchange_rates", "acquisition_costs", "category_synonyms"):
        before, after = read(tmp_path, name), read(tmp_path, name, days=90)
        assert [row for row in after if row in before] == before
        assert (len(after) > len(before)) == (name != "category_synonyms")
