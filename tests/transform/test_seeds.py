"""Seeds with mistakes: wrong lines are reported and left out, and all others are used."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from .conftest import PROJECT, Account, Built, Dbt

RATES = """rate_date,currency,reporting_currency,rate
2026-01-01,BRL,USD,0.2
05/06/2026,BRL,USD,0.2

2026-01-01,BRL,USD,0
2026-01-01,"BRL ",usd,0.3
2026-01-01,EUR,USD

"""
COSTS = """month,crm,channel,amount,currency,note
2026-01-01,Pipedrive,Web,10,brl,paid
2026-01-01,pipedrive,,10,BRL,
2026-01-01,pipedrive,Web,-500,BRL,
2026-02-30,pipedrive,Web,5,BRL,
"""
SELECTED = (
    *("exchange_rates", "acquisition_costs", "category_synonyms", "seed_problems", "int_exchange_rates"),
    *("stg_seeds__exchange_rates", "stg_seeds__acquisition_costs", "stg_seeds__category_synonyms", "ltv_cac"),
)


@pytest.fixture(scope="module")
def account(
    empty: Built, new_database: Callable[..., str], dbt: Dbt, tmp_path_factory: pytest.TempPathFactory
) -> Account:
    """A database whose rates have column types, as in versions before all seed columns became text."""
    folder = tmp_path_factory.mktemp("seeds")
    shutil.copytree(empty.account.target, folder / "target")
    account = Account(new_database("seeds", urlsplit(empty.account.url).path[1:]), folder / "target", dbt)
    account.execute(
        """
        drop table seeds.exchange_rates cascade;
        create table seeds.exchange_rates (
            rate_date date, currency text, reporting_currency text, rate numeric
        )
        """
    )
    seeds = folder / "seeds"
    shutil.copytree(PROJECT / "seeds", seeds)
    (seeds / "exchange_rates.csv").write_text(RATES)
    (seeds / "acquisition_costs.csv").write_text(COSTS)
    build(account, seeds)
    return account


def build(account: Account, seeds: Path) -> None:
    run = account.dbt(
        "build", "--exclude-resource-type", "unit_test", "--select", *SELECTED, SEEDS=str(seeds)
    )
    assert run.returncode == 0, run.stdout


def test_each_mistake_is_reported_with_its_line(account: Account) -> None:
    assert account.query("select seed, line_number, problem from marts.seed_problems order by 1, 2") == [
        ("acquisition_costs", 1, "nobody reads the column note"),
        ("acquisition_costs", 3, "no channel"),
        ("acquisition_costs", 4, "amount is below 0"),
        ("acquisition_costs", 5, "month is no day written as 2026-11-01"),
        ("exchange_rates", 3, "rate_date is no day written as 2026-11-20"),
        ("exchange_rates", 5, "rate is not above 0"),
        ("exchange_rates", 6, "a line above has the rate of this day and pair"),
        ("exchange_rates", 7, "no rate"),
    ]


def test_all_other_lines_are_used(account: Account) -> None:
    rates = account.query(
        "select currency, rate, rate_date::text from intermediate.int_exchange_rates order by 3"
    )
    assert [float(rate) for _, rate, _ in rates] == [0.2] * 7
    assert account.query("select crm, channel, currency, spend::int from marts.ltv_cac") == [
        ("pipedrive", "web", "BRL", 10)
    ]
