"""The reports about goals and teams: all rows compared with the account's records."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from .sold import (
    DAY,
    LOCAL,
    Row,
    Sold,
    Truth,
    added_up,
    days_between,
    grouped,
    local_day,
    month,
    read,
    rounded,
    share,
    sold,
    value,
)
from .test_reports import percentile, to_digits
from .test_reports_months import months_later
from .timeline import Deal

__all__ = ["sold"]

NAMES = ("created", "won", "lost", "done")


class Event(NamedTuple):
    """Something that may count towards a goal."""

    kind: str
    owner_id: int
    pipeline_id: int | None
    stage_id: int | None
    type: str | None
    day: date | None
    deal: Row | None


def events(truth: Truth) -> Iterator[Event]:
    """Return all events that may count towards a goal."""
    deals = {deal["id"]: deal for deal in truth.deals}
    for deal in deals.values():
        owner, pipeline = deal["owner_id"], deal["pipeline_id"]
        if deal["status"] == "won":
            yield Event("deals_won", owner, pipeline, None, None, local_day(deal["close_time"]), deal)
        yield Event("deals_started", owner, pipeline, None, None, local_day(deal["add_time"]), deal)
        seen = set()
        for stage, at, *_ in Deal(deal, truth.log.get(deal["id"], [])).visits():
            if stage not in seen:
                day = at.astimezone(LOCAL).date()
                yield Event("deals_progressed", owner, pipeline, stage, None, day, deal)
            seen.add(stage)
    for activity in truth.records["activities"]:
        if not activity["is_deleted"]:
            owner = activity["owner_id"]
            pipeline = deals.get(activity["deal_id"], {}).get("pipeline_id")
            done, added = local_day(activity["marked_as_done_time"]), local_day(activity["add_time"])
            if activity["done"]:
                yield Event("activities_completed", owner, pipeline, None, activity["type"], done, None)
            yield Event("activities_added", owner, pipeline, None, activity["type"], added, None)


def fits(goal: Row, event: Event, types: dict[int, str]) -> bool:
    """Return whether an event counts towards a goal, regardless of its time."""
    params, assignee = goal["type"]["params"], goal["assignee"]
    chosen = [types[number] for number in params.get("activity_type_id") or []]
    return (
        event.kind == goal["type"]["name"]
        and (assignee["type"] == "company" or assignee["id"] == event.owner_id)
        and (not params["pipeline_id"] or event.pipeline_id in params["pipeline_id"])
        and ("stage_id" not in params or event.stage_id == params["stage_id"])
        and (not chosen or event.type in chosen)
    )


def periods(goal: Row, today: date) -> Iterator[tuple[date, date, date]]:
    """Return the first day of each calendar period with the days of it that belong to the goal."""
    begin = date.fromisoformat(goal["duration"]["start"])
    end = date.fromisoformat(goal["duration"]["end"] or "9999-12-31")
    length = {"weekly": 0, "monthly": 1, "quarterly": 3, "yearly": 12}[goal["interval"]]
    first = begin - DAY * begin.weekday()
    if length:
        first = date(begin.year, begin.month - (begin.month - 1) % length, 1)
    while first <= min(end, today):
        following = months_later(first, length) if length else first + timedelta(days=7)
        yield first, max(first, begin), min(following - DAY, end)
        first = following


def test_goal_attainment_equals_the_account(sold: Sold) -> None:
    account, truth = sold
    found = list(events(truth))
    types = {each["id"]: each["key_string"] for each in truth.records["activity_types"]}
    codes = {each["id"]: each["code"] for each in truth.records["currencies"]}
    is_open = [deal for deal in truth.deals if deal["status"] == "open" and not deal["is_archived"]]

    def amount(deal: Row, currency: str) -> Decimal | None:
        own, day = Decimal(str(deal["value"])), truth.day_of_rate(deal)
        if deal["currency"] == currency:
            return own
        dollars, rate = (
            truth.converted(own, deal["currency"], day),
            truth.converted(Decimal(1), currency, day),
        )
        return dollars / rate if dollars is not None and rate else None

    expected = {}
    for goal in truth.records["goals"]:
        outcome = goal["expected_outcome"]
        currency = codes.get(outcome.get("currency_id"))
        counting = [event for event in found if fits(goal, event, types)]

        def measured(deals: list[Row | None], outcome: Row = outcome, code: Any = currency) -> Decimal | None:
            if outcome["tracking_metric"] == "quantity":
                return Decimal(len(deals))
            amounts = [amount(deal, code) for deal in deals if deal and deal["value"] is not None]
            return None if None in amounts else added_up(amounts) or Decimal(0)

        for key, first, last in periods(goal, truth.today):
            actual = measured([each.deal for each in counting if each.day and first <= each.day <= last])
            target = Decimal(outcome["target"])
            row = {
                "actual": rounded(actual),
                "remaining": None if actual is None else rounded(max(target - actual, Decimal(0))),
                "attainment_ratio": None if actual is None else to_digits(4, actual / target),
                "is_current": last >= truth.today,
                "open_pipeline": None,
                "coverage_ratio": None,
                "currency": currency,
            }
            if goal["type"]["name"] == "deals_won" and row["is_current"]:
                coming = [
                    deal
                    for deal in is_open
                    if deal["expected_close_date"]
                    and date.fromisoformat(deal["expected_close_date"]) <= last
                    and fits(
                        goal, Event("deals_won", deal["owner_id"], deal["pipeline_id"], *[None] * 4), types
                    )
                ]
                pipeline = measured(list(coming))
                row["open_pipeline"] = rounded(pipeline)
                if row["remaining"] and pipeline is not None:
                    row["coverage_ratio"] = to_digits(4, pipeline / row["remaining"])
            expected[goal["id"], key.isoformat(), first, last] = row
    assert {row["is_current"] for row in expected.values()} == {True, False}
    assert any(row["coverage_ratio"] for row in expected.values())
    columns = tuple(next(iter(expected.values())))
    keys = ("goal_id", "goal_attainment_id::jsonb ->> 1", "period_start_date", "period_end_date")
    assert read(account, "goal_attainment", keys, columns) == expected


def below(roles: list[Row], top: int) -> set[int]:
    """Return a role and all roles below it."""
    found = {top}
    while more := {each["id"] for each in roles if each["parent_role_id"] in found} - found:
        found |= more
    return found


def test_team_performance_equals_the_account(sold: Sold) -> None:
    account, truth = sold
    roles, users = truth.records["roles"], truth.records["users"]
    role_of = {user["id"]: user["role_id"] for user in users}
    teams = {(role["id"], "own"): {role["id"]} for role in roles}
    teams |= {(role["id"], "all"): below(roles, role["id"]) for role in roles}
    assert len(set(map(frozenset, teams.values()))) > len(roles), "no role is below another"
    dated = [("created", local_day(deal["add_time"]), deal) for deal in truth.deals]
    dated += [
        (deal["status"], local_day(deal["close_time"]), deal)
        for deal in truth.deals
        if deal["status"] in ("won", "lost")
    ]
    dated += [
        ("done", local_day(each["marked_as_done_time"]), each)
        for each in truth.records["activities"]
        if each["done"] and not each["is_deleted"]
    ]
    expected = {}
    for (role, reach), members in teams.items():
        own = [
            {"event": event, "month": month(day), "row": row}
            for event, day, row in dated
            if role_of[row["owner_id"]] in members
        ]
        for (this,), found in grouped(own, lambda each: (each["month"],)).items():
            rows = {name: [each["row"] for each in found if each["event"] == name] for name in NAMES}
            won, lost = rows["won"], rows["lost"]
            currencies = {deal["currency"] for deal in won}
            expected[this, role, reach] = {
                "user_count": sum(user["role_id"] in members and user["active_flag"] for user in users),
                "created_count": len(rows["created"]),
                "won_count": len(won),
                "lost_count": len(lost),
                "win_rate": rounded(share(len(won), len(won) + len(lost))) if won or lost else None,
                "won_currency": next(iter(currencies)) if len(currencies) == 1 else None,
                "won_value": rounded(added_up(map(value, won))) if len(currencies) == 1 else None,
                "reporting_won_value": rounded(truth.dollars(won, value) if won else Decimal(0)),
                "median_days_to_win": percentile(
                    (days_between(deal["add_time"], deal["won_time"]) for deal in won), "0.5"
                ),
                "done_activity_count": len(rows["done"]),
            }
    keys = ("month", "role_id", "reach")
    assert read(account, "team_performance", keys, tuple(next(iter(expected.values())))) == expected
