"""What the source itself says there is: counts, the newest row of a list, and some rows once more.

A check costs few tokens and is made at most once a day by default (setting `source_checks`). It changes no
bookmark. What it means is for the warehouse to say, which alone has the rows: see `load_completeness`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from random import Random
from typing import Any, ClassVar

from tap_pipedrive.client import Request
from tap_pipedrive.errors import PipedriveError
from tap_pipedrive.http_listing import MOST_IDS
from tap_pipedrive.rows import Row
from tap_pipedrive.settings import Settings
from tap_pipedrive.source import Checkpoint, Listing, Page, Source
from tap_pipedrive.statement import Statement
from tap_pipedrive.table import Table
from tap_pipedrive.values import changed_at, clean_integer, rfc3339

SOURCE_COUNTS, SOURCE_SAMPLES = "source_counts", "source_samples"
"""Names of the streams of checks."""

CHECKED_ON = "checked_on"
"""Key in the state of the day of the last checks."""

CHECKS = {SOURCE_COUNTS, SOURCE_SAMPLES}

ALL = "all"
"""The currency of a figure that is not about money."""

SAMPLE = MOST_IDS
"""Ids of a sample."""

SAMPLED_A_DAY = 2
"""Lists of which a sample is read again in one check; the others have their turn on other days."""


@dataclass(frozen=True)
class CheckListing(Listing):
    """A question about one stream, asked when a check is due and the stream has been read to its end."""

    of: str
    """The stream that is checked."""

    path: str
    price: int
    params: Mapping[str, str] = field(default_factory=dict)
    needs: frozenset[str] = frozenset()
    """Columns without which nobody could compare the answer."""

    can_prefetch: ClassVar[bool] = False
    effort: ClassVar[int] = 5

    @property
    def name(self) -> str:  # type: ignore[override]
        """The stream and the kind of the question."""
        return f"{self.of}, {type(self).__name__.removesuffix('Listing').lower()}"

    def pages(
        self, source: Source, *, since: datetime | None = None, checkpoint: Checkpoint
    ) -> Iterator[Page]:
        """Yield one page with what the source says, or none when nobody can compare it."""
        checks = source.run.checks
        read_up_to = checks.read_up_to(self.of)
        if read_up_to is None or not checks.is_due() or not checks.is_comparable(self.of, self.needs):
            return
        rows, served_at = self.answer(source, read_up_to)
        head = {"run_id": checks.run_id, "stream": self.of, "asked_at": served_at and rfc3339(served_at)}
        yield Page(partial(list, [head | row for row in rows]), {}, served_at)

    def answer(self, source: Source, read_up_to: datetime) -> tuple[list[dict[str, Any]], datetime | None]:
        """Return the rows, and when the source said so."""
        raise NotImplementedError

    def _ask(self, source: Source, **params: str | int) -> tuple[Any, datetime | None]:
        asked = Request(self.path, {**self.params, **params}, {}, self.price, source.stream)
        answer = source.client.get(asked)
        return answer.data, answer.served_at


@dataclass(frozen=True)
class SummaryListing(CheckListing):
    """How many deals there are, and what they are worth, by currency; archived ones are not counted."""

    def answer(self, source: Source, read_up_to: datetime) -> tuple[list[dict[str, Any]], datetime | None]:
        """Return the count of all deals, and count and value by currency."""
        data, served_at = self._ask(source)
        if not isinstance(data, dict):
            raise PipedriveError(f"GET {self.path} answered no object: report this line.")
        rows = [{"figure": "count", "currency": ALL, "value": data.get("total_count")}]
        totals = data.get("values_total")
        for currency, total in totals.items() if isinstance(totals, dict) else ():
            for figure in ("count", "value"):
                if isinstance(total, dict):
                    rows.append({"figure": figure, "currency": str(currency), "value": total.get(figure)})
        return rows, served_at


@dataclass(frozen=True)
class ChangedListing(CheckListing):
    """How many rows of a list have changed since it was read: with none, counts have to agree."""

    def answer(self, source: Source, read_up_to: datetime) -> tuple[list[dict[str, Any]], datetime | None]:
        """Return the number of rows on the first page of changes."""
        since = rfc3339(read_up_to)
        data, served_at = self._ask(source, updated_since=since, limit=500)
        count = len(data) if isinstance(data, list) else 0
        return [{"figure": "changed", "currency": ALL, "value": count}], served_at


@dataclass(frozen=True)
class NewestListing(CheckListing):
    """The row with the highest id."""

    def answer(self, source: Source, read_up_to: datetime) -> tuple[list[dict[str, Any]], datetime | None]:
        """Return that id, and when the row was added."""
        data, served_at = self._ask(source, sort_by="id", sort_direction="desc", limit=1)
        row = data[0] if isinstance(data, list) and data and isinstance(data[0], dict) else {}
        highest = whole(row.get("id"))
        source.run.checks.highest_ids[self.of] = highest or 0
        added = changed_at(row, "add_time")  # a text that is no time is rejected with its row, not here again
        found = {
            "figure": "highest_id",
            "currency": ALL,
            "value": highest,
            "moment": added and rfc3339(added),
        }
        return [found] if highest else [], served_at


@dataclass(frozen=True)
class SampleListing(CheckListing):
    """Some rows read again: those that exist of ids drawn between 1 and the highest."""

    def answer(self, source: Source, read_up_to: datetime) -> tuple[list[dict[str, Any]], datetime | None]:
        """Return the rows as the stream would write them; none where it is not this list's turn."""
        checks = source.run.checks
        highest = checks.highest_ids.get(self.of)
        if not highest or not is_turn(self.of, read_up_to):
            return [], None
        ids = drawn(checks.run_id + self.of, highest)
        data, served_at = self._ask(source, ids=",".join(map(str, ids)), limit=SAMPLE)
        records = [row for row in data if isinstance(row, dict)] if isinstance(data, list) else []
        return [
            {
                "record_id": row["id"],
                "content": row,
                "update_time": row["update_time"] and rfc3339(row["update_time"]),
            }
            for row in checks.rows_as_written(self.of, records)
        ], served_at


class Checks:
    """What the checks of one run share."""

    def __init__(
        self,
        statement: Statement,
        tables: Callable[[], Mapping[str, Table]],
        settings: Settings,
        now: Callable[[], datetime | None],
    ) -> None:
        """`now`: returns Pipedrive's clock, if it is known."""
        self.run_id = statement.run_id
        self.highest_ids: dict[str, int] = {}
        self._readings = statement.readings
        self._tables = tables
        self._setting = settings.source_checks
        self._now = now
        self._is_due: bool | None = None

    def is_due(self) -> bool:
        """Return whether this run makes its checks; by default it is the first of a day by Pipedrive's clock."""
        if self._is_due is None:
            now = self._now() or datetime.now(UTC)
            state = self._tables()[SOURCE_COUNTS].stream_state
            today = now.date().isoformat()
            self._is_due = self._setting == "each" or (
                self._setting == "daily" and state.get(CHECKED_ON) != today
            )
            if self._is_due:
                state[CHECKED_ON] = today
        return self._is_due

    def read_up_to(self, stream: str) -> datetime | None:
        """Return up to when this run has read a stream; None unless it has read it to its end."""
        reading = self._readings.get(stream)
        return reading.read_up_to if reading else None

    def is_comparable(self, stream: str, columns: Set[str]) -> bool:
        """Return whether the rows of a stream are written as they are, with these columns."""
        table = self._tables()[stream]
        is_masked = any(table.row_mask.hides(column, table.custom_fields) for column in columns)
        return table.is_plain and not is_masked and not columns & table.deselected

    def rows_as_written(self, stream: str, records: Sequence[Any]) -> list[Row]:
        """Return records of the API as rows of a stream; none where stream maps change them."""
        return self._tables()[stream].rows_as_written(records)


def drawn(seed: str, highest: int) -> list[int]:
    """Return SAMPLE different ids from 1 to the highest, or all of them, in order."""
    chance = Random(seed)  # noqa: S311  a sample is no secret
    return sorted(chance.sample(range(1, highest + 1), min(SAMPLE, highest)))


SAMPLED: Sequence[str] = ("deals", "persons", "organizations", "activities", "products")
"""The streams of which samples are read again."""


def is_turn(stream: str, moment: datetime) -> bool:
    """Return whether a stream is sampled on this day."""
    first = moment.toordinal() * SAMPLED_A_DAY
    return stream in {SAMPLED[(first + place) % len(SAMPLED)] for place in range(SAMPLED_A_DAY)}


def whole(value: Any) -> int | None:
    """Return a whole number, or None for anything else."""
    try:
        return clean_integer(value)
    except ValueError:
        return None
