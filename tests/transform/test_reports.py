"""The reports about deals, compared as wholes with what the account's records say."""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Any

from .sold import (
    LOCAL,
    Row,
    Sold,
    Truth,
    added_up,
    days,
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


def plain(text: str | None) -> str:
    """A reason without what its spellings differ in."""
    letters = unicodedata.normalize("NFKD", (text or "").lower())
    return " ".join("".join(each for each in letters if not unicodedata.combining(each)).split())


def reason_of(deal: Row) -> str | None:
    """Why a deal was lost, in words."""
    reason = deal["lost_reason"]
    text = reason["label"] if isinstance(reason, dict) else reason
    return text if text is None else str(text)


def percentile(numbers: Iterable[Fraction | Decimal | int | None], at: str) -> Decimal | None:
    """A percentile between the two nearest numbers, with two digits; exact until then."""
    known = sorted(Fraction(number) for number in numbers if number is not None)
    if not known:
        return None
    place = (len(known) - 1) * Fraction(at)
    low, high = known[int(place)], known[min(int(place) + 1, len(known) - 1)]
    exact = low + (high - low) * (place - int(place))
    hundredths = int(abs(exact) * 100 + Fraction(1, 2))
    return to_digits(2, Decimal(hundredths if exact > 0 else -hundredths) / 100)


def to_digits(digits: int, number: Decimal | None) -> Decimal | None:
    """A number as Postgres rounds it."""
    return number if number is None else rounded(number.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP))


def test_why_deals_are_lost(sold: Sold) -> None:
    account, truth = sold
    spellings: dict[str, Counter[str]] = defaultdict(Counter)
    lost = [deal for deal in truth.deals if deal["status"] == "lost"]
    for deal in lost:
        if plain(reason_of(deal)):
            spellings[plain(reason_of(deal))][str(reason_of(deal)).strip()] += 1
    assert max(map(len, spellings.values())) > 2, "each reason has one spelling"
    best = {key: min(found, key=lambda text: (-found[text], text)) for key, found in spellings.items()}
    busy = {
        each["deal_id"] for each in truth.records["activities"] if each["done"] and not each["is_deleted"]
    }

    def key(deal: Row) -> tuple[Any, ...]:
        return (
            month(local_day(deal["close_time"])),
            best.get(plain(reason_of(deal))),
            *(deal[each] for each in ("pipeline_id", "stage_id", "owner_id", "currency")),
        )

    expected = {
        group: {
            "lost_count": len(deals),
            "without_activity_count": sum(deal["id"] not in busy for deal in deals),
            "lost_value": rounded(added_up(map(value, deals))),
            "reporting_lost_value": rounded(truth.dollars(deals, value)),
            "median_days_to_lose": rounded(
                middle(days_between(deal["add_time"], deal["close_time"]) for deal in deals)
            ),
        }
        for group, deals in grouped(lost, key).items()
    }
    assert {group[1] for group in expected} > {None}
    keys = ("lost_month", "lost_reason", "pipeline_id", "stage_id", "owner_id", "currency")
    assert read(account, "lost_reasons", keys, tuple(next(iter(expected.values())))) == expected


BANDS = (Decimal("-Infinity"), *map(Decimal, (1000, 5000, 20000, 100000)))


def segments(truth: Truth, items: dict[int, set[int | None]], deal: Row) -> Iterator[tuple[str, str | None]]:
    """Breakdowns of a deal, and its segments in them."""
    yield "all", None
    yield "channel", f"channel {deal['channel']}" if deal["channel"] else "unknown"
    yield "owner", str(deal["owner_id"])
    for label in deal["label_ids"] or [None]:
        yield "label", str(label) if label else None
    for product in items.get(deal["id"], {None}):
        yield "product", str(product) if product else None
    dollars = truth.converted(value(deal), deal["currency"], truth.day_of_rate(deal))
    yield "value_band", None if dollars is None else str(sum(dollars >= limit for limit in BANDS))


def test_how_long_sales_take(sold: Sold) -> None:
    account, truth = sold
    items: dict[int, set[int | None]] = defaultdict(set)
    for item in truth.records["deal_products"]:
        if item["is_enabled"] and "_sdc_deleted_at" not in item and item["product_id"]:
            items[item["deal_id"]].add(item["product_id"])
    found: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for deal in truth.deals:
        if deal["status"] in ("won", "lost"):
            for breakdown, segment in segments(truth, items, deal):
                key = (month(local_day(deal["close_time"])), deal["pipeline_id"], breakdown, segment)
                found[key].append(deal)
    expected = {}
    for key, deals in found.items():
        won = [deal for deal in deals if deal["status"] == "won"]
        lost = [deal for deal in deals if deal["status"] == "lost"]
        to_win = [days_between(deal["add_time"], deal["won_time"]) for deal in won]
        known = [number for number in to_win if number is not None]
        expected[key] = {
            "closed_count": len(deals),
            "won_count": len(won),
            "lost_count": len(lost),
            "win_rate": rounded(share(len(won), len(deals))),
            "timed_won_count": len(known),
            "total_days_to_win": sum(known) if known else None,
            "average_days_to_win": to_digits(2, Decimal(sum(known)) / len(known)) if known else None,
            "median_days_to_win": percentile(known, "0.5"),
            "slow_days_to_win": percentile(known, "0.9"),
            "median_days_to_lose": percentile(
                (days_between(deal["add_time"], deal["close_time"]) for deal in lost), "0.5"
            ),
        }
    keys = ("closed_month", "pipeline_id", "breakdown", "segment_key")
    assert read(account, "sales_cycle", keys, tuple(next(iter(expected.values())))) == expected
    named = account.query(
        "select distinct segment_key, segment from marts.sales_cycle where breakdown = 'product'"
    )
    names = {str(product["id"]): product["name"] for product in truth.records["products"]}
    in_deals = {segment for *_, breakdown, segment in expected if breakdown == "product"}
    assert set(named) == {(segment, names.get(str(segment))) for segment in in_deals}


def business_seconds(begin: datetime, end: datetime) -> float:
    """Seconds from nine to six on weekdays, where the company reports."""
    total = timedelta(0)
    for day in days(begin.astimezone(LOCAL).date(), end.astimezone(LOCAL).date()):
        opens, closes = (datetime.combine(day, time(hour), LOCAL) for hour in (9, 18))
        if day.weekday() < 5 and begin < closes and opens < end:
            total += min(end, closes) - max(begin, opens)
    return total.total_seconds()


def first_responses(truth: Truth) -> Iterator[Row]:
    """Each lead, and each deal of none, with the time until its first activity."""
    done: dict[tuple[str, Any], list[datetime]] = defaultdict(list)
    for activity in truth.records["activities"]:
        at = moment(activity["marked_as_done_time"])
        if activity["done"] and at and not activity["is_deleted"]:
            for key in ("deal_id", "lead_id"):
                done[key, activity[key]].append(at)
    known = {lead["id"] for lead in truth.records["leads"]}
    of_lead = grouped([deal for deal in truth.deals if deal["source_lead_id"] in known], source_lead)
    leads = [
        lead for lead in truth.records["leads"] if not lead.get("_sdc_deleted_at") or (lead["id"],) in of_lead
    ]
    deals = [deal for deal in truth.deals if deal["source_lead_id"] not in known]
    for kind, record in [*(("lead", lead) for lead in leads), *(("deal", deal) for deal in deals)]:
        created = moment(record["add_time"])
        assert created
        answers = list(done[f"{kind}_id", record["id"]])
        for deal in of_lead.get((record["id"],), []) if kind == "lead" else []:
            answers += done["deal_id", deal["id"]]
        first = min((at for at in answers if at >= created), default=None)
        in_time = business_seconds(created, first or truth.now) <= 4 * 3600
        yield {
            "key": f"{kind}-{record['id']}",
            "type": kind,
            "owner": record["owner_id"],
            "source": record.get("source_name") or record["origin"],
            "created": created.astimezone(LOCAL),
            "first": first,
            "response": (("in_time" if in_time else "late") if first else "waiting" if in_time else "missed"),
            "hours": hours((first - created).total_seconds()) if first else None,
            "business_hours": hours(business_seconds(created, first)) if first else None,
        }


def source_lead(deal: Row) -> tuple[str]:
    """The lead that a deal was."""
    return (deal["source_lead_id"],)


def hours(seconds: float) -> Decimal | None:
    """Seconds as hours with two digits."""
    return to_digits(2, Decimal(seconds) / 3600)


def test_how_soon_leads_and_deals_are_answered(sold: Sold) -> None:
    account, truth = sold
    responses = list(first_responses(truth))
    columns = ("response", "responded_at", "hours_to_response", "business_hours_to_response", "created_date")
    assert read(account, "fct_first_responses", ("first_response_id",), columns) == {
        (each["key"],): {
            "response": each["response"],
            "responded_at": each["first"],
            "hours_to_response": each["hours"],
            "business_hours_to_response": each["business_hours"],
            "created_date": each["created"].date(),
        }
        for each in responses
    }
    assert {each["response"] for each in responses} >= {"in_time", "late", "missed"}

    def key(each: Row) -> tuple[Any, ...]:
        created = each["created"]
        return month(created.date()), each["type"], each["owner"], each["source"], created.hour

    expected = {}
    for group, found in grouped(responses, key).items():
        count = Counter(each["response"] for each in found)
        due = len(found) - count["waiting"]
        expected[group] = {
            "record_count": len(found),
            "responded_count": sum(each["first"] is not None for each in found),
            **{f"{name}_count": count[name] for name in ("in_time", "late", "missed", "waiting")},
            "in_time_rate": rounded(share(count["in_time"], due)) if due else None,
            "median_hours": percentile((each["hours"] for each in found), "0.5"),
            "median_business_hours": percentile((each["business_hours"] for each in found), "0.5"),
        }
    keys = ("created_month", "record_type", "owner_id", "source", "created_hour")
    assert read(account, "lead_response", keys, tuple(next(iter(expected.values())))) == expected
