"""Where deals were when: the history marts against the account's own truth, however much of the log was read."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest
from pipedrive_sandbox.testing import Sandbox

from ..pipeline.conftest import TOKEN, target
from ..pipeline.pipe import Pipe
from .conftest import Account, Dbt
from .timeline import DAY, LOCAL, Deal, Row, local_day, months_worked_on, scaled

__all__ = ["target"]

BORN = datetime(2025, 5, 1, 15, 30, tzinfo=UTC)
PHASES = ("stage", "behind", "all", "none")
MODELS = ("pipeline_snapshot", "pipeline_funnel", "deal_stage_pivot", "dim_dates", "sales_velocity")


@dataclass
class Seen:
    """The account at a moment, as far as the tap has read it, and the marts built then."""

    deals: dict[int, Deal]
    stages: dict[int, Row]
    tables: dict[str, list[Row]]
    today: date


def live(sandbox: Sandbox, days: int, rng: Random) -> None:
    """Let people move, price, close, reopen, archive, delete and create deals; some of it within a second."""
    stages = [row["id"] for row in sandbox.truth("stages")]
    for _ in range(days):
        sandbox.post("/sandbox/clock", {"advance_seconds": rng.randrange(3600, 100_000)})
        deals = [row for row in sandbox.truth("deals") if row["status"] != "deleted"]
        for deal in rng.sample(deals, 8):
            path = f"/sandbox/records/deals/{deal['id']}"
            match rng.randrange(8):
                case 0 | 1 | 2:
                    for stage in rng.sample(stages, rng.choice((1, 1, 2))):
                        sandbox.post(f"/sandbox/deals/{deal['id']}/move", {"stage_id": stage})
                case 3:
                    sandbox.patch(
                        path, {"value": rng.randrange(5) * 1000, "currency": rng.choice(["BRL", "USD"])}
                    )
                case 4:
                    sandbox.patch(path, {"status": rng.choice(["won", "lost"])})
                case 5:
                    sandbox.patch(path, {"status": "open"})
                case 6:
                    sandbox.post(f"/sandbox/deals/{deal['id']}/archive")
                case 7 if rng.random() < 0.3:
                    sandbox.delete(path)
        sandbox.post("/sandbox/records/deals", {"title": "New", "stage_id": rng.choice(stages), "value": 10})


def rearrange(sandbox: Sandbox) -> None:
    """Rename a stage, delete one, and add three whose names are hard to make columns of."""
    renamed, deleted, model = sandbox.truth("stages")[:3]
    sandbox.patch(f"/sandbox/records/stages/{renamed['id']}", {"name": "1º contato / première prise"})
    sandbox.delete(f"/sandbox/records/stages/{deleted['id']}")
    for number, name in enumerate(("成約", "Negociação avançada " * 4, "Ünïted (–) stage")):
        position = model["order_nr"] + number % 2
        stage = {"name": name, "pipeline_id": model["pipeline_id"], "order_nr": position}
        sandbox.post("/sandbox/records/stages", stage)


def log_of(sandbox: Sandbox, *fields: str) -> dict[int, list[Row]]:
    """Changes of some fields, or of all, deal by deal."""
    log = defaultdict(list)
    for line in sandbox.truth("deal_changes"):
        if not fields or line["field_key"] in fields:
            log[line["deal_id"]].append(line)
    return log


@pytest.fixture(scope="module")
def account(new_database: Callable[..., str], dbt: Dbt, tmp_path_factory: pytest.TempPathFactory) -> Account:
    return Account(new_database("history"), tmp_path_factory.mktemp("history"), dbt)


def build(account: Account) -> None:
    """Build the history marts and what they need; what must hold across models must hold here."""
    tests = ["--indirect-selection", "buildable", "--exclude", "test_type:generic", "test_type:unit"]
    names = [f"+{model}" for model in MODELS]
    run = account.dbt("build", *tests, "--select", *names, REPORTING_TIMEZONE=LOCAL.key)
    assert run.returncode == 0, run.stdout


def rows(account: Account, table: str) -> list[Row]:
    """All rows of a mart."""
    names = account.columns("marts", table)
    return [dict(zip(names, row, strict=True)) for row in account.query(f"select * from marts.{table}")]


@pytest.fixture(scope="module")
def phases(account: Account, target: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Seen]:
    """The account with its stages' history, then behind it, then with all history, then without."""
    found: dict[str, Seen] = {}
    rng = Random(4)

    def see(phase: str, log: dict[int, list[Row]]) -> None:
        build(account)
        results = json.loads((account.target / "run_results.json").read_text())
        began = datetime.fromisoformat(results["metadata"]["invocation_started_at"])
        found[phase] = Seen(
            {row["id"]: Deal(row, log.get(row["id"], [])) for row in sandbox.truth("deals")},
            {row["id"]: row for row in sandbox.truth("stages")},
            {table: rows(account, table) for table in (*MODELS, "fct_deal_stage_history")},
            local_day(began),
        )
        account.execute("drop table snapshots.deal_versions cascade")  # else it knows more than the log

    with Sandbox(deals=150, now=BORN, tokens=[TOKEN]) as sandbox:
        pipe = Pipe(
            target,
            tmp_path_factory.mktemp("pipe"),
            account.url,
            {"api_token": TOKEN, "api_url": sandbox.url, "history": "stage"},
        )
        live(sandbox, 20, rng)
        pipe.run().succeeded()
        moves = log_of(sandbox, "stage_id")
        see("stage", moves)

        rearrange(sandbox)
        live(sandbox, 5, rng)
        pipe.api["history"] = "none"
        pipe.run().succeeded()
        see("behind", moves)

        pipe.api["history"] = "all"
        pipe.run().succeeded()
        see("all", log_of(sandbox))

        account.execute("drop table pipedrive.deal_changes cascade")
        see("none", {})
    return found


@pytest.fixture(params=PHASES)
def seen(phases: dict[str, Seen], request: pytest.FixtureRequest) -> Seen:
    return phases[request.param]


def test_every_visit_is_there_and_no_other(seen: Seen) -> None:
    expected = {}
    for number, deal in seen.deals.items():
        visits = list(deal.visits())
        left = [entered for _, entered, _, _ in visits[1:]] + [None]
        expected[number] = [(*visit, end) for visit, end in zip(visits, left, strict=True)]
    actual = defaultdict(list)
    for row in sorted(seen.tables["fct_deal_stage_history"], key=lambda row: row["span_number"]):
        visit = ("stage_id", "entered_at", "moved_by_user_id", "is_inferred", "left_at")
        actual[row["deal_id"]].append(tuple(row[key] for key in visit))
    assert actual == expected


def test_only_what_was_not_read_is_inferred(phases: dict[str, Seen]) -> None:
    inferred = {
        phase: {row["deal_id"] for row in seen.tables["fct_deal_stage_history"] if row["is_inferred"]}
        for phase, seen in phases.items()
    }
    moved = {number for number, deal in phases["all"].deals.items() if deal.at("stage_change_time")}
    assert inferred["stage"] == inferred["all"] == set()
    assert 0 < len(inferred["behind"]) < len(inferred["none"])
    assert inferred["none"] == moved


@pytest.mark.parametrize("phase", ["stage", "all", "none"])
def test_the_snapshot_has_what_was_open_at_the_end_of_each_day(phases: dict[str, Seen], phase: str) -> None:
    seen = phases[phase]
    expected: dict[Any, tuple[int, Decimal]] = defaultdict(lambda: (0, Decimal(0)))
    for deal in seen.deals.values():
        if deal.row["is_deleted"]:
            continue
        day = local_day(deal.born)
        while day <= seen.today:
            state = deal.state_before(datetime.combine(day + DAY, time(), LOCAL))
            if state["status"] == "open" and not state["is_archived"]:
                stage = int(state["stage_id"]) if state["stage_id"] else None
                pipeline = seen.stages[stage]["pipeline_id"] if stage else None
                count, value = expected[day, pipeline, stage, state["currency"]]
                amount = Decimal(str(state["value"] or 0))
                expected[day, pipeline, stage, state["currency"]] = (count + 1, value + amount)
            day += DAY
    actual = {
        tuple(row[key] for key in ("snapshot_date", "pipeline_id", "stage_id", "currency")): (
            row["deal_count"],
            row["value"],
        )
        for row in seen.tables["pipeline_snapshot"]
    }
    assert len(actual) > 1000
    assert actual == {key: scaled(figures) for key, figures in expected.items()}


def test_the_snapshot_converts_dollars_and_nothing_else_without_rates(phases: dict[str, Seen]) -> None:
    for row in phases["all"].tables["pipeline_snapshot"]:
        convertible = row["currency"] == "USD" or not row["value"]
        assert row["reporting_value"] == (row["value"] if convertible else None)


def test_the_funnel_counts_the_deals_of_each_month(seen: Seen) -> None:
    ladders = defaultdict(list)
    for stage in sorted(seen.stages.values(), key=lambda row: (row["order_nr"], row["id"])):
        ladders[stage["pipeline_id"]].append(stage["id"])
    expected: dict[Any, list[int]] = {}
    for deal in seen.deals.values():
        visited = {stage for stage, *_ in deal.visits()}
        month = local_day(deal.born).replace(day=1)
        now = deal.row
        for pipeline, ladder in ladders.items():
            steps = [number for number, stage in enumerate(ladder) if stage in visited]
            if not steps or now["is_deleted"]:
                continue
            for number, stage in enumerate(ladder):
                counts = expected.setdefault((stage, month), [0] * 6)
                won = now["status"] == "won" and now["pipeline_id"] == pipeline
                for place, holds in enumerate(
                    (
                        won or number <= max(steps),
                        stage in visited,
                        won or number < max(steps),
                        won,
                        now["status"] == "lost" and now["stage_id"] == stage,
                        now["status"] == "open" and now["stage_id"] == stage and not now["is_archived"],
                    )
                ):
                    counts[place] += holds
    columns = ("reached", "entered", "moved_on", "won", "lost_here", "open_here")
    actual = {
        (row["stage_id"], row["cohort_month"]): [row[f"{name}_count"] for name in columns]
        for row in seen.tables["pipeline_funnel"]
    }
    gone = {stage["id"] for stage in seen.stages.values() if stage["is_deleted"]}
    assert actual == {key: counts for key, counts in expected.items() if key[0] not in gone or counts[1]}


def test_the_velocity_counts_deals_in_every_month_they_were_worked_on(phases: dict[str, Seen]) -> None:
    seen = phases["all"]
    expected: dict[Any, list[Any]] = defaultdict(lambda: [0, 0, 0, Decimal(0)])
    for deal in seen.deals.values():
        if deal.row["is_deleted"]:
            continue
        group = deal.row["pipeline_id"], deal.row["currency"]
        months = months_worked_on(deal, seen.today)
        for month in months:
            expected[*group, month][0] += 1
        last = expected[*group, months[-1]]
        last[1] += deal.row["status"] == "won"
        last[2] += deal.row["status"] == "lost"
        last[3] += Decimal(str(deal.row["value"])) if deal.row["status"] == "won" else 0
    actual = {
        (row["pipeline_id"], row["currency"], row["month"]): [
            row[name] for name in ("opportunity_count", "won_count", "lost_count", "won_value")
        ]
        for row in seen.tables["sales_velocity"]
    }
    assert actual == expected


def column(stage: Row) -> str:
    """The name of a stage's column."""
    plain = unicodedata.normalize("NFKD", stage["name"]).encode("ascii", "ignore").decode().lower()
    slug = "_".join(re.findall("[a-z0-9]+", plain))
    room = 63 - len(f"moved_to_stage__{stage['id']}")
    return "_".join(filter(None, ["moved_to_stage", slug[:room].strip("_"), str(stage["id"])]))


def test_the_pivot_has_the_first_entry_into_every_stage(seen: Seen) -> None:
    names = {stage["id"]: column(stage) for stage in seen.stages.values()}
    assert max(map(len, names.values())) <= 63
    expected = []
    for number, deal in seen.deals.items():
        row: Row = {"deal_id": number} | dict.fromkeys(names.values())
        for stage, entered, *_ in reversed(list(deal.visits())):
            if stage:
                row[names[stage]] = entered
        expected.append(row)
    assert sorted(seen.tables["deal_stage_pivot"], key=lambda row: row["deal_id"]) == sorted(
        expected, key=lambda row: row["deal_id"]
    )


def test_every_day_has_its_calendar(phases: dict[str, Seen]) -> None:
    seen = phases["all"]
    first = min(local_day(deal.born) for deal in seen.deals.values())
    days = {row["date_day"]: row for row in seen.tables["dim_dates"]}
    assert min(days).replace(day=1, month=1) == min(days) <= first
    assert max(days) == date(seen.today.year + 1, 12, 31)
    assert len(days) == (max(days) - min(days)).days + 1
    for day, row in days.items():
        quarter = (day.month + 2) // 3
        assert row == {
            "date_day": day,
            "month_name": day.strftime("%B"),
            "weekday_name": day.strftime("%A"),
            "year": day.year,
            "quarter": quarter,
            "month": day.month,
            "day_of_month": day.day,
            "day_of_year": day.timetuple().tm_yday,
            "iso_year": day.isocalendar().year,
            "iso_week": day.isocalendar().week,
            "weekday": day.isoweekday(),
            "is_weekend": day.isoweekday() in (6, 7),
            "is_month_end": (day + DAY).month != day.month,
            "year_start_date": day.replace(month=1, day=1),
            "quarter_start_date": day.replace(month=3 * quarter - 2, day=1),
            "month_start_date": day.replace(day=1),
            "week_start_date": day - DAY * day.weekday(),
            "fiscal_year": day.year,  # from January, unless FISCAL_YEAR_START says otherwise
            "fiscal_quarter": quarter,
            "fiscal_month": day.month,
            "fiscal_year_start_date": day.replace(month=1, day=1),
            "fiscal_quarter_start_date": day.replace(month=3 * quarter - 2, day=1),
        }
