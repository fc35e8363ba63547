"""Reads the content of the review from the marts."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple
from zoneinfo import ZoneInfo

import psycopg
import yaml
from psycopg.rows import dict_row

from analyze import as_of
from analyze.definitions import Strict, Text

STREAMS = ("deals", "deal_changes", "activities", "organizations", "persons", "users")
"""Streams of Pipedrive behind the review's figures."""

Record = Mapping[str, Any]
Language = Literal["en", "pt"]


class Column(Strict):
    """A column of a section."""

    label: Text
    format: Literal["text", "integer", "money", "date", "words", "record"] = "text"


class Section(Strict):
    """A kind of action to take."""

    name: str
    title: Text
    about: Text
    columns: dict[str, Column]
    sql: str


class StepKind(Strict):
    """A way in which the pipeline's value changes."""

    name: str
    label: Text
    movements: tuple[str, ...]
    always: bool = False


class Definitions(Strict):
    """The content of `review.yml`."""

    movement: str
    steps: tuple[StepKind, ...]
    sections: tuple[Section, ...]
    words: dict[str, Text]


@cache
def definitions() -> Definitions:
    """Return the questions and texts of the review. Raises pydantic.ValidationError, which names the mistake."""
    return Definitions.model_validate(yaml.safe_load(Path(__file__).with_name("review.yml").read_text()))


class Week(NamedTuple):
    """The last complete week before a day."""

    first: date
    """A Monday."""
    last: date
    """The Sunday at the end of the week."""
    today: date
    timezone: str
    """Where days begin."""


def week_before(now: datetime, timezone: str) -> Week:
    """Return the last complete week from Monday to Sunday in the company's time zone."""
    today = now.astimezone(ZoneInfo(timezone)).date()
    last = today - timedelta(days=today.weekday() + 1)
    return Week(last - timedelta(days=6), last, today, timezone)


class Step(NamedTuple):
    """A step of the bridge from the pipeline's value before the week to that after it."""

    name: str
    label: Text
    deals: int
    """The deals added minus those removed; for a step without either, the deals that changed."""
    value: Decimal
    start: Decimal
    """The value of the pipeline before the step; 0 for the first and the last."""
    is_total: bool = False
    is_revaluation: bool = False
    """Whether deals changed their value, and none were added or removed."""


class Bridge(NamedTuple):
    """The movements in one currency."""

    currency: str | None
    steps: tuple[Step, ...]
    has_moved: bool


class Todo(NamedTuple):
    """A section with its records by owner; None stands for records without an owner."""

    section: Section
    by_owner: dict[str | None, list[Record]]

    @property
    def size(self) -> int:
        """Return the number of records."""
        return sum(map(len, self.by_owner.values()))


class Review(NamedTuple):
    """The content of the review."""

    week: Week
    completeness: Text
    """The sentence on how complete the data are."""
    complete_as_of: datetime | None
    """The time as of which the data are complete; None if it is unknown."""
    bridges: tuple[Bridge, ...]
    todos: tuple[Todo, ...]

    @property
    def is_outdated(self) -> bool:
        """Return whether the data are complete as of a moment before the end of the week only."""
        end = datetime.combine(self.week.last, time(), ZoneInfo(self.week.timezone)) + timedelta(days=1)
        return self.complete_as_of is not None and self.complete_as_of < end

    @property
    def owners(self) -> list[str | None]:
        """Return the owners with something to do by name, records without an owner last."""
        found = {owner for todo in self.todos for owner in todo.by_owner}
        return sorted(found, key=lambda owner: (owner is None, (owner or "").casefold(), owner or ""))


def gather(connection: psycopg.Connection, week: Week) -> Review:
    """Read the content from the marts.

    Args:
        connection: A connection to the warehouse.
        week: The week to review.

    Raises:
        psycopg.Error: A mart is missing, or a query fails.
    """
    (said,) = _rows(connection, as_of.rows_of(STREAMS).sql, week)
    moment = said["complete_as_of"]
    return Review(
        week,
        Text(en=said["en"], pt=said["pt"]),
        moment.replace(tzinfo=UTC) if moment else None,
        _bridges(_rows(connection, definitions().movement, week)),
        tuple(Todo(each, _by_owner(_rows(connection, each.sql, week))) for each in definitions().sections),
    )


def _rows(connection: psycopg.Connection, sql: str, week: Week) -> list[Record]:
    with connection.cursor(row_factory=dict_row) as cursor:
        return list(cursor.execute(sql.encode(), week._asdict()).fetchall())


def _by_owner(rows: list[Record]) -> dict[str | None, list[Record]]:
    found: dict[str | None, list[Record]] = {}
    for row in rows:
        found.setdefault(row["owner"], []).append(row)
    return found


def _bridges(rows: list[Record]) -> tuple[Bridge, ...]:
    """Return a bridge for each currency that has or had open deals, the one with the most deals first."""
    currencies: dict[str | None, list[Record]] = {}
    for row in rows:
        currencies.setdefault(row["currency"], []).append(row)
    found = [_bridge(currency, movements) for currency, movements in currencies.items()]
    shown = [each for each in found if each.has_moved or each.steps[0].deals]
    return tuple(sorted(shown, key=lambda each: (-each.steps[-1].deals, each.currency or "~")))


def _bridge(currency: str | None, movements: list[Record]) -> Bridge:
    by_name = {each["movement"]: each for each in movements}
    deals = int(sum(each["deals_before"] or 0 for each in movements))
    value = sum((each["value_before"] or Decimal(0) for each in movements), Decimal(0))
    words = definitions().words
    steps = [Step("opening", words["opening"], deals, value, Decimal(0), is_total=True)]
    has_moved = False
    for kind in definitions().steps:
        rows = [by_name[name] for name in kind.movements if name in by_name]
        change = sum((row["value"] or Decimal(0) for row in rows), Decimal(0))
        came = int(sum(row["deals"] or 0 for row in rows))
        changed = int(sum(row["movements"] or 0 for row in rows))
        if kind.always or change or came:
            is_revaluation = kind.name == "value_changed"
            count = changed if is_revaluation else came
            steps.append(Step(kind.name, kind.label, count, change, value, is_revaluation=is_revaluation))
        has_moved = has_moved or bool(changed)
        deals, value = deals + came, value + change
    closing = Step("closing", words["closing"], deals, value, Decimal(0), is_total=True)
    return Bridge(currency, (*steps, closing), has_moved)
