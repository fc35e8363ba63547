"""What an account sold, told by its generated records: duplicates merged, amounts by rates that are made up."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from pipedrive_sandbox.generate import Dataset

HERE = ZoneInfo("Pacific/Auckland")
"""Where the company is: so far from UTC that many a month is another one."""

FIRST_RATE, LAST_RATE = date(2025, 1, 1), date(2026, 11, 30)
"""Days of which `rate` is known: some deals are won before."""


class Sale(NamedTuple):
    """A won deal."""

    won_at: datetime
    born_at: datetime
    deal_id: int
    customer: str
    channel: str
    currency: str
    value: Decimal

    @property
    def day(self) -> date:
        """The day it was won, where the company is."""
        return self.won_at.astimezone(HERE).date()

    @property
    def converted(self) -> Decimal | None:
        """Its value in US dollars."""
        return convert(self.value, self.currency, self.day)


def rate(currency: str, day: date) -> Decimal | None:
    """A rate into US dollars that differs from day to day."""
    if currency not in ("BRL", "EUR") or not FIRST_RATE <= day <= LAST_RATE:
        return None
    return Decimal(100 + day.toordinal() % 37) / (500 if currency == "BRL" else 100)


def convert(amount: Decimal, currency: str, day: date) -> Decimal | None:
    """An amount of a day in US dollars."""
    known = Decimal(1) if currency == "USD" else rate(currency, day)
    return None if known is None else amount * known


def total(amounts: Iterable[Decimal | None]) -> Decimal | None:
    """Their sum, unless one is missing."""
    known = list(amounts)
    return None if None in known else sum((amount for amount in known if amount is not None), Decimal(0))


def month_of(day: date) -> date:
    """The first day of its month."""
    return day.replace(day=1)


def grouped(items: Iterable[Any], key: Callable[[Any], Any]) -> dict[Any, list[Any]]:
    """The items by key, in order."""
    groups = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return groups


def canonical(data: Dataset, trouble: str) -> dict[int, int]:
    """The id that stands for each duplicate."""
    groups = data.manifest["troubles"][trouble]["groups"]
    return {id_: min(group) for group in groups for id_ in group}


def customers(data: Dataset) -> Callable[[dict[str, Any]], str]:
    """Tells whose a deal is."""
    organizations = canonical(data, "duplicate_organizations")
    persons = canonical(data, "duplicate_persons")

    def customer(deal: dict[str, Any]) -> str:
        if deal["org_id"]:
            return f"pipedrive-organization-{organizations.get(deal['org_id'], deal['org_id'])}"
        return f"pipedrive-person-{persons.get(deal['person_id'], deal['person_id'])}"

    return customer


def won(data: Dataset) -> Iterator[Sale]:
    """The won deals that are not deleted."""
    customer = customers(data)
    (field,) = (field for field in data.fields["deal"] if field["field_code"] == "channel")
    channels = {option["id"]: option["label"].lower() for option in field["options"]}
    for deal in data.records["deals"]:
        if deal["status"] == "won":
            yield Sale(
                datetime.fromisoformat(deal["won_time"]),
                datetime.fromisoformat(deal["add_time"]),
                deal["id"],
                customer(deal),
                channels.get(deal["channel"], "unknown"),
                deal["currency"],
                Decimal(str(deal["value"])),
            )
