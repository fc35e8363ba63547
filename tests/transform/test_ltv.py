"""Lifetime value, acquisition cost and cohorts: the whole marts against what the account sold."""

from __future__ import annotations

import csv
import json
from calendar import monthrange
from collections.abc import Callable, Iterable
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from pipedrive_sandbox.generate import Dataset, generate
from pipedrive_sandbox.testing import NOW

from .conftest import Account
from .won_deals import (
    FIRST_RATE,
    HERE,
    LAST_RATE,
    Sale,
    convert,
    customers,
    grouped,
    month_of,
    rate,
    total,
    won,
)

MARGIN = Decimal("0.6")
SETTINGS = {"REPORTING_TIMEZONE": HERE.key, "REPORTING_CURRENCY": "USD", "GROSS_MARGIN": str(MARGIN)}
COLUMNS = {
    "organizations": ("id", "name", "website", "is_deleted"),
    "persons": ("id", "name", "org_id", "emails", "phones", "is_deleted"),
    "deals": (
        *("id", "org_id", "person_id", "channel", "status", "currency", "value", "is_archived", "is_deleted"),
        *("add_time", "close_time", "won_time"),
    ),
}
SPEND = [
    # month, channel as somebody wrote it, amount, currency
    ("2026-03-01", "Web forms", "1200.50", "BRL"),
    ("2026-03-31", " WEB FORMS ", "300", "usd"),
    ("2026-03-01", "Referral", "80", "EUR"),
    ("2026-03-01", "unknown", "0", "BRL"),
    ("2026-04-01", "Marketing", "5000", "BRL"),
    ("2026-05-01", "Live chat", "70", "JPY"),
    ("2026-11-01", "Prospector", "900", "BRL"),
    ("2026-04-01", "Billboards", "10000", "BRL"),
    ("2024-12-01", "Billboards", "400", "BRL"),
]

Figures = dict[tuple[Any, ...], tuple[Any, ...]]


class Sold(NamedTuple):
    """An account after `dbt build`, its records, and what it sold, in order."""

    account: Account
    data: Dataset
    sales: list[Sale]
    this_month: date


def share(amount: Decimal | None, number: Decimal | int | None) -> Decimal | None:
    """A quotient, where there is one."""
    return None if amount is None or not number else amount / number


def rounded(figure: Any) -> Any:
    """Without the digits behind which Postgres and Python stop dividing."""
    return round(figure, 6) if isinstance(figure, Decimal) else figure


def write_seeds(folder: Path) -> Path:
    """The company's own figures."""
    days = [FIRST_RATE + timedelta(days=number) for number in range((LAST_RATE - FIRST_RATE).days + 1)]
    seeds: dict[str, list[tuple[Any, ...]]] = {
        "exchange_rates": [
            ("rate_date", "currency", "reporting_currency", "rate"),
            *((day, currency, "USD", rate(currency, day)) for day in days for currency in ("BRL", "EUR")),
        ],
        "acquisition_costs": [
            ("month", "crm", "channel", "amount", "currency"),
            *((month, "pipedrive", *spent) for month, *spent in SPEND),
        ],
        "category_synonyms": [("crm", "entity", "column_name", "spelling", "category")],
    }
    for name, rows in seeds.items():
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(rows)
    return folder


@pytest.fixture(scope="module")
def sold(new_account: Callable[..., Account], tmp_path_factory: pytest.TempPathFactory) -> Sold:
    account = new_account("sold")
    data = generate(400, 1, NOW)
    for table, columns in COLUMNS.items():
        account.insert(table, *({column: row[column] for column in columns} for row in data.records[table]))
    (field,) = (field for field in data.fields["deal"] if field["field_code"] == "channel")
    account.insert(
        "field_options",
        *(
            {
                "entity": "deal",
                "field_code": "channel",
                "option_id": str(option["id"]),
                "label": option["label"],
            }
            for option in field["options"]
        ),
    )
    seeds = write_seeds(tmp_path_factory.mktemp("seeds"))
    run = account.dbt("build", "--exclude-resource-type", "unit_test", SEEDS=str(seeds), **SETTINGS)
    assert run.returncode == 0, run.stdout
    metadata = json.loads((account.target / "run_results.json").read_text())["metadata"]
    today = datetime.fromisoformat(metadata["invocation_started_at"]).astimezone(HERE).date()
    return Sold(account, data, sorted(won(data)), month_of(today))


def figures(sold: Sold, keys: str, values: str, mart: str) -> Figures:
    """Values of a mart by key."""
    split = keys.count(",") + 1
    rows = sold.account.query(f"select {keys}, {values} from marts.{mart}")
    return {row[:split]: tuple(map(rounded, row[split:])) for row in rows}


def new_customers(sold: Sold) -> dict[str, Sale]:
    """First sale by customer."""
    return {customer: sales[0] for customer, sales in grouped(sold.sales, lambda sale: sale.customer).items()}


def lifetime_value(sales: Iterable[Sale]) -> Decimal:
    return sum((sale.value for sale in sales), Decimal(0)) * MARGIN


def converted_lifetime_value(sales: Iterable[Sale]) -> Decimal | None:
    revenue = total(sale.converted for sale in sales)
    return None if revenue is None else revenue * MARGIN


def test_a_customer_is_worth_what_it_bought_times_the_margin(sold: Sold) -> None:
    expected = {
        key: (
            len(sales),
            rounded(lifetime_value(sales)),
            rounded(converted_lifetime_value(sales)),
            sales[0].won_at,
            sales[-1].won_at,
        )
        for key, sales in grouped(sold.sales, lambda sale: (sale.customer, sale.currency)).items()
    }
    values = "won_deal_count, ltv, reporting_ltv, first_won_at, last_won_at"
    assert figures(sold, "customer_id, currency", values, "ltv_by_customer") == expected


def test_a_customer_comes_in_the_month_and_by_the_channel_of_its_first_won_deal(sold: Sold) -> None:
    expected = {
        (customer,): (str(first.deal_id), first.channel, first.currency, month_of(first.day))
        for customer, first in new_customers(sold).items()
    }
    values = "first_won_deal_id, channel, first_won_currency, first_won_month"
    assert figures(sold, "customer_id", values, "dim_customers where won_deal_count > 0") == expected


@pytest.mark.parametrize(
    ("trouble", "kind", "key"),
    [("duplicate_organizations", "organization", "org_id"), ("duplicate_persons", "person", "person_id")],
)
def test_duplicates_are_one_customer(sold: Sold, trouble: str, kind: str, key: str) -> None:
    deals = [deal for deal in sold.data.records["deals"] if not deal["is_deleted"]]
    if kind == "person":
        deals = [deal for deal in deals if not deal["org_id"]]
    with_deals = {deal[key] for deal in deals}
    expected = {
        f"pipedrive-{kind}-{min(group)}": ", ".join(map(str, sorted(group)))
        for group in sold.data.manifest["troubles"][trouble]["groups"]
        if with_deals & set(group)
    }
    found = sold.account.query(
        f"select customer_id, record_ids from marts.dim_customers where record_count > 1 and kind = '{kind}'"
    )
    assert dict(found) == expected


def test_every_customer_with_a_deal_that_is_left_is_listed(sold: Sold) -> None:
    deals = [deal for deal in sold.data.records["deals"] if not deal["is_deleted"]]
    expected = {
        (customer,): (len(owned), sum(deal["status"] == "open" for deal in owned))
        for customer, owned in grouped(deals, customers(sold.data)).items()
    }
    assert figures(sold, "customer_id", "deal_count, open_deal_count", "dim_customers") == expected


def spent(*keys: str) -> dict[Any, list[Any]]:
    """Rows of SPEND by the figures of that name."""
    rows = [
        {
            "month": month_of(date.fromisoformat(month)),
            "channel": channel.strip().lower(),
            "currency": currency.upper(),
            "amount": Decimal(amount),
        }
        for month, channel, amount, currency in SPEND
    ]
    return grouped(rows, lambda row: tuple(row[key] for key in keys))


def test_spend_and_new_customers_meet_in_their_currency(sold: Sold) -> None:
    costs = spent("month", "channel", "currency")
    acquired = grouped(
        new_customers(sold).values(), lambda first: (month_of(first.day), first.channel, first.currency)
    )
    expected = {}
    for key in costs.keys() | acquired.keys():
        firsts = acquired.get(key, [])
        acquired_here = {first.customer for first in firsts}
        spend = total(cost["amount"] for cost in costs[key]) if key in costs else None
        value = share(
            lifetime_value(s for s in sold.sales if s.customer in acquired_here and s.currency == key[2]),
            len(firsts),
        )
        cost = share(spend, len(firsts))
        expected[key] = tuple(map(rounded, (spend, len(firsts), cost, value, share(value, cost))))
    values = "spend, new_customers, cac, ltv, ltv_cac_ratio"
    assert figures(sold, "month, channel, currency", values, "ltv_cac") == expected


def test_spend_and_new_customers_meet_in_the_reporting_currency(sold: Sold) -> None:
    costs = spent("month", "channel")
    acquired = grouped(new_customers(sold).values(), lambda first: (month_of(first.day), first.channel))
    expected = {}
    for key in costs.keys() | acquired.keys():
        firsts = acquired.get(key, [])
        acquired_here = {first.customer for first in firsts}
        day = key[0].replace(day=monthrange(key[0].year, key[0].month)[1])
        spend = (
            total(convert(cost["amount"], cost["currency"], day) for cost in costs[key])
            if key in costs
            else None
        )
        value = share(
            converted_lifetime_value(s for s in sold.sales if s.customer in acquired_here), len(firsts)
        )
        cost = share(spend, len(firsts))
        expected[key] = tuple(map(rounded, (spend, len(firsts), cost, value, share(value, cost))))
    values = "reporting_spend, new_customers, reporting_cac, reporting_ltv, ltv_cac_ratio"
    assert figures(sold, "month, channel", values, "ltv_cac_converted") == expected


def months_between(first: date, last: date) -> list[date]:
    """The first days of all months from one to the other."""
    months = [first]
    while months[-1] < last:
        months.append(month_of(months[-1] + timedelta(days=31)))
    return months


def test_cohorts_are_followed_to_this_month(sold: Sold) -> None:
    firsts = new_customers(sold)
    cohorts = grouped(sold.sales, lambda sale: (month_of(firsts[sale.customer].day), sale.currency))
    expected = {}
    for (cohort, currency), sales in cohorts.items():
        size = len({sale.customer for sale in sales})
        by_month = grouped(sales, lambda sale: month_of(sale.day))
        so_far: list[Sale] = []
        for number, month in enumerate(months_between(cohort, max(sold.this_month, *by_month))):
            bought = by_month.get(month, [])
            so_far += bought
            active = len({sale.customer for sale in bought})
            expected[cohort, number, currency] = tuple(
                map(
                    rounded,
                    (
                        month,
                        size,
                        active,
                        Decimal(active) / size,
                        sum(sale.value for sale in bought) + Decimal(0),
                        total(sale.converted for sale in bought),
                        share(sum((sale.value for sale in so_far), Decimal(0)), size),
                        share(total(sale.converted for sale in so_far), size),
                    ),
                )
            )
    values = (
        "month, customer_count, active_customer_count, retention_rate, revenue, reporting_revenue, "
        "cumulative_revenue_per_customer, reporting_cumulative_revenue_per_customer"
    )
    assert figures(sold, "cohort_month, months_since, currency", values, "customer_cohorts") == expected


def test_the_account_has_what_makes_the_figures_hard(sold: Sold) -> None:
    firsts = new_customers(sold).values()
    currencies = grouped({(sale.customer, sale.currency) for sale in sold.sales}, lambda pair: pair[0])
    sold_to = {(sale.customer, sale.deal_id) for sale in sold.sales}
    ids = {deal["id"]: deal["org_id"] for deal in sold.data.records["deals"]}
    merged = grouped({(customer, ids[deal]) for customer, deal in sold_to if ids[deal]}, lambda pair: pair[0])
    archived = {deal["id"] for deal in sold.data.records["deals"] if deal["is_archived"]}
    assert any(len(pairs) > 1 for pairs in currencies.values())
    assert any(len(pairs) > 1 for pairs in merged.values())
    assert any(sale.converted is None for sale in sold.sales)
    assert any("person" in sale.customer for sale in sold.sales)
    assert any(sale.deal_id in archived for sale in sold.sales)
    assert any(month_of(first.won_at.date()) != month_of(first.day) for first in firsts)
