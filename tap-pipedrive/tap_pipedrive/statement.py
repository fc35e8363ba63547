"""What a run says of itself: one row of the stream `run_statements` for each stream that it was asked to read.

A statement says what was read and sent. What has arrived in the warehouse, only the warehouse can say.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from secrets import token_hex
from typing import Any, NamedTuple

from tap_pipedrive.client import Client
from tap_pipedrive.errors import BudgetSpent, PipedriveError
from tap_pipedrive.rows import Row
from tap_pipedrive.source import Listing
from tap_pipedrive.values import clean_integer, clean_text

RUN_STATEMENTS = "run_statements"
"""Name of the stream of statements."""

BEGAN = "began"
"""Key in the state of the run that has not written its statement yet."""

NAMED = 5
"""Streams or parents that a sentence names; the statement has them all."""


class Reason(StrEnum):
    """Why a stream is not read to its end."""

    BUDGET = "budget"
    """The API tokens did not suffice: the next run goes on."""

    PLAN = "plan"
    """The plan or its add-ons do not cover a stream that never had rows."""

    RIGHTS = "rights"
    """The token's rights do not cover a stream that never had rows."""

    REFUSED = "refused"
    """The API refuses a stream that had rows."""

    UNREAD = "unread"
    """Some of the parents that the stream's rows belong to do not answer, or some records cannot be read or have
    no key."""

    FAILED = "failed"
    """An error ended the reading."""


MISSING = {Reason.REFUSED, Reason.FAILED}
"""Reasons that make a whole list missing."""


class Owner(NamedTuple):
    """Whose token it is."""

    company_id: int | None = None
    company_name: str | None = None

    @classmethod
    def of(cls, me: Mapping[str, Any]) -> "Owner":
        """Read the answer of GET /api/v1/users/me."""
        try:
            return cls(clean_integer(me.get("company_id")), clean_text(me.get("company_name")))
        except ValueError:
            return cls()


@dataclass
class Reading:
    """How one stream was read in this run."""

    stream: str
    method: str
    """How the stream is read: `whole`, `changes`, `first_load`, `reconcile`, or not at all: `kept`."""

    api_version: str = ""
    is_over: bool = False
    """Whether the stream had its turn."""

    is_starved: bool = False
    """Whether the tokens ended before its first page."""

    rows_sent: int = 0
    values_rejected: int = 0
    records_lost: int = 0
    """Records that could not be read, or become rows, since the stream was last read from beginning to end, or
    whose parents could not."""

    is_mapped: bool = False
    """Whether the user's stream maps change or leave out rows."""

    read_up_to: datetime | None = None
    """All changes before this moment of Pipedrive's clock have been read; None unless the reading is complete."""

    due_at: datetime | None = None
    """When what is read by age is to be read again; None where each run reads everything."""

    last_row_at: datetime | None = None
    """`time_extracted` of the last row that was sent, by the host's clock."""

    last_complete_pass: datetime | None = None
    reason: Reason | None = None
    error: BaseException | None = None
    """What ended the reading."""

    left_count: int | None = None
    """Parents for which the tokens did not suffice, where that is known."""

    runs_left: int | None = None
    """How many runs like this one they take, about."""

    days_left: int | None = None
    """How many days they take, about, where the tokens of a day are what keeps them waiting."""

    unread: Sequence[int] = ()
    """Parents that did not answer, in this run or in earlier ones."""

    unread_detail: str | None = None

    def leave(self, reason: Reason, error: BaseException) -> None:
        """Note why the stream is not read to its end; the first reason stays."""
        if self.reason is None:
            self.reason, self.error, self.read_up_to = reason, error, None

    @property
    def wait(self) -> str:
        """How much is left and how long it takes, in words; empty where nobody knows."""
        if not self.left_count:
            return ""
        number, unit = (self.runs_left, "more run") if self.days_left is None else (self.days_left, "day")
        return f" ({self.left_count:,} records, done in about {number:,} {unit}{'s' * (number != 1)})"

    @property
    def detail(self) -> str | None:
        """Why something is left undone, in a sentence."""
        if self.error is None:
            lost = (
                f"{self.records_lost:,} records cannot be read, or have no usable key: look at the log and at "
                "rejected_values."
            )
            return " ".join(filter(None, [self.unread_detail, lost if self.records_lost else None])) or None
        # The text of other errors may quote rows.
        return str(self.error) if isinstance(self.error, PipedriveError) else type(self.error).__name__


class Statement:
    """What a run says of itself."""

    def __init__(self) -> None:
        self.run_id = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{token_hex(4)}"  # sorts by time
        self.owner = Owner()
        self.readings: dict[str, Reading] = {}
        """By stream, in the order of the run."""
        self._has_died_before = False

    def begin(self, readings: Iterable[Reading]) -> None:
        """Take the streams that the run is asked to read."""
        self.readings.update({reading.stream: reading for reading in readings})

    def follow(self, state: MutableMapping[str, Any]) -> None:
        """Learn from the state whether the run before has ended with a statement, and note that one has begun."""
        self._has_died_before = BEGAN in state
        state[BEGAN] = self.run_id

    @staticmethod
    def note_end(state: MutableMapping[str, Any]) -> None:
        """Note that the statement is written."""
        state.pop(BEGAN, None)

    def end_early(self, error: BaseException) -> None:
        """Note an error that ends the run for all streams that had not had their turn."""
        for reading in self.unfinished():
            reading.leave(Reason.FAILED, error)

    def unfinished(self) -> list[Reading]:
        """Return the readings of streams that had no turn, or not all of it."""
        return [reading for reading in self.readings.values() if not reading.is_over]

    def missing(self, max_unread: int) -> list[Reading]:
        """Return the readings of lists that are missing, and those with unread parents if these are too many."""
        too_many = sum(len(reading.unread) for reading in self.readings.values()) > max_unread
        return [
            reading
            for reading in self.readings.values()
            if reading.reason in MISSING or (too_many and reading.unread)
        ]

    def left_undone(self) -> str:
        """Return the sentences on what the tokens did not suffice for."""
        undone = [each for each in self.readings.values() if each.reason is Reason.BUDGET]
        if not undone:
            return "Left undone: the checks of what was read, which are made on another day."
        said = f"Left undone: {', '.join(f'{each.stream}{each.wait}' for each in undone)}"
        first = next(iter(self.readings.values()))
        if first.is_starved and isinstance(first.error, BudgetSpent) and first.error.needed:
            return f"{said}. Nothing was read: token_budget has to be at least {first.error.needed:,}."
        said += "; the next run continues there"
        starved = [each.stream for each in undone if each.is_starved]
        if starved:
            said += f", and begins with what had no turn ({', '.join(starved)})"
        return f"{said}."

    def missing_in_words(self, max_unread: int) -> str:
        """Return the sentence on what is missing; empty if nothing is."""
        found = [
            f"{each.stream}: {each.detail}"
            if each.reason in MISSING
            else f"{each.stream}: {len(each.unread):,} parents do not answer, and max_unread is {max_unread}."
            for each in self.missing(max_unread)
        ]
        more = [f"{len(found) - NAMED} more streams."] * (len(found) > NAMED)
        return (
            f"Everything else is loaded, but these are missing: {' '.join(found[:NAMED] + more)}"
            if found
            else ""
        )

    def rows(self, client: Client, tap_version: str, max_unread: int) -> list[Row]:
        """Return the rows for `run_statements`."""
        tokens: Counter[str] = Counter()
        for (stream, _), count in client.limits.tokens.items():
            tokens[stream] += count
        of_the_run: Row = {
            "run_id": self.run_id,
            "company_id": self.owner.company_id,
            "company_name": self.owner.company_name,
            "began_at": client.first_served_at,
            "ended_at": client.last_served_at,
            "run_tokens_spent": tokens.total(),
            "tokens_left": client.limits.ledger.remaining,
            "tap_version": tap_version,
            "previous_run_died": self._has_died_before,
        }
        missing = {reading.stream for reading in self.missing(max_unread)}
        return [
            of_the_run | _row(each, tokens[each.stream]) | {"is_missing": each.stream in missing}
            for each in self.readings.values()
        ]


def _row(reading: Reading, tokens: int) -> Row:
    """Return what the statement has for each stream."""
    reason = reading.reason or (Reason.UNREAD if reading.unread or reading.records_lost else None)
    return {
        "stream": reading.stream,
        "method": reading.method,
        "rows_sent": reading.rows_sent,
        "values_rejected": reading.values_rejected,
        "read_up_to": reading.read_up_to,
        "due_at": reading.due_at,
        "last_row_at": reading.last_row_at,
        "undone_reason": reason and reason.value,
        "undone_detail": reading.detail,
        "left_count": reading.left_count or reading.records_lost or None,
        "runs_left": reading.runs_left,
        "days_left": reading.days_left,
        "unread_count": len(reading.unread),
        "unread_ids": list(reading.unread),
        "tokens_spent": tokens,
        "is_mapped": reading.is_mapped,
        "api_version": reading.api_version,
        "last_complete_pass": reading.last_complete_pass,
    }


def api_version(listings: Iterable[Listing]) -> str:
    """Return the versions of the API that listings ask, such as `v1, v2`."""
    paths = {str(getattr(getattr(each, "list_of", each), "path", "")) for each in listings}
    return ", ".join(sorted({path.split("/")[2] for path in paths if path.startswith("/api/")}))
