"""Snapshots keep what was known on a day: an account over several days with a build on most of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from itertools import combinations, pairwise
from pathlib import Path
from random import Random
from typing import Any

import psycopg
import pytest
from pipedrive_sandbox.testing import Sandbox

from ..pipeline.conftest import TOKEN, target
from ..pipeline.pipe import Pipe
from .conftest import Account, Dbt
from .movements import State, day_of, outcome, state, steps
from .timeline import DAY, LOCAL, Deal, Row, local_day, scaled

__all__ = ["target"]

BORN = datetime(2025, 5, 1, 15, 30, tzinfo=UTC)
DAYS = (0, 1, 1, 3)
"""The day of each build except the last, which is today; one day has two builds, and some have none."""

SNAPSHOTS = ("deal_versions", "snapshot_runs")
MARTS = ("open_deals_by_day", "pipeline_movement", "forecast_history", "deal_slippage")
GROUP = ("pipeline_id", "owner_id", "currency")
Ledger = dict[tuple[Any, ...], tuple[int, Decimal]]


def deeds(rng: Random, stages: list[int], users: list[int]) -> list[list[tuple[str, str, Row | None]]]:
    """Return requests for everything that moves a pipeline, as method, path and body."""
    move, change = "/sandbox/deals/{}/move", "/sandbox/records/deals/{}"
    elsewhere = {"stage_id": rng.choice(stages), "owner_id": rng.choice(users), "value": 50}
    return [
        [("POST", move, {"stage_id": stage}) for stage in rng.sample(stages, 2)],
        [("POST", move, {"stage_id": rng.choice(stages)})],
        [("PATCH", change, {"value": rng.randrange(99_999) / 100})],
        [("PATCH", change, {"currency": rng.choice(["JPY", "EUR"]), "value": 77})],
        [("PATCH", change, {"status": rng.choice(["won", "lost"]), "value": 1234.5})],
        [("PATCH", change, {"status": "open"})],
        [("PATCH", change, {"owner_id": rng.choice(users)})],
        [("PATCH", change, {"expected_close_date": f"2025-{rng.randrange(1, 13):02}-15"})],
        [("POST", "/sandbox/deals/{}/archive", None)],
        [("DELETE", change, None)],
        [("PATCH", change, elsewhere)],
        [("PATCH", change, {"expected_close_date": None})],
    ]


def live(sandbox: Sandbox, rng: Random) -> None:
    """Make all these requests for open and other deals, and create deals."""
    stages = [row["id"] for row in sandbox.truth("stages")]
    users = [row["id"] for row in sandbox.truth("users")]
    sandbox.post("/sandbox/clock", {"advance_seconds": rng.randrange(3600, 80_000)})
    deals = [row for row in sandbox.truth("deals") if row["status"] != "deleted"]
    rng.shuffle(deals)
    deals.sort(key=lambda row: row["status"] != "open")
    for number, deal in enumerate(deals[:12] + deals[-12:]):
        for method, path, body in deeds(rng, stages, users)[number % 12]:
            sandbox.send(method, path.format(deal["id"]), body).granted()
    put_away = [row for row in sandbox.truth("deals") if outcome(row) == "archived"]
    put_away.sort(key=lambda row: str(row["archive_time"]))
    if len(put_away) > 1:  # the last one may be missing from the snapshot
        sandbox.post(f"/sandbox/deals/{put_away[0]['id']}/unarchive")
    born = {"title": "New", "stage_id": stages[0], "owner_id": users[0], "value": 10}
    for _ in range(5):
        sandbox.post("/sandbox/records/deals", born)
    won = sandbox.post("/sandbox/records/deals", born | {"value": 20.25})
    sandbox.patch(f"/sandbox/records/deals/{won['id']}", {"status": "won"})


@dataclass
class Past:
    """An account over several days: its rows at each build, and the final marts."""

    account: Account
    seen: list[dict[int, Row]]
    """The deals at each build, oldest first."""
    log: dict[int, list[Row]]
    """The change log at the first build; it was not read again."""
    days: list[date]
    """The day of each build."""
    stages: dict[int, Row]
    versions: list[list[tuple[Any, ...]]]
    """All rows of `deal_versions` after each build, without their days."""

    @property
    def today(self) -> date:
        """Return the day of the last build."""
        return self.days[-1]

    def known_on(self, day: date) -> dict[int, Row]:
        """Return the deals as the last build up to a day knew them."""
        return self.seen[max(number for number, built in enumerate(self.days) if built <= day)]

    def states(self) -> Iterator[tuple[date, int, State]]:
        """Return every day, deal and state; days before the first build come from the log."""
        first = self.days[0]
        for id_, row in self.seen[0].items():
            deal = Deal(row, self.log.get(id_, []))
            day = local_day(deal.born)
            while day < first:
                yield day, id_, self.rebuilt(deal, day)
                day += DAY
        day = first
        while day <= self.today:
            for id_, row in self.known_on(day).items():
                yield day, id_, state(row)
            day += DAY

    def rebuilt(self, deal: Deal, day: date) -> State:
        """Return the state of a deal at the end of a day before the first build."""
        end = datetime.combine(day + DAY, time(), LOCAL)
        then = deal.state_before(end)
        row = deal.row | then | {"is_deleted": then["status"] == "deleted"}
        stage = int(then["stage_id"])
        row |= {"stage_id": stage, "pipeline_id": self.stages[stage]["pipeline_id"]}
        return state(row | {"owner_id": then["user_id"] and int(then["user_id"])})


def build(account: Account, *options: str) -> None:
    """Build these models."""
    tests = ["--indirect-selection", "buildable", "--exclude", "test_type:generic", "test_type:unit"]
    run = account.dbt("build", *tests, *options, REPORTING_TIMEZONE=LOCAL.key)
    assert run.returncode == 0, run.stdout


def versions(account: Account) -> list[tuple[Any, ...]]:
    """Return all versions without their days, which the tests change."""
    columns = [name for name in account.columns("snapshots", "deal_versions") if not name.startswith("seen_")]
    return account.query(f"select {', '.join(columns)} from snapshots.deal_versions order by 1")


def date_back(account: Account, day: date) -> None:
    """Change the day of today's build to an earlier one."""
    for table in SNAPSHOTS:
        account.execute(
            f"update snapshots.{table} set seen_date = '{day}', "
            f"seen_at = seen_at - (seen_date - '{day}') * interval '1 day' where seen_date > '{day}'"
        )


@pytest.fixture(scope="module")
def past(
    new_database: Callable[..., str], dbt: Dbt, target: Path, tmp_path_factory: pytest.TempPathFactory
) -> Past:
    account = Account(new_database("past"), tmp_path_factory.mktemp("past"), dbt)
    seen: list[dict[int, Row]] = []
    kept: list[list[tuple[Any, ...]]] = []
    log = defaultdict(list)
    rng = Random(7)
    with Sandbox(deals=250, now=BORN, tokens=[TOKEN]) as sandbox:
        pipe = Pipe(
            target,
            tmp_path_factory.mktemp("pipe"),
            account.url,
            {"api_token": TOKEN, "api_url": sandbox.url, "history": "all"},
        )
        live(sandbox, rng)
        pipe.run().succeeded()
        for line in sandbox.truth("deal_changes"):
            log[line["deal_id"]].append(line)
        first = local_day(datetime.fromisoformat(sandbox.get("/sandbox/clock")["now"]))
        for days in DAYS:
            seen.append({row["id"]: row for row in sandbox.truth("deals")})
            build(account, "--select", *(f"+{name}" for name in SNAPSHOTS))
            kept.append(versions(account))
            date_back(account, first + days * DAY)
            live(sandbox, rng)
            pipe.api["history"] = "none"
            pipe.run().succeeded()
        seen.append({row["id"]: row for row in sandbox.truth("deals")})
        stages = {row["id"]: row for row in sandbox.truth("stages")}
    # Earlier builds found no deals, and the first that did was killed before it had added its row.
    account.execute(
        "update snapshots.snapshot_runs set new_version_count = 0, "
        "seen_at = seen_at - interval '30 days', seen_date = seen_date - 30 "
        "where seen_at = (select min(seen_at) from snapshots.deal_versions)"
    )
    everything = [*(f"+{mart}" for mart in MARTS), "+fct_deal_stage_history"]
    build(account, "--full-refresh", "--select", *everything)
    kept.append(versions(account))
    built = account.query("select distinct seen_at, seen_date from snapshots.deal_versions order by seen_at")
    return Past(account, seen, log, [day for _, day in built], stages, kept)


def test_versions_are_only_added(past: Past) -> None:
    assert len(past.days) == len(past.versions) == len(DAYS) + 1
    for before, after in pairwise(past.versions):
        assert len(before) < len(after)
        assert set(before) <= set(after)


def test_each_changed_deal_has_a_new_version_and_no_other(past: Past) -> None:
    kept = [
        *("stage_id", "owner_id", "status", "currency", "value", "probability", "expected_close_date"),
        *("is_archived", "is_deleted", "stage_change_time", "close_time", "archive_time"),
    ]
    for number, (before, after) in enumerate(pairwise(past.seen), start=1):
        changed = {
            id_
            for id_, row in after.items()
            if id_ not in before or any(row[key] != before[id_][key] for key in kept)
        }
        added = set(past.versions[number]) - set(past.versions[number - 1])
        assert {row[1] for row in added} == changed


def test_every_day_has_the_deals_that_were_open_then(past: Past) -> None:
    expected = {
        (day, id_): (*scaled(then[1:]), day < past.days[0], day >= past.days[0] and day not in past.days)
        for day, id_, then in past.states()
        if then.outcome == "open"
    }
    columns = "value, pipeline_id, owner_id, currency, stage_id, expected_close_date"
    rows = past.account.query(
        f"select snapshot_date, deal_id, {columns}, is_rebuilt, is_carried_forward from marts.open_deals_by_day"
    )
    actual = {row[:2]: row[2:] for row in rows}
    assert len(rows) == len(actual) > 1000
    assert actual == expected
    assert {carried for *_, carried in actual.values()} == {True, False}


def test_movements_connect_each_day_with_the_next(past: Past) -> None:
    expected: Ledger = defaultdict(lambda: (0, Decimal(0)))
    last: dict[int, State] = {}
    for day, id_, now in past.states():
        for movement, group, deals, value in steps(last.get(id_), now):
            count, total = expected[day, *group, movement]
            expected[day, *group, movement] = (count + deals, total + value)
        last[id_] = now
    columns = "movement_date, pipeline_id, owner_id, currency, movement"
    rows = past.account.query(f"select {columns}, deal_count, value from marts.pipeline_movement")
    assert {row[:5]: row[5:] for row in rows} == {key: scaled(moved) for key, moved in expected.items()}
    since = {row[4] for row in rows if row[0] > past.days[0]}
    assert since >= {"created", "reopened", "value_changed", "moved_in", "taken_over", "currency_changed"}
    assert since >= {"won", "lost", "deleted", "archived", "restored"}


def test_the_bridge_between_any_two_days_is_exact(past: Past) -> None:
    totals: dict[date, Ledger] = defaultdict(dict)
    for day, _, then in past.states():
        if then.outcome == "open":
            count, value = totals[day].get(then.group, (0, Decimal(0)))
            totals[day][then.group] = (count + 1, value + then.value)
    far = (past.days[0] - 40 * DAY, past.days[0] - DAY)
    every_day = [past.days[0] + DAY * number for number in range((past.today - past.days[0]).days + 1)]
    some_days = [*far, *every_day[:5], past.today]
    pairs = [*combinations(some_days, 2), (past.today, past.today)]
    for opening, closing in pairs:
        rows = past.account.query(
            f"select pipeline_id, owner_id, currency, step, deal_count, value, is_rebuilt "
            f"from marts.pipeline_waterfall('{opening}', '{closing}')"
        )
        groups: dict[Any, dict[str, tuple[int, Decimal]]] = defaultdict(dict)
        rebuilt = {"opening": opening < past.days[0], "closing": closing < past.days[0]}
        for *group, step, count, value, is_rebuilt in rows:
            groups[tuple(group)][step] = (count, value)
            assert is_rebuilt == rebuilt.get(step, is_rebuilt)
        nothing = (0, Decimal(0))
        for name, day in (("opening", opening), ("closing", closing)):
            there = {group: found[name] for group, found in groups.items() if found.get(name, nothing)[0]}
            assert there == totals[day]
        for found in groups.values():
            on_the_way = [amounts for step, amounts in found.items() if step != "closing"]
            assert sum(count for count, _ in on_the_way) == found["closing"][0]
            assert sum(value for _, value in on_the_way) == found["closing"][1]


@pytest.mark.parametrize("days", ["'2026-02-02', '2026-02-01'", "null, '2026-02-01'"])
def test_a_bridge_backwards_is_refused_in_one_sentence(past: Past, days: str) -> None:
    with pytest.raises(psycopg.errors.RaiseException, match="goes from one day to a later one, not from"):
        past.account.query(f"select * from marts.pipeline_waterfall({days})")


def test_the_forecast_of_each_day_stays_as_it_was(past: Past) -> None:
    expected: dict[Any, tuple[int, Decimal]] = defaultdict(lambda: (0, Decimal(0)))
    for day, _, then in past.states():
        if then.outcome == "open":
            month = then.expected_close_date and then.expected_close_date.replace(day=1)
            count, value = expected[day, *then.group, month]
            expected[day, *then.group, month] = (count + 1, value + then.value)
    columns = "snapshot_date, pipeline_id, owner_id, currency, expected_close_month"
    rows = past.account.query(
        f"select {columns}, deal_count, value, value - weighted_value >= 0 from marts.forecast_history"
    )
    assert {row[:5]: row[5:7] for row in rows} == {key: scaled(open_) for key, open_ in expected.items()}
    assert all(row[7] for row in rows)


def test_slipped_dates_come_from_the_log_and_then_from_the_builds(past: Past) -> None:
    expected = []
    for id_, row in past.seen[-1].items():
        known = past.seen[0].get(id_)
        lines = [line for line in past.log.get(id_, []) if line["field_key"] == "expected_close_date"]
        changes: list[tuple[date | None, date | None, Row | None]] = [
            (day_of(line["old_value"]), day_of(line["new_value"]), line) for line in lines
        ]
        dates = [day_of(known["expected_close_date"])] if known else []
        for deals in past.seen[1:]:
            if id_ in deals:
                dates.append(day_of(deals[id_]["expected_close_date"]))
        changes += [(old, new, None) for old, new in pairwise(dates) if old != new]
        for number, (old, new, line) in enumerate(changes, start=1):
            by = line["actor_user_id"] if line else None
            slipped = (new - old).days if old and new else None
            expected.append((id_, number, old, new, slipped, by, line is None))
        assert not changes or changes[-1][1] == day_of(row["expected_close_date"])
    columns = "deal_id, change_number, old_expected_close_date, expected_close_date, slipped_days"
    rows = past.account.query(
        f"select {columns}, changed_by_user_id, is_inferred from marts.deal_slippage order by 1, 2"
    )
    assert rows == sorted(expected, key=lambda change: change[:2])
    assert {inferred for *_, inferred in rows} == {True, False}


def test_moves_without_a_log_are_dated_by_the_deal(past: Past) -> None:
    """Up to the first build the log counts, and after it the stage at each build, dated by the deal's last
    move.
    """
    expected = []
    for id_, row in past.seen[-1].items():
        born = next(deals[id_] for deals in past.seen if id_ in deals)
        known = Deal(born, past.log.get(id_, []))
        visits = list(known.visits())
        for deals in past.seen:
            if id_ in deals and deals[id_]["stage_id"] != visits[-1][0]:
                moved = Deal(deals[id_], []).at("stage_change_time")
                visits.append((deals[id_]["stage_id"], moved, None, True))
        if len(visits) > 1 and not known.moves:  # no log has the first stage
            visits[0] = (*visits[0][:3], True)
        expected += [(id_, number, *visit) for number, visit in enumerate(visits, start=1)]
        assert visits[-1][0] == row["stage_id"]
    rows = past.account.query(
        "select deal_id, span_number, stage_id, entered_at, moved_by_user_id, is_inferred "
        "from marts.fct_deal_stage_history order by 1, 2"
    )
    assert rows == sorted(expected)
    assert any(row[5] for row in rows)


def test_a_build_adds_nothing_twice_and_adds_a_new_column(past: Past) -> None:
    """This test runs last, because it drops the column that the build then adds."""
    account = past.account
    build(account, "--select", "deal_versions")
    assert versions(account) == past.versions[-1]

    account.execute("alter table snapshots.deal_versions drop column archived_at cascade")
    build(account, "--full-refresh", "--select", "deal_versions")
    assert "archived_at" in account.columns("snapshots", "deal_versions")
    rows = account.query("select deal_id, version_number, archived_at is null from snapshots.deal_versions")
    assert {row[:2] for row in rows} >= {(row[1], row[7]) for row in past.versions[-1]}
    added = {deal for deal, _, is_null in rows if not is_null}
    assert added == {id_ for id_, row in past.seen[-1].items() if row["archive_time"]}
    assert len(rows) == len(past.versions[-1]) + len(added)
