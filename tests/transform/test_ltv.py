"""Lifetime value, acquisition cost and cohorts: all rows of the marts compared with the sales of the account."""

from __future__ import annotations

import csv
import json
from calendar import monthrange
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from pipedrive_sandbox.data.generate import Dataset, generate
from pipedrive_sandbox.hubspot.generate import generate as generate_hubspot
from pipedrive_sandbox.hubspot.portal import Portal
from pipedrive_sandbox.testing import NOW

from .conftest import Account
from .hubspot_tables import load_hubspot
from .won_deals import (
    FIRST_RATE,
    HERE,
    Deal,
    Groups,
    canonical,
    convert,
    grouped,
    hubspot_deals,
    month_of,
    pipedrive_deals,
    rate,
    total,
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
    # month, CRM, channel as typed, amount, currency
    ("2026-03-01", "pipedrive", "Web forms", "1200.50", "BRL"),
    ("2026-03-31", "pipedrive", " WEB FORMS ", "300", "usd"),
    ("2026-03-01", "pipedrive", "Referral", "80", "EUR"),
    ("2026-03-01", "pipedrive", "unknown", "0", "BRL"),
    ("2026-04-01", "pipedrive", "Marketing", "5000", "BRL"),
    ("2026-05-01", "pipedrive", "Live chat", "70", "JPY"),
    ("2026-11-01", "pipedrive", "Prospector", "900", "BRL"),
    ("2026-04-01", "pipedrive", "Billboards", "10000", "BRL"),
    ("2024-12-01", "pipedrive", "Billboards", "400", "BRL"),
    *((f"2026-{month:02}-01", "hubspot", "Organic_Search", "77", "BRL") for month in range(1, 12)),
    *((f"2026-{month:02}-01", "hubspot", "paid_search", "9", "USD") for month in range(1, 12)),
]

ODD_DEALS: list[dict[str, Any]] = [
    {"value": -500.25},
    {"value": None, "currency": None},
    {"won_time": None, "close_time": None},
    {"won_time": "2031-05-31T23:59:59Z"},
    # the first deals of a new customer in the same second, of which the one entered first counts
    {"org_id": 9_000_001, "channel": 1, "add_time": "2026-01-01T00:00:01Z"},
    {"org_id": 9_000_001, "channel": 2, "add_time": "2026-01-01T00:00:00Z"},
    {"org_id": 9_000_001, "channel": 3, "add_time": "2026-01-01T00:00:00Z"},
]
"""Unusual won deals: of a customer that has others, and of one whose record the token cannot see."""

Figures = dict[tuple[Any, ...], tuple[Any, ...]]


class Sold(NamedTuple):
    """Two accounts in one warehouse after `dbt build`, and their deals."""

    account: Account
    deals: list[Deal]
    won: list[Deal]
    """The won deals, oldest first."""
    groups: dict[str, Groups]
    """Groups of ids of the same customer, by kind."""
    archived: set[int]
    this_month: date


def share(amount: Decimal | None, number: Decimal | int | None) -> Decimal | None:
    """Return a quotient, or None if the divisor is zero."""
    return None if amount is None or not number else amount / number


def rounded(figure: Any) -> Any:
    """Round off the digits in which Postgres and Python divide differently."""
    return round(figure, 6) if isinstance(figure, Decimal) else figure


def to_digits(digits: int, figure: Decimal | None) -> Decimal | None:
    """Round as Postgres does."""
    return None if figure is None else figure.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)


def write_seeds(folder: Path) -> Path:
    """Write the company's own figures."""
    today = datetime.now(HERE).date()
    days = [FIRST_RATE + timedelta(days=number) for number in range((today - FIRST_RATE).days + 1)]
    seeds: dict[str, list[tuple[Any, ...]]] = {
        "exchange_rates": [
            ("rate_date", "currency", "reporting_currency", "rate"),
            *((day, currency, "USD", rate(currency, day)) for day in days for currency in ("BRL", "EUR")),
        ],
        "acquisition_costs": [
            ("month", "crm", "channel", "amount", "currency"),
            *SPEND,
        ],
        "category_synonyms": [("crm", "entity", "column_name", "spelling", "category")],
    }
    for name, rows in seeds.items():
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(rows)
    return folder


def with_odd_deals(data: Dataset) -> Dataset:
    """Return the account with additional deals, and with persons without organization who buy for themselves.

    All duplicates are among these persons: members of an organization would not be customers, and duplicates
    among them would change no figure.
    """
    deals = data.records["deals"]
    twice = canonical(data.manifest["troubles"]["duplicate_persons"]["groups"]).keys()
    alone = {deal["person_id"] for deal in deals if not deal["org_id"]} | twice
    persons = [row | {"org_id": None} if row["id"] in alone else row for row in data.records["persons"]]
    model = next(
        deal for deal in deals if deal["status"] == "won" and deal["org_id"] and not deal["is_deleted"]
    )
    bought = [{"org_id": None, "person_id": person} for person in sorted(twice)]
    odd = [model | {"id": id_, **changes} for id_, changes in enumerate(ODD_DEALS + bought, start=1_000_000)]
    return replace(data, records=data.records | {"deals": deals + odd, "persons": persons})


def let_duplicates_buy(portal: Portal, troubles: dict[str, Any]) -> None:
    """Give each duplicate contact a won deal without a company, taken from a company that is no duplicate."""
    companies, contacts = (
        canonical(troubles[f"duplicate_{kind}"]["groups"]) for kind in ("companies", "contacts")
    )
    won = [
        deal
        for deal in portal.listed("deals")
        if portal.text("deals", deal, "hs_is_closed_won") == "true"
        and companies.keys().isdisjoint(deal.associated.get("companies", ()))
    ]
    for contact, deal in zip(contacts, reversed(won), strict=False):
        deal.associated = {"contacts": [contact]}
        deal.values |= {"company_domain": None, "contact_email": None}


def load_pipedrive(account: Account, data: Dataset) -> None:
    """Fill the raw tables of Pipedrive."""
    for table, columns in COLUMNS.items():
        account.insert(table, *({column: row[column] for column in columns} for row in data.records[table]))
    (field,) = (field for field in data.fields["deal"] if field["field_code"] == "channel")
    for option in field["options"]:
        row = {"entity": "deal", "field_code": "channel", "option_id": option["id"], "label": option["label"]}
        account.insert("field_options", row)


@pytest.fixture(scope="module")
def sold(new_account: Callable[..., Account], tmp_path_factory: pytest.TempPathFactory) -> Sold:
    account = new_account("sold")
    data = with_odd_deals(generate(400, 1, NOW))
    portal, manifest = generate_hubspot(400, 6, NOW)  # a seed without two doctors of the same name
    let_duplicates_buy(portal, manifest["troubles"])
    load_pipedrive(account, data)
    load_hubspot(account, portal)
    seeds = write_seeds(tmp_path_factory.mktemp("seeds"))
    run = account.dbt("build", "--exclude-resource-type", "unit_test", SEEDS=str(seeds), **SETTINGS)
    assert run.returncode == 0, run.stdout
    metadata = json.loads((account.target / "run_results.json").read_text())["metadata"]
    today = datetime.fromisoformat(metadata["invocation_started_at"]).astimezone(HERE).date()
    deals = [*pipedrive_deals(data), *hubspot_deals(portal, manifest)]
    return Sold(
        account,
        deals,
        sorted(deal for deal in deals if deal.is_won),
        {
            "pipedrive-organization": data.manifest["troubles"]["duplicate_organizations"]["groups"],
            "pipedrive-person": data.manifest["troubles"]["duplicate_persons"]["groups"],
            "hubspot-company": manifest["troubles"]["duplicate_companies"]["groups"],
            "hubspot-contact": manifest["troubles"]["duplicate_contacts"]["groups"],
        },
        {deal["id"] for deal in data.records["deals"] if deal["is_archived"]},
        month_of(today),
    )


def figures(sold: Sold, keys: str, values: str, mart: str) -> Figures:
    """Return values of a mart by key."""
    split = keys.count(",") + 1
    rows = sold.account.query(f"select {keys}, {values} from marts.{mart}")
    return {row[:split]: tuple(map(rounded, row[split:])) for row in rows}


def new_customers(sold: Sold) -> dict[str, Deal]:
    """Return the first sale of each customer."""
    return {customer: sales[0] for customer, sales in grouped(sold.won, lambda sale: sale.customer).items()}


def lifetime_value(sales: Iterable[Deal]) -> Decimal:
    return sum((sale.value for sale in sales), Decimal(0)) * MARGIN


def converted_lifetime_value(sales: Iterable[Deal]) -> Decimal | None:
    revenue = total(sale.converted for sale in sales)
    return None if revenue is None else revenue * MARGIN


def test_lifetime_value_is_sales_times_margin(sold: Sold) -> None:
    expected = {
        key: (
            len(sales),
            rounded(lifetime_value(sales)),
            rounded(converted_lifetime_value(sales)),
            sales[0].won_at,
            sales[-1].won_at,
        )
        for key, sales in grouped(sold.won, lambda sale: (sale.customer, sale.currency)).items()
    }
    values = "won_deal_count, ltv, reporting_ltv, first_won_at, last_won_at"
    assert figures(sold, "customer_id, currency", values, "ltv_by_customer") == expected


def test_the_first_won_deal_sets_a_customers_month_and_channel(sold: Sold) -> None:
    expected = {
        (customer,): (str(first.deal_id), first.channel, first.currency, first.month)
        for customer, first in new_customers(sold).items()
    }
    values = "first_won_deal_id, channel, first_won_currency, first_won_month"
    assert figures(sold, "customer_id", values, "dim_customers where won_deal_count > 0") == expected


@pytest.mark.parametrize(
    "kind", ["pipedrive-organization", "pipedrive-person", "hubspot-company", "hubspot-contact"]
)
def test_duplicates_are_one_customer(sold: Sold, kind: str) -> None:
    with_deals = {deal.customer for deal in sold.deals}
    merged = {f"{kind}-{min(group)}": ", ".join(map(str, sorted(group))) for group in sold.groups[kind]}
    assert merged.keys() & with_deals
    found = sold.account.query(
        "select customer_id, record_ids from marts.dim_customers "
        f"where record_count > 1 and starts_with(customer_id, '{kind}')"
    )
    assert dict(found) == {customer: ids for customer, ids in merged.items() if customer in with_deals}


def test_every_customer_with_an_undeleted_deal_is_listed(sold: Sold) -> None:
    expected = {
        (customer,): (deals[0].crm, len(deals), sum(deal.is_open for deal in deals))
        for customer, deals in grouped(sold.deals, lambda deal: deal.customer).items()
    }
    assert figures(sold, "customer_id", "crm, deal_count, open_deal_count", "dim_customers") == expected


def spent(*keys: str) -> dict[Any, list[Any]]:
    """Return the rows of SPEND by its figures."""
    rows = [
        {
            "crm": crm,
            "month": month_of(date.fromisoformat(month)),
            "channel": channel.strip().lower(),
            "currency": currency.upper(),
            "amount": Decimal(amount),
        }
        for month, crm, channel, amount, currency in SPEND
    ]
    return grouped(rows, lambda row: tuple(row[key] for key in keys))


def test_spend_and_new_customers_are_compared_in_their_currency(sold: Sold) -> None:
    costs = spent("crm", "month", "channel", "currency")
    acquired = grouped(
        new_customers(sold).values(), lambda first: (first.crm, first.month, first.channel, first.currency)
    )
    expected = {}
    keys = costs.keys() | acquired.keys()
    currencies = grouped(keys, lambda key: key[:3])
    for key in keys:
        firsts = acquired.get(key, [])
        acquired_here = {first.customer for first in firsts}
        spend = total(cost["amount"] for cost in costs[key]) if key in costs else None
        value = share(
            lifetime_value(s for s in sold.won if s.customer in acquired_here and s.currency == key[3]),
            len(firsts),
        )
        cost = share(spend, len(firsts)) if currencies[key[:3]] == [key] else None
        ratio = to_digits(4, share(value, cost))
        figures_of_key = (spend, len(firsts), to_digits(2, cost), to_digits(2, value), ratio)
        expected[key] = tuple(map(rounded, figures_of_key))
    assert {cost for _, _, cost, *_ in expected.values()} > {None}
    values = "spend, new_customers, cac, ltv, ltv_cac_ratio"
    assert figures(sold, "crm, month, channel, currency", values, "ltv_cac") == expected


def test_spend_and_new_customers_are_compared_in_the_reporting_currency(sold: Sold) -> None:
    costs = spent("crm", "month", "channel")
    acquired = grouped(new_customers(sold).values(), lambda first: (first.crm, first.month, first.channel))
    expected = {}
    for key in costs.keys() | acquired.keys():
        firsts = acquired.get(key, [])
        acquired_here = {first.customer for first in firsts}
        day = key[1].replace(day=monthrange(key[1].year, key[1].month)[1])
        spend = (
            total(convert(cost["amount"], cost["currency"], day) for cost in costs[key])
            if key in costs
            else None
        )
        value = share(
            converted_lifetime_value(s for s in sold.won if s.customer in acquired_here), len(firsts)
        )
        cost = share(spend, len(firsts))
        ratio = to_digits(4, share(value, cost))
        figures_of_key = (spend, len(firsts), to_digits(2, cost), to_digits(2, value), ratio)
        expected[key] = tuple(map(rounded, figures_of_key))
    values = "reporting_spend, new_customers, reporting_cac, reporting_ltv, ltv_cac_ratio"
    assert figures(sold, "crm, month, channel", values, "ltv_cac_converted") == expected


def months_between(first: date, last: date) -> list[date]:
    """Return the first days of all months from one to the other."""
    months = [first]
    while months[-1] < last:
        months.append(month_of(months[-1] + timedelta(days=31)))
    return months


def test_cohorts_continue_to_the_present_month(sold: Sold) -> None:
    firsts = new_customers(sold)
    cohorts = grouped(sold.won, lambda sale: (sale.crm, firsts[sale.customer].month, sale.currency))
    expected = {}
    for (crm, cohort, currency), sales in cohorts.items():
        size = len({sale.customer for sale in sales})
        by_month = grouped(sales, lambda sale: sale.month)
        so_far: list[Deal] = []
        for number, month in enumerate(months_between(cohort, max(sold.this_month, *by_month))):
            bought = by_month.get(month, [])
            so_far += bought
            active = len({sale.customer for sale in bought})
            expected[crm, cohort, number, currency] = tuple(
                map(
                    rounded,
                    (
                        month,
                        size,
                        active,
                        to_digits(4, Decimal(active) / size),
                        sum(sale.value for sale in bought) + Decimal(0),
                        total(sale.converted for sale in bought),
                        to_digits(2, share(sum((sale.value for sale in so_far), Decimal(0)), size)),
                        to_digits(2, share(total(sale.converted for sale in so_far), size)),
                    ),
                )
            )
    values = (
        "month, customer_count, active_customer_count, retention_rate, revenue, reporting_revenue, "
        "cumulative_revenue_per_customer, reporting_cumulative_revenue_per_customer"
    )
    assert figures(sold, "crm, cohort_month, months_since, currency", values, "customer_cohorts") == expected


@pytest.mark.parametrize("crm", ["pipedrive", "hubspot"])
def test_the_accounts_contain_the_difficult_cases(sold: Sold, crm: str) -> None:
    sales = [sale for sale in sold.won if sale.crm == crm]
    firsts = [first for first in new_customers(sold).values() if first.crm == crm]
    kinds = {sale.customer.rsplit("-", 1)[0] for sale in sales}
    spent_on = {(month, channel) for crm_, month, channel in spent("crm", "month", "channel") if crm_ == crm}
    assert kinds == {kind for kind in sold.groups if kind.startswith(crm)}
    assert len({sale.currency for sale in sales}) > 1
    assert {sale.customer.rsplit("-", 1)[0] for sale in sales if sale.customer != sale.record} == kinds
    assert any(sale.converted is None for sale in sales)
    assert any(first.won_at.strftime("%m") != first.day.strftime("%m") for first in firsts)
    assert spent_on & {(first.month, first.channel) for first in firsts}
    assert crm == "hubspot" or any(sale.deal_id in sold.archived for sale in sales)
