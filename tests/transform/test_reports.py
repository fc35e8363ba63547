"""The reports about deals, compared as wholes with what the account's records say."""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from .sold import (
    Row,
    Sold,
    Truth,
    added_up,
    days_between,
    grouped,
    local_day,
    middle,
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


def percentile(numbers: Iterable[float | None], at: float) -> Decimal | None:
    """A percentile between the two nearest numbers, with two digits."""
    known = sorted(number for number in numbers if number is not None)
    if not known:
        return None
    place = (len(known) - 1) * at
    low, high = known[int(place)], known[min(int(place) + 1, len(known) - 1)]
    return to_digits(2, Decimal(low + (high - low) * (place - int(place))))


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
        if item["is_enabled"] and "_sdc_deleted_at" not in item:
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
            "median_days_to_win": percentile(known, 0.5),
            "slow_days_to_win": percentile(known, 0.9),
            "median_days_to_lose": percentile(
                (days_between(deal["add_time"], deal["close_time"]) for deal in lost), 0.5
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
