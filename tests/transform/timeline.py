"""Where a deal was when, from the account's own record and log of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from zoneinfo import ZoneInfo

LOCAL = ZoneInfo("America/Sao_Paulo")
DAY = timedelta(days=1)
Row = dict[str, Any]


def scaled(value: Any) -> Any:
    """A number as the marts have it, with ten digits after the point; tuples part by part."""
    if isinstance(value, tuple):
        return tuple(map(scaled, value))
    return value.quantize(Decimal("1e-10"), ROUND_HALF_UP) if isinstance(value, Decimal) else value


def moment(text: str | None) -> datetime | None:
    """A moment of the API."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC) if text else None


def local_day(at: datetime) -> date:
    """The day of a moment where the company reports."""
    return at.astimezone(LOCAL).date()


@dataclass
class Deal:
    """A deal as it is now, and what was read of its log, oldest first."""

    row: Row
    log: list[Row]

    def at(self, key: str) -> datetime | None:
        """One of its moments."""
        return moment(self.row[key])

    @property
    def born(self) -> datetime:
        """When it was created."""
        born = self.at("add_time")
        assert born
        return born

    @property
    def moves(self) -> list[Row]:
        """Its way from stage to stage."""
        return [line for line in self.log if line["field_key"] == "stage_id"]

    def visits(self) -> Iterator[tuple[Any, ...]]:
        """Stage, when it came, who moved it, and whether that is only inferred."""
        row, moved = self.row, self.at("stage_change_time")
        creator, stage = row["creator_user_id"], row["stage_id"]
        if not self.moves and moved and moved > self.born:
            yield None, self.born, creator, True
            yield stage, moved, None, True
            return
        first = int(self.moves[0]["old_value"]) if self.moves else stage
        yield first, self.born, creator, False
        for line in self.moves:
            yield int(line["new_value"]), moment(line["time"]), line["actor_user_id"], False
        if self.moves and int(self.moves[-1]["new_value"]) != stage:
            yield stage, moved, None, True

    def state_before(self, end: datetime) -> Row:
        """What it was a moment before the end: what it is now, with every later change undone."""
        state = {key: self.row[key] for key in ("stage_id", "status", "value", "currency")}
        state |= {"user_id": self.row["owner_id"], "expected_close_date": self.row["expected_close_date"]}
        closed, moved, archived = (self.at(f"{key}_time") for key in ("close", "stage_change", "archive"))
        told = {line["field_key"] for line in self.log}
        if "status" not in told and closed and closed >= end:
            state["status"] = "open"
        if "stage_id" not in told and moved and moved >= end:
            state["stage_id"] = None
        for line in reversed(self.log):
            if line["field_key"] in state and moment(line["time"]) >= end:  # type: ignore[operator]
                state[line["field_key"]] = line["old_value"]
        state["is_archived"] = archived is not None and archived < end
        return state


def months_worked_on(deal: Deal, today: date) -> list[date]:
    """First days of the months in which a deal was open or was closed, oldest first."""
    end = deal.at("close_time") if deal.row["status"] != "open" else deal.at("archive_time")
    until = local_day(end) if end else today
    day = min(local_day(deal.born), until)
    months = []
    while day <= until:
        if day.replace(day=1) not in months:
            months.append(day.replace(day=1))
        day += DAY
    return months
