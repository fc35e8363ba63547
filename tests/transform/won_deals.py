"""Sales of the accounts, from their generated records, with merged duplicates and invented rates."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from pipedrive_sandbox.data.generate import Dataset
from pipedrive_sandbox.hubspot.portal import Portal

HERE = ZoneInfo("Pacific/Auckland")
"""The company's time zone, so far from UTC that many deals fall into another month."""

FIRST_RATE, SAME_RATE = date(2025, 1, 1), date(2026, 11, 1)
"""The first day that has a `rate`, as some deals were won earlier, and the day since which the rate is the same,
so that the day of the build, which converts what is won in the future, makes no difference."""

Groups = list[list[int]]


class Deal(NamedTuple):
    """A deal of a customer that is not deleted."""

    won_at: datetime
    """When the deal was won, or None."""
    born_at: datetime
    deal_id: int
    crm: str
    customer: str
    record: str
    """The organization, person, company or contact before duplicates are merged."""
    channel: str
    currency: str
    value: Decimal
    is_open: bool
    is_won: bool

    @property
    def day(self) -> date:
        """Return the day on which it was won in the company's time zone."""
        return self.won_at.astimezone(HERE).date()

    @property
    def month(self) -> date:
        """Return the first day of the month in which it was won."""
        return month_of(self.day)

    @property
    def converted(self) -> Decimal | None:
        """Return its value in US dollars."""
        return convert(self.value, self.currency, self.day)


def rate(currency: str, day: date) -> Decimal | None:
    """Return a rate into US dollars that differs from day to day."""
    if currency not in ("BRL", "EUR") or day < FIRST_RATE:
        return None
    return Decimal(100 + min(day, SAME_RATE).toordinal() % 37) / (500 if currency == "BRL" else 100)


def convert(amount: Decimal, currency: str, day: date) -> Decimal | None:
    """Return an amount of a day in US dollars; None stays None."""
    known = Decimal(1) if currency == "USD" or not amount else rate(currency, day)
    return None if known is None else amount * known


def total(amounts: Iterable[Decimal | None]) -> Decimal | None:
    """Return the sum, or None if an amount is missing."""
    known = list(amounts)
    return None if None in known else sum((amount for amount in known if amount is not None), Decimal(0))


def month_of(day: date) -> date:
    """Return the first day of its month."""
    return day.replace(day=1)


def grouped(items: Iterable[Any], key: Callable[[Any], Any]) -> dict[Any, list[Any]]:
    """Return the items by key, in order."""
    groups = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return groups


def canonical(groups: Groups) -> dict[int, int]:
    """Return the id that represents each duplicate."""
    return {id_: min(group) for group in groups for id_ in group}


def pipedrive_deals(data: Dataset) -> Iterator[Deal]:
    """Return the deals of a Pipedrive account."""
    troubles = data.manifest["troubles"]
    organizations = canonical(troubles["duplicate_organizations"]["groups"])
    persons = canonical(troubles["duplicate_persons"]["groups"])
    (field,) = (field for field in data.fields["deal"] if field["field_code"] == "channel")
    channels = {option["id"]: option["label"].lower() for option in field["options"]}
    employers = {person["id"]: person["org_id"] for person in data.records["persons"]}
    for deal in data.records["deals"]:
        won_at = deal["won_time"] or deal["close_time"] or deal["add_time"]
        if deal["is_deleted"]:
            continue
        if company := deal["org_id"] or employers.get(deal["person_id"]):
            kind, id_, same = "pipedrive-organization", company, organizations
        else:
            kind, id_, same = "pipedrive-person", deal["person_id"], persons
        yield Deal(
            datetime.fromisoformat(won_at),
            datetime.fromisoformat(deal["add_time"]),
            deal["id"],
            "pipedrive",
            f"{kind}-{same.get(id_, id_)}",
            f"{kind}-{id_}",
            channels.get(deal["channel"], "unknown"),
            deal["currency"],
            Decimal(str(deal["value"] or 0)),
            deal["status"] == "open" and not deal["is_archived"],
            deal["status"] == "won",
        )


def hubspot_deals(portal: Portal, manifest: dict[str, Any]) -> Iterator[Deal]:
    """Return the deals of a HubSpot account; customers are found by association or by a unique address."""
    companies = canonical(manifest["troubles"]["duplicate_companies"]["groups"])
    contacts = canonical(manifest["troubles"]["duplicate_contacts"]["groups"])
    by_domain = alone(portal, "companies", "domain")
    by_email = alone(portal, "contacts", "email")
    for deal in portal.truth("deals"):
        values, others = deal["properties"], deal["associations"]
        company = next(map(int, others.get("companies", [])), by_domain.get(values["company_domain"]))
        contact = next(map(int, others.get("contacts", [])), by_email.get(values["contact_email"]))
        kind, id_, same = (
            ("hubspot-company", company, companies) if company else ("hubspot-contact", contact, contacts)
        )
        if id_ is None:
            continue
        yield Deal(
            datetime.fromisoformat(values["closedate"]),
            datetime.fromisoformat(values["createdate"]),
            int(deal["id"]),
            "hubspot",
            f"{kind}-{same.get(id_, id_)}",
            f"{kind}-{id_}",
            values["hs_analytics_source"].lower(),
            values["deal_currency_code"],
            Decimal(values["amount"] or 0),
            values["hs_is_closed"] == "false",
            values["hs_is_closed_won"] == "true",
        )


def alone(portal: Portal, kind: str, address: str) -> dict[str | None, int]:
    """Return records by an address that no other record has."""
    rows = portal.truth(kind)
    shared = Counter(row["properties"][address] for row in rows)
    return {
        row["properties"][address]: int(row["id"]) for row in rows if shared[row["properties"][address]] == 1
    }
