"""The state of a deal at the end of a day, and its movements from one day to the next."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

from .timeline import Row


class State(NamedTuple):
    """The state of a deal at the end of a day."""

    outcome: str
    value: Decimal
    pipeline_id: int | None
    owner_id: int | None
    currency: str | None
    stage_id: int | None
    expected_close_date: date | None

    @property
    def group(self) -> tuple[Any, ...]:
        """Return pipeline, owner and currency."""
        return self.pipeline_id, self.owner_id, self.currency


def day_of(text: str | None) -> date | None:
    """Parse a date of the API."""
    return date.fromisoformat(text) if text else None


def outcome(row: Row) -> str:
    """Return the outcome of a deal."""
    if row["is_deleted"]:
        return "deleted"
    return "archived" if row["status"] == "open" and row["is_archived"] else str(row["status"])


def state(row: Row) -> State:
    """Return the state of a deal."""
    return State(
        outcome(row),
        Decimal(str(row["value"] or 0)),
        row["pipeline_id"],
        row["owner_id"],
        row["currency"],
        row["stage_id"],
        day_of(row["expected_close_date"]),
    )


def steps(before: State | None, after: State) -> Iterator[tuple[str, tuple[Any, ...], int, Decimal]]:
    """Return the movements of a deal from one day to the next: movement, group, deals and value."""
    if before is None:
        yield "created", after.group, 1, after.value
        if after.outcome != "open":
            yield after.outcome, after.group, -1, -after.value
        return
    if before.outcome != "open":
        if after.outcome == "open":
            back = "reopened" if before.outcome in ("won", "lost") else "restored"
            yield back, after.group, 1, after.value
        return
    value = before.value
    if before.group != after.group:
        leaves, comes = "currency_changed", "currency_changed"
        if before.owner_id != after.owner_id:
            leaves, comes = "handed_over", "taken_over"
        if before.pipeline_id != after.pipeline_id:
            leaves, comes = "moved_out", "moved_in"
        yield leaves, before.group, -1, -value
        value = value if before.currency == after.currency else after.value
        yield comes, after.group, 1, value
    if value != after.value:
        yield "value_changed", after.group, 0, after.value - value
    if after.outcome != "open":
        yield after.outcome, after.group, -1, -after.value
