"""The reports on unexpected rows: only a key, impossible dates, documents of any shape."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from .conftest import DATA_ONLY, TABLES, Account, Built, Dbt, column_type

REPORTS = (
    *("lost_reasons", "sales_cycle", "fct_first_responses", "lead_response", "recurring_revenue"),
    *("revenue_outlook", "goal_attainment", "team_performance", "mail_and_calls", "project_delivery"),
)
NEVER, ALWAYS, LONG_AGO, NOON = "0001-01-01", "9999-12-31", "1999-12-30", "2026-03-02 12:00"
HUGE = Decimal("98765432109876543210987654321098765.4321")
SHAPES = [
    *map(Jsonb, ([], {}, "text", 5, [None], [[1]], {"a": {"b": []}}, ["x", 1, None, {}], "", True)),
]
"""Values of a JSON column that are neither the expected list nor the expected object."""

Rows = dict[str, list[dict[str, Any]]]


def deals() -> list[dict[str, Any]]:
    """Return deals with missing, wrong or too large values."""
    won = {"status": "won", "owner_id": 1, "pipeline_id": 1, "stage_id": 1, "add_time": NOON, "value": 100}
    won |= {"currency": "BRL", "close_time": "2026-03-10 12:00", "won_time": "2026-03-10 12:00"}
    lost = won | {"status": "lost", "won_time": None, "lost_reason": "Preço"}
    opened = won | {"status": "open", "won_time": None, "close_time": None}
    return [
        *(won | {"id": 100 + number, "label_ids": shape} for number, shape in enumerate(SHAPES)),
        won | {"id": 200, "owner_id": None, "currency": "PTS"},
        won | {"id": 201, "currency": None},
        won | {"id": 202, "value": None},
        won | {"id": 203, "value": HUGE},
        won | {"id": 204, "value": -5, "currency": "US"},
        won | {"id": 205, "add_time": f"{NEVER} 00:00", "close_time": f"{ALWAYS} 00:00"},
        won | {"id": 206, "close_time": None, "won_time": None},
        won | {"id": 207, "close_time": "2026-03-01 12:00", "won_time": "2026-03-01 12:00"},
        won
        | {"id": 208, "pipeline_id": 404, "stage_id": 404, "owner_id": 404, "org_id": 404, "channel": 404},
        won | {"id": 209, "is_archived": True, "archive_time": f"{LONG_AGO} 00:00"},
        lost | {"id": 300, "lost_reason": None},
        lost | {"id": 301, "lost_reason": "   "},
        lost | {"id": 302, "lost_reason": "PREÇO '; drop table deals; --"},
        lost | {"id": 303, "lost_reason": "x" * 10_000, "lost_reason_id": 404},
        lost | {"id": 304, "lost_reason": "\u202eoçerP", "value": 0, "currency": None},
        lost | {"id": 305, "close_time": f"{NEVER} 00:00"},
        opened | {"id": 400, "expected_close_date": NEVER},
        opened | {"id": 401, "expected_close_date": ALWAYS, "probability": 250},
        opened | {"id": 402, "expected_close_date": "2024-02-29", "probability": -1},
        opened | {"id": 403, "source_lead_id": "converted"},
        opened | {"id": 404, "source_lead_id": "", "add_time": "2036-01-01 00:00"},
        opened | {"id": 405, "status": "OPEN", "owner_id": 2**62},
    ]


def around_deals() -> Rows:
    """Return line items, installments, leads and activities."""
    monthly = {
        "deal_id": 200,
        "sum": 10,
        "currency": "BRL",
        "is_enabled": True,
        "billing_frequency": "monthly",
    }
    return {
        "deal_products": [
            monthly | {"id": 10, "billing_frequency_cycles": 2**40},
            monthly | {"id": 11, "billing_frequency_cycles": -3},
            monthly | {"id": 12, "billing_start_date": NEVER, "billing_frequency_cycles": 0},
            monthly | {"id": 13, "billing_start_date": ALWAYS, "billing_frequency": "weekly"},
            monthly | {"id": 14, "billing_frequency": "fortnightly"},
            monthly | {"id": 15, "sum": HUGE, "billing_frequency": "annually"},
            monthly | {"id": 16, "sum": None},
            monthly | {"id": 17, "currency": None, "deal_id": 206},
            monthly | {"id": 18, "deal_id": 404404},
            monthly
            | {"id": 19, "sum": -10, "billing_start_date": "2000-01-01", "billing_frequency": "weekly"},
        ],
        "deal_installments": [
            {"id": 10, "deal_id": 200, "amount": 100, "billing_date": NEVER},
            {"id": 11, "deal_id": 201, "amount": HUGE, "billing_date": "2026-03-10"},
            {"id": 12, "deal_id": 202, "amount": None, "billing_date": "2026-03-10"},
            {"id": 13, "deal_id": 204, "amount": -7, "billing_date": "2000-01-01"},
            {"id": 14, "deal_id": 204, "amount": 7, "billing_date": "2034-12-31"},
        ],
        "leads": [
            {"id": "converted", "add_time": "2026-03-05 12:00", "_sdc_deleted_at": NOON},
            {"id": "", "add_time": f"{NEVER} 00:00", "owner_id": 404, "channel": 404},
            {"id": "later", "add_time": "2035-01-01 00:00", "value": HUGE, "currency": "XXX"},
        ],
        "activities": [
            {
                "id": 10,
                "deal_id": 200,
                "done": True,
                "marked_as_done_time": f"{ALWAYS} 00:00",
                "type": "call",
            },
            {"id": 11, "lead_id": "converted", "done": True, "marked_as_done_time": f"{NEVER} 00:00"},
            {
                "id": 12,
                "deal_id": 404404,
                "lead_id": "no such lead",
                "done": True,
                "marked_as_done_time": NOON,
            },
            *(
                {"id": 20 + number, "participants": shape, "attendees": shape, "location": shape}
                for number, shape in enumerate(SHAPES)
            ),
        ],
    }


def around_teams() -> Rows:
    """Return goals, roles, calls, mail and projects."""
    goal = {"type_name": "deals_won", "assignee_type": "company", "interval": "monthly", "is_active": True}
    goal |= {"duration_start": "2026-01-01", "expected_outcome_target": 10}
    goal |= {"expected_outcome_tracking_metric": "quantity"}
    return {
        "goals": [
            *(goal | {"id": f"shape {number}", "type_params": shape} for number, shape in enumerate(SHAPES)),
            *(
                goal | {"id": f"pipelines {number}", "type_params": {"pipeline_id": shape.obj}}
                for number, shape in enumerate(SHAPES)
            ),
            goal | {"id": "a", "duration_start": NEVER},
            goal | {"id": "b", "duration_start": ALWAYS, "interval": "weekly"},
            goal | {"id": "c", "duration_start": "2000-01-01", "interval": "weekly", "duration_end": ALWAYS},
            goal | {"id": "d", "interval": "hourly", "expected_outcome_target": HUGE},
            goal | {"id": "e", "assignee_type": "planet", "assignee_id": 404},
            goal
            | {"id": "f", "expected_outcome_tracking_metric": "sum", "expected_outcome_currency_id": 404},
            goal | {"id": "g", "expected_outcome_tracking_metric": "average", "expected_outcome_target": -1},
        ],
        "roles": [
            {"id": 10, "parent_role_id": 10, "name": "Own parent"},
            {"id": 11, "parent_role_id": 12, "name": "Circle"},
            {"id": 12, "parent_role_id": 11, "name": None},
        ],
        "call_logs": [
            {
                "id": "a",
                "duration": -5,
                "outcome": "connected",
                "start_time": f"{NEVER} 00:00",
                "user_id": 404,
            },
            {"id": "b", "duration": 2**62, "outcome": "connected", "start_time": NOON},
            {"id": "c", "duration": 2**62, "outcome": "connected", "start_time": NOON},
        ],
        "mail_messages": [
            {"id": 10, "mail_thread_id": 404, "sent_flag": True, "message_time": f"{ALWAYS} 00:00"},
            {"id": 11, "mail_thread_id": 404, "sent_flag": False, "message_time": f"{NEVER} 00:00"},
            {"id": 12, "mail_thread_id": 404, "sent_flag": True, "message_time": NOON},
        ],
        "projects": [
            *(
                {"id": 10 + number, "deal_ids": shape, "person_ids": shape, "status": "open"}
                for number, shape in enumerate(SHAPES)
            ),
            {"id": 30, "status": "completed", "status_change_time": f"{ALWAYS} 00:00", "start_date": NEVER},
            {"id": 31, "status": "completed", "status_change_time": NOON, "end_date": "1999-12-31"},
            {"id": 32, "status": "Completed", "health_status": -1, "board_id": 404, "owner_id": 404},
        ],
        "tasks": [{"id": 10, "project_id": 404}, {"id": 11, "project_id": 30, "due_date": NEVER}],
    }


def fill(account: Account) -> None:
    """Add to each table a row that has only its key, and odd rows."""
    for table, stream in TABLES.items():
        columns = stream.entity.columns()
        kinds = {key: column_type(columns[key]) for key in stream.primary_keys}
        account.insert(table, {key: 1 if kind == "bigint" else "x" for key, kind in kinds.items()})
    account.insert("users", {"id": 2, "name": "Ana", "role_id": 11, "active_flag": True})
    for table, rows in ({"deals": deals()} | around_deals() | around_teams()).items():
        account.insert(table, *rows)


@pytest.fixture(scope="module")
def odd(new_account: Callable[..., Account]) -> Built:
    account = new_account("odd_reports")
    fill(account)
    return Built(account, account.build(*DATA_ONLY))


def test_odd_rows_stop_no_report(odd: Built) -> None:
    assert set(odd.statuses.values()) <= {"success", "pass", "warn"}
    assert {odd.statuses[report] for report in REPORTS} == {"success"}


def test_every_report_includes_the_odd_rows_that_belong_to_it(odd: Built) -> None:
    sizes = {report: odd.account.query(f"select count(*) from marts.{report}")[0][0] for report in REPORTS}
    assert all(0 < size < 5000 for size in sizes.values()), sizes


@pytest.mark.parametrize(
    ("report", "column"),
    [
        ("lost_reasons", "lost_month"),
        ("sales_cycle", "closed_month"),
        ("lead_response", "created_month"),
        ("recurring_revenue", "month"),
        ("revenue_outlook", "month"),
        ("goal_attainment", "period_start_date"),
        ("team_performance", "month"),
        ("mail_and_calls", "week_start_date"),
    ],
)
def test_every_series_stays_within_the_supported_days(odd: Built, report: str, column: str) -> None:
    ((first, last),) = odd.account.query(
        f"select min({column}) >= '1999-12-01', max({column}) < now() + interval '11 years' from marts.{report}"
    )
    assert (first, last) == (True, True)


def test_every_lost_or_won_deal_is_counted_once(odd: Built) -> None:
    ((won, lost),) = odd.account.query(
        "select count(*) filter (where is_won), count(*) filter (where is_lost) from marts.fct_deals"
    )
    assert won > 15
    assert odd.account.query("select sum(won_count) from marts.revenue_outlook") == [(won,)]
    assert odd.account.query("select sum(lost_count) from marts.lost_reasons") == [(lost,)]
    assert odd.account.query(
        "select sum(won_count), sum(lost_count) from marts.team_performance where reach = 'own'"
    ) == [(won, lost)]
    assert odd.account.query(
        "select breakdown, sum(closed_count) from marts.sales_cycle"
        " where breakdown in ('all', 'channel', 'owner', 'value_band') group by 1 order by 1"
    ) == [(name, won + lost) for name in ("all", "channel", "owner", "value_band")]


def test_amounts_of_different_currencies_are_not_added(odd: Built) -> None:
    assert odd.account.query(
        "select currency, won_value, reporting_won_value, unconverted_count from marts.revenue_outlook"
        " where owner_id is null and month = '2026-03-01' and currency = 'PTS'"
    ) == [("PTS", 100, None, 1)]
    assert odd.account.query(
        "select count(*) from marts.revenue_outlook where currency is null and won_value = 100"
    ) == [(1,)]


@pytest.fixture(scope="module")
def alone(
    empty: Built, new_database: Callable[..., str], dbt: Dbt, tmp_path_factory: pytest.TempPathFactory
) -> Account:
    """An account with one deal, without users, pipelines and stages."""
    account = Account(
        new_database("alone", empty.account.url.rpartition("/")[2]), tmp_path_factory.mktemp("alone"), dbt
    )
    account.insert("deals", {"id": 1, "status": "lost", "add_time": NOON, "close_time": NOON})
    run = account.dbt("run", "--select", *(f"+{report}" for report in REPORTS))
    assert run.returncode == 0, run.stdout
    return account


def test_an_account_with_one_deal_has_reports(alone: Account) -> None:
    sizes = {report: alone.query(f"select count(*) from marts.{report}")[0][0] for report in REPORTS}
    assert sizes == dict.fromkeys(REPORTS, 0) | {
        "lost_reasons": 1,
        "sales_cycle": 6,
        "fct_first_responses": 1,
        "lead_response": 1,
    }


def test_an_account_without_deals_has_empty_reports(empty: Built) -> None:
    for report in REPORTS:
        assert empty.account.query(f"select count(*) from marts.{report}") == [(0,)], report
