"""The sales marts on a whole account: five currencies, gaps in the rates, deleted and archived records."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest

from .conftest import Account
from .sold import (
    DAY,
    Row,
    Sold,
    Truth,
    added_up,
    days_between,
    grouped,
    local_day,
    middle,
    moment,
    month,
    read,
    rounded,
    share,
    sold,
    value,
)

__all__ = ["sold"]


@pytest.fixture(scope="module")
def account(sold: Sold) -> Account:
    return sold.account


@pytest.fixture(scope="module")
def truth(sold: Sold) -> Truth:
    return sold.truth


def test_deals_are_converted_at_the_rate_of_their_closing_day(account: Account, truth: Truth) -> None:
    found = read(account, "fct_deals", ("deal_id",), ("reporting_value", "exchange_date"))
    assert found == {
        (deal["id"],): {
            "reporting_value": rounded(
                truth.converted(value(deal), deal["currency"], truth.day_of_rate(deal))
            ),
            "exchange_date": truth.day_of_rate(deal),
        }
        for deal in truth.records["deals"]
    }
    unconverted = {deal["currency"] for deal in truth.deals if found[deal["id"],]["reporting_value"] is None}
    assert unconverted == {"EUR", "JPY", "PTS"}, "the account no longer contains this case"


def test_the_wait_for_the_first_activity_equals_the_account(account: Account, truth: Truth) -> None:
    done: dict[int, list[datetime]] = defaultdict(list)
    for activity in truth.records["activities"]:
        at = moment(activity["marked_as_done_time"])
        if activity["done"] and at and not activity["is_deleted"]:
            done[activity["deal_id"]].append(at)
    expected = {}
    for deal in truth.records["deals"]:
        created = moment(deal["add_time"])
        assert created
        first = min((at for at in done[deal["id"]] if at >= created), default=None)
        hours = None if first is None else Decimal((first - created) // timedelta(seconds=1)) / 3600
        if hours is not None:
            hours = rounded(hours.quantize(Decimal("0.01"), ROUND_HALF_UP))
        expected[deal["id"],] = {
            "first_activity_done_at": first,
            "hours_to_first_activity": hours,
            "last_activity_done_at": max(done[deal["id"]], default=None),
        }
    columns = ("first_activity_done_at", "hours_to_first_activity", "last_activity_done_at")
    assert read(account, "fct_deals", ("deal_id",), columns) == expected


def test_line_items_add_up_to_their_deals(account: Account, truth: Truth) -> None:
    counting = [
        item
        for item in truth.records["deal_products"]
        if item["is_enabled"] and not item.get("_sdc_deleted_at")
    ]
    of_deal = grouped(counting, lambda item: (item["deal_id"],))
    expected = {}
    for deal in truth.records["deals"]:
        items = of_deal[deal["id"],]
        is_uniform = {item["currency"] for item in items} == {deal["currency"]}
        expected[deal["id"],] = {
            "line_item_count": len(items),
            "line_item_quantity": rounded(
                sum((Decimal(str(item["quantity"])) for item in items), Decimal(0))
            ),
            "line_item_amount": rounded(
                sum((Decimal(str(item["sum"])) for item in items), Decimal(0)) if is_uniform else None
            ),
        }
    columns = ("line_item_count", "line_item_quantity", "line_item_amount")
    assert read(account, "fct_deals", ("deal_id",), columns) == expected


def test_line_items_are_converted_with_their_deal(account: Account, truth: Truth) -> None:
    deals = {deal["id"]: deal for deal in truth.records["deals"]}
    expected = {
        (item["id"],): {
            "reporting_amount": rounded(
                truth.converted(
                    Decimal(str(item["sum"])), item["currency"], truth.day_of_rate(deals[item["deal_id"]])
                )
            ),
            "is_won": deals[item["deal_id"]]["status"] == "won",
            "is_deleted": "_sdc_deleted_at" in item or deals[item["deal_id"]]["status"] == "deleted",
        }
        for item in truth.records["deal_products"]
    }
    columns = ("reporting_amount", "is_won", "is_deleted")
    assert read(account, "fct_deal_products", ("deal_product_id",), columns) == expected


def test_win_rates_equal_the_account_by_owner_month_and_currency(account: Account, truth: Truth) -> None:
    closed = [deal for deal in truth.deals if deal["status"] in ("won", "lost")]
    expected = {}
    groups = grouped(closed, lambda d: (d["owner_id"], month(local_day(d["close_time"])), d["currency"]))
    for key, deals in groups.items():
        won = [deal for deal in deals if deal["status"] == "won"]
        to_win = [days_between(deal["add_time"], deal["won_time"]) for deal in won]
        expected[key] = {
            "won_count": len(won),
            "lost_count": len(deals) - len(won),
            "win_rate": rounded(share(len(won), len(deals))),
            "won_value": rounded(added_up(map(value, won)) or Decimal(0)),
            "reporting_won_value": rounded(truth.dollars(won, value) if won else Decimal(0)),
            "median_days_to_win": rounded(middle(to_win)),
        }
    columns = tuple(next(iter(expected.values())))
    assert read(account, "win_rate_by_owner", ("owner_id", "closed_month", "currency"), columns) == expected


def test_the_forecast_equals_the_account(account: Account, truth: Truth) -> None:
    today = truth.today

    def key(deal: Row) -> tuple[Any, ...]:
        if deal["expected_close_date"] is None:
            return (deal["pipeline_id"], deal["owner_id"], "undated", None, deal["currency"])
        day = date.fromisoformat(deal["expected_close_date"])
        timing = "overdue" if day < today else "upcoming"
        return (deal["pipeline_id"], deal["owner_id"], timing, month(day), deal["currency"])

    is_open = [deal for deal in truth.deals if deal["status"] == "open" and not deal["is_archived"]]
    expected = {
        group: {
            "deal_count": len(deals),
            "value": rounded(added_up(map(value, deals))),
            "reporting_value": rounded(truth.dollars(deals, value)),
            "weighted_value": rounded(added_up(map(truth.weighted, deals))),
            "reporting_weighted_value": rounded(truth.dollars(deals, truth.weighted)),
        }
        for group, deals in grouped(is_open, key).items()
    }
    keys = ("pipeline_id", "owner_id", "timing", "expected_close_month", "currency")
    assert read(account, "forecast", keys, tuple(next(iter(expected.values())))) == expected


def test_lead_conversion_equals_the_account(account: Account, truth: Truth) -> None:
    deal_of = {deal["source_lead_id"]: deal for deal in truth.deals if deal["source_lead_id"]}
    leads = [
        lead | {"deal": deal_of.get(lead["id"])}
        for lead in truth.records["leads"]
        if lead["id"] in deal_of or not lead.get("_sdc_deleted_at")
    ]
    known = {lead["id"] for lead in truth.records["leads"]}
    leads += [
        deal | {"deal": deal, "is_archived": False, "known": True}
        for lead_id, deal in deal_of.items()
        if lead_id not in known
    ]
    expected = {}
    for key, group in grouped(
        leads,
        lambda lead: (
            month(local_day(lead["add_time"])),
            lead["origin"],
            lead["channel"] and f"Channel {lead['channel']}",
        ),
    ).items():
        converted = [lead for lead in group if lead["deal"]]
        won = [lead["deal"] for lead in converted if lead["deal"]["status"] == "won"]
        waited = [
            days_between(lead["add_time"], lead["deal"]["add_time"])
            for lead in converted
            if "known" not in lead
        ]
        currencies = {deal["currency"] for deal in won}
        expected[key] = {
            "lead_count": len(group),
            "known_by_deal_count": sum("known" in lead for lead in group),
            "converted_count": len(converted),
            "archived_count": sum(not lead["deal"] and lead["is_archived"] for lead in group),
            "won_count": len(won),
            "conversion_rate": rounded(share(len(converted), len(group))),
            "median_days_to_convert": rounded(middle(waited)),
            "won_currency": next(iter(currencies)) if len(currencies) == 1 else None,
            "won_value": rounded(added_up(map(value, won))) if len(currencies) == 1 else None,
            "reporting_won_value": rounded(truth.dollars(won, value) if won else Decimal(0)),
        }
    assert sum(row["median_days_to_convert"] is not None for row in expected.values()) > 5
    keys = ("created_month", "origin", "channel")
    assert read(account, "lead_conversion", keys, tuple(next(iter(expected.values())))) == expected


def test_activity_performance_equals_the_account(account: Account, truth: Truth) -> None:
    def due_day(activity: Row) -> date | None:
        if activity["due_date"] is None or activity["due_time"] is None:
            return activity["due_date"] and date.fromisoformat(activity["due_date"])
        return local_day(f"{activity['due_date']}T{activity['due_time']}+00:00")

    def is_overdue(activity: Row) -> bool:
        if activity["done"] or activity["due_date"] is None:
            return False
        if activity["due_time"] is None:
            return date.fromisoformat(activity["due_date"]) < truth.today
        at = moment(f"{activity['due_date']}T{activity['due_time']}+00:00")
        return at is not None and at < truth.now

    expected: dict[tuple[Any, ...], Row] = defaultdict(
        lambda: {"done": 0, "deals": set(), "due": 0, "due_done": 0, "on_time": 0, "overdue": 0, "late": []}
    )
    for activity in truth.records["activities"]:
        if activity["is_deleted"]:
            continue
        due, done = due_day(activity), local_day(activity["marked_as_done_time"])
        if activity["done"] and done:
            week = expected[activity["owner_id"], activity["type"], done - DAY * done.weekday()]
            week["done"] += 1
            week["deals"] |= {activity["deal_id"]} - {None}
        if due:
            week = expected[activity["owner_id"], activity["type"], due - DAY * due.weekday()]
            week["due"] += 1
            week["due_done"] += activity["done"]
            week["overdue"] += is_overdue(activity)
            if activity["done"] and done:
                week["on_time"] += done <= due
                week["late"].append((done - due).days)
    found = read(
        account,
        "activity_performance",
        ("owner_id", "activity_type_key", "week_start_date"),
        (
            *("done_count", "deal_count", "due_count", "due_done_count", "on_time_count", "overdue_count"),
            "median_delay_days",
        ),
    )
    assert found == {
        key: {
            "done_count": week["done"],
            "deal_count": len(week["deals"]),
            "due_count": week["due"],
            "due_done_count": week["due_done"],
            "on_time_count": week["on_time"],
            "overdue_count": week["overdue"],
            "median_delay_days": rounded(middle(week["late"])),
        }
        for key, week in expected.items()
    }


def test_headline_amounts_are_by_currency_and_in_dollars(account: Account, truth: Truth) -> None:
    is_open = [deal for deal in truth.deals if deal["status"] == "open" and not deal["is_archived"]]
    found = account.query(
        "select currency, value, reporting_value from marts.headline_figures where position = 1"
    )
    assert {currency: (rounded(amount), rounded(dollars)) for currency, amount, dollars in found} == {
        currency: (rounded(added_up(map(value, deals))), rounded(truth.dollars(deals, value)))
        for (currency,), deals in grouped(is_open, lambda deal: (deal["currency"],)).items()
    }
