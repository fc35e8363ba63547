"""The sandbox's account in five currencies, with gaps in the rates, loaded for all sales marts."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest
from embedded_postgres.warehouse import Warehouse
from filelock import FileLock
from pipedrive_sandbox.data.generate import Dataset, generate
from pipedrive_sandbox.testing import NOW

from .conftest import TABLES, Account, Dbt

LOCAL = ZoneInfo("America/Sao_Paulo")
DAY = timedelta(days=1)
UNTIL = max(NOW, datetime.now(UTC)).date() + 2 * DAY
HEADERS = {
    "acquisition_costs": "month,crm,channel,amount,currency",
    "category_synonyms": "crm,entity,column_name,spelling,category",
    "exchange_rates": "rate_date,currency,reporting_currency,rate",
}
MARTS = (
    *("fct_deals", "fct_deal_products", "fct_notes", "headline_figures"),
    *("win_rate_by_owner", "forecast", "lead_conversion", "activity_performance", "lost_reasons"),
    *("sales_cycle", "lead_response", "recurring_revenue", "revenue_outlook"),
    *("goal_attainment", "team_performance", "mail_and_calls", "project_delivery"),
)
LOADED = (
    *("users", "pipelines", "stages", "persons", "organizations", "products", "activity_types", "currencies"),
    *("deals", "leads", "activities", "deal_products", "notes", "deal_installments", "roles", "goals"),
    *("call_logs", "mail_threads", "mail_messages", "projects", "project_boards", "project_phases", "tasks"),
)
Row = dict[str, Any]


def days(first: date, last: date) -> Iterator[date]:
    """Return all days from the first to the last."""
    return (first + DAY * number for number in range((last - first).days + 1))


def quoted_rates() -> dict[tuple[str, date], Decimal]:
    """Return rates: BRL on working days, EUR on Mondays except in July, JPY from 2026 on; none for PTS and
    USD.
    """
    rates = {}
    for number, day in enumerate(days(date(2023, 1, 1), UNTIL)):
        cents = Decimal(number % 97) / 1000
        if day.weekday() < 5:
            rates["BRL", day] = Decimal("0.15") + cents
        if day.weekday() == 0 and day.month != 7:
            rates["EUR", day] = Decimal("1.05") + cents
        if day.year >= 2026:
            rates["JPY", day] = Decimal("0.006")
    return rates


def moment(text: str | None) -> datetime | None:
    """Parse a time of the API."""
    return None if text is None else datetime.fromisoformat(text)


def local_day(text: str | None) -> date | None:
    """Return the day of a time in the company's time zone."""
    at = moment(text)
    return at and at.astimezone(LOCAL).date()


def month(day: date | None) -> date | None:
    """Return the first day of a day's month."""
    return day and day.replace(day=1)


def added_up(amounts: Iterable[Decimal | None]) -> Decimal | None:
    """Return the sum of the known amounts, or None if none is known."""
    known = [amount for amount in amounts if amount is not None]
    return sum(known, Decimal(0)) if known else None


def rounded(value: Any) -> Any:
    """Round numbers to six digits for comparing sums of products, each of which has ten."""
    return round(value, 6).normalize() if isinstance(value, Decimal) else value


def share(part: int, whole: int) -> Decimal:
    """Return a share with four digits."""
    return (Decimal(part) / whole).quantize(Decimal("0.0001"))


def middle(numbers: Iterable[int | None]) -> Decimal | None:
    """Return the median of the known numbers, or None if there is none."""
    known = [number for number in numbers if number is not None]
    return Decimal(str(median(known))) if known else None


def value(deal: Row) -> Decimal | None:
    """Return the amount of a deal."""
    return None if deal["value"] is None else Decimal(str(deal["value"]))


def days_between(earlier: str, later: str) -> int | None:
    """Return the full days between two times in order."""
    first, last = moment(earlier), moment(later)
    assert first
    assert last
    return (last - first) // DAY if first <= last else None


@dataclass
class Truth:
    """The records as the sandbox generated them, with figures computed from them."""

    records: dict[str, list[Row]]
    log: dict[int, list[Row]]
    """Changes by deal, oldest first."""
    rates: dict[tuple[str, date], Decimal]
    now: datetime

    @property
    def today(self) -> date:
        """Return the day of the build in the company's time zone."""
        return self.now.astimezone(LOCAL).date()

    def converted(self, amount: Decimal | None, currency: str, day: date) -> Decimal | None:
        """Return an amount in US dollars at the last rate that is less than a week old."""
        if amount is None or not amount or currency == "USD":
            return amount
        for age in range(7):
            if (currency, day - DAY * age) in self.rates:
                return amount * self.rates[currency, day - DAY * age]
        return None

    def day_of_rate(self, deal: Row) -> date:
        """Return the day whose rate converts the deal."""
        closed = None if deal["status"] == "open" else local_day(deal["close_time"])
        return min(closed or self.today, self.today)

    def dollars(self, deals: list[Row], of: Callable[[Row], Decimal | None]) -> Decimal | None:
        """Return the sum of deals in dollars, if all of them can be converted."""
        valued = [deal for deal in deals if of(deal) is not None]
        amounts = [self.converted(of(deal), deal["currency"], self.day_of_rate(deal)) for deal in valued]
        return None if None in amounts else added_up(amounts)

    def weighted(self, deal: Row) -> Decimal | None:
        """Return the amount of an open deal times its probability of winning."""
        stages = {stage["id"]: stage["deal_probability"] for stage in self.records["stages"]}
        weighs = {line["id"]: line["is_deal_probability_enabled"] for line in self.records["pipelines"]}
        of_stage = stages[deal["stage_id"]] if weighs[deal["pipeline_id"]] else 100
        chance = of_stage if deal["probability"] is None else deal["probability"]
        amount = value(deal)
        return None if amount is None else amount * Decimal(chance) / 100

    @property
    def deals(self) -> list[Row]:
        """Return the deals that are not deleted."""
        return [deal for deal in self.records["deals"] if deal["status"] != "deleted"]


class Sold(NamedTuple):
    """The account after a build, with the data that it was built from."""

    account: Account
    truth: Truth


def made() -> Dataset:
    """Make the account; a third of the converted leads were loaded before their conversion."""
    dataset = generate(700, 1, NOW)
    records = dataset.records
    converted = [deal for deal in records["deals"] if deal["source_lead_id"]]
    for deal in converted[::3]:
        created = moment(deal["add_time"])
        assert created
        records["leads"].append(
            records["leads"][0]
            | {
                "id": deal["source_lead_id"],
                "is_archived": False,
                "channel": 5,
                "add_time": (created - timedelta(days=40, hours=deal["id"] % 50)).isoformat(),
                "_sdc_deleted_at": created.isoformat(),
            }
        )
    records["leads"][1]["_sdc_deleted_at"] = NOW.isoformat()
    records["deal_products"][0]["currency"] = "GBP"
    records["deal_products"][1]["is_enabled"] = False
    records["deal_products"][2]["_sdc_deleted_at"] = NOW.isoformat()
    # a customer that left and came back
    won = {deal["id"] for deal in records["deals"] if deal["status"] == "won"}
    item = next(each for each in records["deal_products"] if each["deal_id"] in won and each["is_enabled"])
    item |= {
        "billing_frequency": "monthly",
        "billing_frequency_cycles": 3,
        "billing_start_date": "2025-03-31",
    }
    again = {"id": len(records["deal_products"]) + 1, "billing_start_date": "2026-02-01", "product_id": None}
    records["deal_products"].append(item | again)
    return dataset


def load(account: Account, dataset: Dataset) -> None:
    """Fill the raw tables."""
    for table in LOADED:
        rows = (as_loaded(record, table) for record in dataset.records[table])
        account.insert(table, *rows)
    account.insert("deal_changes", *log_of(dataset))
    account.insert(
        "field_options",
        *(
            {
                "entity": "deal",
                "field_code": "channel",
                "option_id": str(number),
                "label": f"Channel {number}",
            }
            for number in range(1, 6)
        ),
    )


def log_of(dataset: Dataset) -> Iterator[Row]:
    """Return the change logs of deals as rows of their raw table."""
    columns = TABLES["deal_changes"].entity.columns()
    for deal_id, log in dataset.changes["deals"].items():
        for sequence, change in enumerate(log):
            yield {
                "change_id": f"{deal_id}.{sequence}",
                "deal_id": deal_id,
                "sequence": sequence,
                "time": str(change["time"]).rstrip("Z"),
            } | {name: change[name] for name in columns if name in change and name != "time"}


def as_loaded(record: Row, table: str) -> Row:
    """Return a record as a row of its raw table."""

    def stored(field: Any) -> Any:
        if isinstance(field, datetime):
            return field.replace(tzinfo=None)  # times are in UTC
        return field.replace("\0", "") if isinstance(field, str) else field

    exact = {key: Decimal(str(field)) if isinstance(field, float) else field for key, field in record.items()}
    entity = TABLES[table].entity
    row = dict(entity.model_validate(entity.prepare(exact)))
    row |= {key: record[key] for key in ("_sdc_deleted_at",) if key in record}
    return {key: stored(field) for key, field in row.items()}


def write_seeds(folder: Path, rates: dict[tuple[str, date], Decimal]) -> None:
    """Write the rates, and empty files for the other seeds."""
    quoted = [f"{day},{currency},USD,{rate}" for (currency, day), rate in rates.items()]
    for name, header in HEADERS.items():
        rows = quoted if name == "exchange_rates" else []
        Path(folder / f"{name}.csv").write_text("\n".join([header, *rows, ""]))


def build(account: Account, seeds: Path) -> datetime:
    """Build the marts, and return the time at which the build began."""
    run = account.dbt(
        "build",
        *("--select", *(f"+{mart}" for mart in MARTS), "--resource-type", "seed", "--resource-type", "model"),
        SEEDS=str(seeds),
        REPORTING_CURRENCY="usd",
        REPORTING_TIMEZONE=LOCAL.key,
    )
    assert run.returncode == 0, run.stdout
    results = json.loads((account.target / "run_results.json").read_text())
    return datetime.fromisoformat(results["metadata"]["invocation_started_at"])


@pytest.fixture(scope="session")
def sold(warehouse: Warehouse, dbt: Dbt, run_folder: Path) -> Sold:
    """The account, loaded and modelled; tests only read it. The first process makes it for all."""
    folder, began = run_folder / "sold", run_folder / "sold.txt"
    dataset, rates = made(), quoted_rates()
    with FileLock(run_folder / "sold.lock"):
        if not began.exists():
            seeds = folder / "seeds"
            seeds.mkdir(parents=True)
            write_seeds(seeds, rates)
            first = Account(warehouse.create_database("sold"), folder, dbt)
            first.create_raw_tables({})
            load(first, dataset)
            began.write_text(f"{first.url} {build(first, seeds).isoformat()}")
    url, now = began.read_text().split()
    truth = Truth(dataset.records, dataset.changes["deals"], rates, datetime.fromisoformat(now))
    return Sold(Account(url, folder, dbt), truth)


def read(account: Account, mart: str, keys: tuple[str, ...], columns: tuple[str, ...]) -> dict[Any, Row]:
    """Return rows of a mart by its grain."""
    rows = account.query(f"select {', '.join(keys + columns)} from marts.{mart}")
    table = {
        row[: len(keys)]: dict(zip(columns, map(rounded, row[len(keys) :]), strict=True)) for row in rows
    }
    assert len(table) == len(rows)
    return table


def grouped(rows: Iterable[Row], key: Callable[[Row], tuple[Any, ...]]) -> dict[tuple[Any, ...], list[Row]]:
    """Return rows by their key."""
    groups = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return groups
