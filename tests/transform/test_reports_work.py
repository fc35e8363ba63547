"""The reports about calls, mail and projects: all rows compared with the account's records."""

from __future__ import annotations

from collections import defaultdict
from datetime import date
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

from .sold import DAY, Row, Sold, added_up, grouped, local_day, moment, read, rounded, share, sold, value
from .test_reports import hours, percentile, to_digits

__all__ = ["sold"]


def week(text: str) -> date:
    """Return the first day of the week of a time."""
    day = local_day(text)
    assert day
    return day - DAY * day.weekday()


def answers(messages: list[Row]) -> dict[int, Decimal | None]:
    """Return hours until the next sent message of a thread, for each received message that it answers."""
    found = {}
    for thread in grouped(messages, lambda each: (each["mail_thread_id"],)).values():
        in_order = sorted(thread, key=lambda each: (each["message_time"], each["id"]))
        for one, following in pairwise(in_order):
            if not one["sent_flag"] and following["sent_flag"]:
                asked, answered = moment(one["message_time"]), moment(following["message_time"])
                assert asked
                assert answered
                found[one["id"]] = hours((answered - asked).total_seconds())
    return found


def test_mail_and_calls_equal_the_account(sold: Sold) -> None:
    account, truth = sold
    mails = [each for each in truth.records["mail_messages"] if not each["draft_flag"]]
    answered = answers(mails)
    sales = {thread["id"] for thread in truth.records["mail_threads"] if thread["deal_id"]}
    weeks: dict[tuple[Any, ...], dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for call in truth.records["call_logs"]:
        weeks[call["user_id"], week(call["start_time"])]["calls"].append(call)
    for mail in mails:
        kind = "sent" if mail["sent_flag"] else "received"
        weeks[mail["user_id"], week(mail["message_time"])][kind].append(mail)
    expected = {}
    for key, rows in weeks.items():
        calls, sent, received = rows["calls"], rows["sent"], rows["received"]
        connected = [int(call["duration"]) for call in calls if call["outcome"] == "connected"]
        taken = [answered[mail["id"]] for mail in received if mail["id"] in answered]
        seconds = sum(int(call["duration"]) for call in calls)
        middle = percentile((Fraction(each, 60) for each in connected), "0.5")
        expected[key] = {
            "call_count": len(calls),
            "connected_count": len(connected),
            "connected_rate": rounded(share(len(connected), len(calls))) if calls else None,
            "sales_call_count": sum(bool(call["deal_id"] or call["lead_id"]) for call in calls),
            "call_minutes": to_digits(2, Decimal(seconds) / 60),
            "median_call_minutes": middle,
            "sent_count": len(sent),
            "tracked_count": sum(mail["mail_tracking_status"] is not None for mail in sent),
            "opened_count": sum(mail["mail_tracking_status"] == "opened" for mail in sent),
            "received_count": len(received),
            "answered_count": len(taken),
            "answered_rate": rounded(share(len(taken), len(received))) if received else None,
            "sales_mail_count": sum(mail["mail_thread_id"] in sales for mail in (*sent, *received)),
            "median_hours_to_answer": percentile(taken, "0.5"),
        }
    assert any(row["answered_count"] for row in expected.values())
    assert any(row["sales_mail_count"] for row in expected.values())
    keys = ("user_id", "week_start_date")
    assert read(account, "mail_and_calls", keys, tuple(next(iter(expected.values())))) == expected


def test_project_delivery_equals_the_account(sold: Sold) -> None:
    account, truth = sold
    deals = {deal["id"]: deal for deal in truth.deals}
    tasks = grouped(truth.records["tasks"], lambda task: (task["project_id"],))
    names = {
        kind: {each["id"]: each["name"] for each in truth.records[kind]}
        for kind in ("users", "project_boards", "project_phases")
    }
    expected = {}
    for project in truth.records["projects"]:
        own = [deals[number] for number in project["deal_ids"] if number in deals]
        oldest = min(own, key=lambda deal: (deal["add_time"], deal["id"]), default=None)
        todo = tasks.get((project["id"],), [])
        begin, end = (project[key] and date.fromisoformat(project[key]) for key in ("start_date", "end_date"))
        is_open, is_done = project["status"] == "open", project["status"] == "completed"
        completed = local_day(project["status_change_time"]) if is_done else None
        until = completed or (truth.today if is_open else None)
        won = min((day for deal in own if (day := local_day(deal["won_time"]))), default=None)
        milestones = [task for task in todo if task["is_milestone"]]
        done = [task for task in todo if task["is_done"]]
        undone = [task for task in todo if not task["is_done"] and task["due_date"]]
        late = [task for task in undone if task["due_date"] < truth.today.isoformat()]
        currencies = {deal["currency"] for deal in own}
        expected[project["id"],] = {
            "deal_id": oldest["id"] if oldest else None,
            "owner_name": names["users"][project["owner_id"]],
            "board_name": names["project_boards"][project["board_id"]],
            "phase_name": names["project_phases"][project["phase_id"]],
            "health": project["health_status"] and str(project["health_status"]),
            "deal_count": len(own),
            "deal_value": rounded(added_up(map(value, own))) if len(currencies) == 1 else None,
            "reporting_deal_value": rounded(truth.dollars(own, value)),
            "task_count": len(todo),
            "done_task_count": len(done),
            "overdue_task_count": len(late),
            "milestone_count": len(milestones),
            "done_task_rate": rounded(share(len(done), len(todo))) if todo else None,
            "days_to_start": (begin - won).days if begin and won else None,
            "planned_days": (end - begin).days if begin and end else None,
            "days_to_complete": (completed - begin).days if completed and begin else None,
            "delay_days": (until - end).days if until and end else None,
            "is_overdue": bool(is_open and not project["archive_time"] and end and end < truth.today),
            "is_on_time": completed <= end if completed and end else None,
        }
    assert {row["is_on_time"] for row in expected.values()} == {True, False, None}
    columns = tuple(next(iter(expected.values())))
    assert read(account, "project_delivery", ("project_id",), columns) == expected
