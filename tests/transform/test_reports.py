"""The reports about deals, compared as wholes with what the account's records say."""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from typing import Any

from .sold import (
    Row,
    Sold,
    added_up,
    days_between,
    grouped,
    local_day,
    middle,
    month,
    read,
    rounded,
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
