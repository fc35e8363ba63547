"""The monthly reports: all rows compared with the account's records."""

from __future__ import annotations

from collections import defaultdict
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

from .sold import (
    DAY,
    Row,
    Sold,
    Truth,
    added_up,
    grouped,
    local_day,
    month,
    read,
    rounded,
    sold,
    value,
)
from .test_reports import to_digits

__all__ = ["sold"]

MONTHS = {"monthly": 1, "quarterly": 3, "semi-annually": 6, "annually": 12}
PARTS = ("opening", "new", "reactivated", "expansion", "contraction", "churned", "closing")


def months_later(day: date, count: int) -> date:
    """Return the same day that many months later, or the last day of that month."""
    first = date(day.year + (day.month - 1 + count) // 12, (day.month - 1 + count) % 12 + 1, 1)
    return min(
        first + (day.day - 1) * DAY, date(first.year + first.month // 12, first.month % 12 + 1, 1) - DAY
    )


class Contract(NamedTuple):
    """The monthly amount that a customer pays from one day until the day before another."""

    source: str
    currency: str
    customer: str
    amount: Fraction
    begin: date
    end: date


def contracts(truth: Truth, customers: dict[int, str | None]) -> list[Contract]:
    """Return all contracts of won deals: recurring line items and installments."""
    won = {deal["id"]: deal for deal in truth.deals if deal["status"] == "won"}
    named = {number: customers[number] or f"deal-{number}" for number in won}
    found = []
    for item in truth.records["deal_products"]:
        length, deal = MONTHS.get(item["billing_frequency"]), won.get(item["deal_id"])
        if length and deal and item["is_enabled"] and "_sdc_deleted_at" not in item:
            start = item["billing_start_date"]
            begin = date.fromisoformat(start) if start else local_day(deal["close_time"])
            assert begin
            cycles = item["billing_frequency_cycles"]
            end = date.max if cycles is None else months_later(begin, cycles * length)
            amount = Fraction(str(item["sum"])) / length
            found.append(Contract("line_items", item["currency"], named[deal["id"]], amount, begin, end))
    plans = defaultdict(list)
    for part in truth.records["deal_installments"]:
        if part["deal_id"] in won:
            plans[part["deal_id"]].append(part)
    for number, parts in plans.items():
        billed = sorted(date.fromisoformat(part["billing_date"]).replace(day=1) for part in parts)
        length = (billed[-1].year - billed[0].year) * 12 + billed[-1].month - billed[0].month + 1
        amount = Fraction(sum(Fraction(str(part["amount"])) for part in parts)) / length
        end = months_later(billed[-1], 1)
        found.append(Contract("installments", won[number]["currency"], named[number], amount, billed[0], end))
    return found


def test_recurring_revenue_equals_the_account(sold: Sold) -> None:
    account, truth = sold
    customers = dict(account.query("select deal_id, customer_id from marts.fct_deals"))
    groups: dict[tuple[str, str], list[Contract]] = defaultdict(list)
    for contract in contracts(truth, customers):
        groups[contract.source, contract.currency].append(contract)
    assert {source for source, _ in groups} == {"line_items", "installments"}
    expected: dict[tuple[date, str, str], Row] = {}
    for (source, currency), found in groups.items():
        this = min(contract.begin for contract in found if contract.begin.replace(day=1) != contract.end)
        this = this.replace(day=1)
        before: dict[str, Fraction] = {}
        known: set[str] = set()
        while this <= truth.today:
            last = months_later(this, 1) - DAY
            after: dict[str, Fraction] = defaultdict(Fraction)
            for contract in found:
                if contract.begin <= last < contract.end:
                    after[contract.customer] += contract.amount
            counts = dict.fromkeys(PARTS, 0)
            amounts = dict.fromkeys(PARTS, Fraction(0))
            for customer in before.keys() | after.keys():
                old, new = before.get(customer, Fraction(0)), after.get(customer, Fraction(0))
                if not old and new:
                    part = "reactivated" if customer in known else "new"
                elif old and not new:
                    part = "churned"
                else:
                    part = "expansion" if new > old else "contraction"
                amounts[part] += abs(new - old)
                counts[part] += new != old
            amounts["opening"] = sum(before.values(), Fraction(0))
            amounts["closing"] = sum(after.values(), Fraction(0))
            key = (this, source, currency)
            expected[key] = {f"{part}_revenue": rounded(decimal(amounts[part])) for part in PARTS}
            for part in PARTS:
                in_dollars = truth.converted(decimal(amounts[part]), currency, min(last, truth.today))
                expected[key][f"reporting_{part}_revenue"] = rounded(in_dollars)
            expected[key] |= {f"{part}_count": counts[part] for part in PARTS[1:-1]}
            expected[key]["customer_count"] = sum(map(bool, after.values()))
            kept = amounts["opening"] + amounts["expansion"] - amounts["contraction"] - amounts["churned"]
            for name, left in (("churn_rate", amounts["churned"]), ("retention_ratio", kept)):
                opening = amounts["opening"]
                expected[key][name] = to_digits(4, decimal(left / opening)) if opening else None
            known |= {customer for customer, amount in after.items() if amount}
            before, this = {each: amount for each, amount in after.items() if amount}, months_later(this, 1)
    seen = {part for row in expected.values() for part in PARTS[1:-1] if row[f"{part}_count"]}
    assert seen == set(PARTS[1:-1])
    keys = ("month", "revenue_source", "currency")
    assert read(account, "recurring_revenue", keys, tuple(next(iter(expected.values())))) == expected


def test_won_and_expected_amounts_equal_the_account(sold: Sold) -> None:
    account, truth = sold

    def key(deal: Row) -> tuple[Any, ...]:
        day = deal["expected_close_date"] and date.fromisoformat(deal["expected_close_date"])
        day = local_day(deal["close_time"]) if deal["status"] == "won" else day
        return month(day), deal["pipeline_id"], deal["owner_id"], deal["currency"]

    def part(deal: Row) -> str:
        day = deal["expected_close_date"]
        is_overdue = day is not None and date.fromisoformat(day) < truth.today
        return "won" if deal["status"] == "won" else "overdue" if is_overdue else "expected"

    counting = [
        deal
        for deal in truth.deals
        if deal["status"] == "won" or (deal["status"] == "open" and not deal["is_archived"])
    ]
    expected = {}
    for group, deals in grouped(counting, key).items():
        row: Row = {}
        for name in ("won", "expected", "overdue"):
            own = [deal for deal in deals if part(deal) == name]
            row[f"{name}_count"] = len(own)
            for kind, of in (("value", value), ("weighted_value", truth.weighted)):
                if (name, kind) != ("won", "weighted_value"):
                    row[f"{name}_{kind}"] = rounded(added_up(map(of, own)) if own else Decimal(0))
                    in_dollars = truth.dollars(own, of) if own else Decimal(0)
                    row[f"reporting_{name}_{kind}"] = rounded(in_dollars)
        row["outlook_value"] = rounded(row["won_value"] + row["expected_weighted_value"])
        dollars = (row["reporting_won_value"], row["reporting_expected_weighted_value"])
        row["reporting_outlook_value"] = None if None in dollars else rounded(sum(dollars))
        expected[group] = row
    keys = ("month", "pipeline_id", "owner_id", "currency")
    assert read(account, "revenue_outlook", keys, tuple(next(iter(expected.values())))) == expected


def decimal(amount: Fraction) -> Decimal:
    """Return a fraction with more digits than are compared."""
    return Decimal(amount.numerator) / amount.denominator
