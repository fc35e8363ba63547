"""Figures of the invented company outside its CRM: exchange rates, acquisition costs, spellings of
categories.
"""

import csv
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from itertools import chain
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from pipedrive_sandbox.data.setup.reference import RATES
from pipedrive_sandbox.data.times import HISTORY_DAYS
from pipedrive_sandbox.data.troubles.records import CATEGORY_SPELLINGS

REPORTING_CURRENCY = "USD"

Rows = Iterable[tuple[Any, ...]]


class Crm(NamedTuple):
    """The description of a CRM's figures."""

    name: str
    spend: Mapping[str, tuple[float, str]]
    """By acquisition channel: the amount spent per month and deal of the account, and its currency."""
    categories: tuple[str, str]
    """The raw table and column of categories that people spell in several ways."""
    spellings: Mapping[str, Iterable[str]]
    """Other spellings by category."""


PIPEDRIVE = Crm(
    name="pipedrive",
    spend={  # the options of the deals' field 'Canal de aquisição'
        "Google Ads": (5.2, "USD"),
        "Meta Ads": (17.0, "BRL"),
        "Indicação": (6.0, "BRL"),
        "Evento": (24.0, "BRL"),
        "Outbound": (31.0, "BRL"),
    },
    categories=("organizations", "especialidade"),
    spellings=CATEGORY_SPELLINGS,
)


def write_figures(
    folder: Path, deals: int, seed: int, born: datetime, now: datetime, crm: Crm = PIPEDRIVE
) -> None:
    """Write `exchange_rates.csv`, `acquisition_costs.csv` and `category_synonyms.csv` for an account.

    They begin two years before it was `born` and end `now`; a later `now` only adds rows. The folder is
    created if necessary, and rows of another CRM in it are kept.
    """
    folder.mkdir(parents=True, exist_ok=True)
    today = now.astimezone(UTC).date()
    start = born.astimezone(UTC).date() - timedelta(days=HISTORY_DAYS)
    _write(
        folder / "exchange_rates.csv",
        ("rate_date", "currency", "reporting_currency", "rate"),
        _exchange_rates(seed, start, today),
    )
    _write(
        folder / "acquisition_costs.csv",
        ("month", "crm", "channel", "amount", "currency"),
        chain(
            _others(folder / "acquisition_costs.csv", crm), _acquisition_costs(crm, deals, seed, start, today)
        ),
    )
    _write(
        folder / "category_synonyms.csv",
        ("crm", "entity", "column_name", "spelling", "category"),
        chain(
            _others(folder / "category_synonyms.csv", crm),
            (
                (crm.name, *crm.categories, spelling, category)
                for category, spellings in crm.spellings.items()
                for spelling in (category, *spellings)
            ),
        ),
    )


def _exchange_rates(seed: int, start: date, today: date) -> Rows:
    """Yield a random walk around the rates of the catalogue, for each day on which banks are open."""
    for currency, worth in RATES.items():
        if currency == REPORTING_CURRENCY:
            continue
        rng = Random(f"{seed}.exchange_rates.{currency}")  # noqa: S311
        rate = RATES[REPORTING_CURRENCY] / worth
        for number in range((today - start).days + 1):
            day = start + timedelta(days=number)
            rate *= 1 + rng.uniform(-0.006, 0.006)
            if day.weekday() < 5:
                yield day, currency, REPORTING_CURRENCY, f"{rate:.6g}"


def _acquisition_costs(crm: Crm, deals: int, seed: int, start: date, today: date) -> Rows:
    """Yield the cost of each channel in each month; sometimes nothing was spent on one."""
    rng = Random(f"{seed}.acquisition_costs")  # noqa: S311
    month = start.replace(day=1)
    while month <= today:
        for channel, (per_deal, currency) in crm.spend.items():
            amount = deals * per_deal * rng.uniform(0.6, 1.4)
            if rng.random() < 0.95:
                yield month, crm.name, channel, f"{amount:.2f}", currency
        month = (month + timedelta(days=31)).replace(day=1)


def _others(path: Path, crm: Crm) -> list[tuple[str, ...]]:
    """Return the rows of other CRMs that a file already has."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [tuple(row.values()) for row in csv.DictReader(file) if row["crm"] != crm.name]


def _write(path: Path, header: tuple[str, ...], rows: Rows) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
