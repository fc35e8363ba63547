"""The cost of the modes of `history` in tokens, and what each of them misses, by how often the tap runs.

    python benchmarks/history.py [deals]

An account has the same working day for each interval: people move, price, date, hand over, win and lose
deals, and often correct themselves within minutes. After each interval the tap runs. Without a log, the
models know each deal as it was at each run (`deal_versions`): of several changes between two runs, only the
last one.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from account import UNLIMITED, Account, sandbox
from measure import machine, run, table

INTERVALS = {"15 minutes": timedelta(minutes=15), "4 hours": timedelta(hours=4)}
MORNING = datetime(2026, 11, 23, 8, tzinfo=UTC)
DAY = timedelta(hours=12)
SHARE = 0.6
"""Manual changes per day as a share of the open deals."""
CORRECTED = 0.3
"""The share of changes that are followed by another of the same kind, after ten minutes on average."""
KINDS = {"stage_id": 50, "value": 15, "expected_close_date": 15, "status": 15, "user_id": 5}
"""The changed fields by their names in the log, with their frequency in percent."""
LOG = "changelog"
"""The part of an endpoint's name that only histories use."""
PRICE = 20
"""Tokens of a deal's log."""

Row = dict[str, Any]


class Seen(NamedTuple):
    """The results of a day at one interval."""

    first_tokens: int
    """Tokens for the log of all deals that ever changed, when it is read for the first time."""
    first_stage_tokens: int
    """Tokens for the log of those that ever moved."""
    log_tokens: int
    """Tokens for the log of deals that changed during the day."""
    stage_tokens: int
    """Tokens for the log of those of them that moved."""
    other_tokens: int
    """Tokens for the list of deals during the day."""
    runs: int
    changes: dict[str, int]
    """Changes during the day by field."""
    logged: dict[str, int]
    """Changes that the tap has read from the log."""
    versioned: dict[str, int]
    """Changes that follow from the deals at each run."""
    exact: dict[str, int]
    """Changes of these whose exact second the deal records."""


def main() -> None:
    """Measure, and print the tables of docs/history.md."""
    deals = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    seen = {}
    for name, interval in INTERVALS.items():
        with (
            tempfile.TemporaryDirectory() as folder,
            sandbox(
                Path(folder),
                deals,
                "--burst",
                str(UNLIMITED),
                "--now",
                MORNING.strftime("%Y-%m-%dT%H:%M:%SZ"),
            ) as account,
        ):
            seen[name] = measure(account, Path(folder), interval)
    print(f"{machine()}\n")
    print(report(deals, seen))


def measure(account: Account, folder: Path, interval: timedelta) -> Seen:
    """Simulate the day, and run the tap after each interval."""
    account.select("deals", "deal_changes")
    account.config.write_text(json.dumps(json.loads(account.config.read_text()) | {"history": "all"}))
    state, read = folder / "state.json", set[tuple[int, int]]()
    account.spent()
    tap(account, folder, state)
    first = account.spent()
    told_before = {(line["deal_id"], line["sequence"]) for line in log(account)}
    versions = [deals_of(account)]
    changes = day(Random(1), versions[0], account.control("/sandbox/truth/stages"))
    upcoming = next(changes, None)
    moment, runs = MORNING, 0
    while moment < MORNING + DAY:
        moment += interval
        while upcoming and upcoming[0] <= moment:
            let_time_pass(account, upcoming[0])
            account.control(*upcoming[1:])
            upcoming = next(changes, None)
        let_time_pass(account, moment)
        read |= tap(account, folder, state)
        versions.append(deals_of(account))
        runs += 1
    spent = account.spent()
    moves = [{id_: row["stage_change_time"] for id_, row in deals.items()} for deals in versions]
    log_tokens = sum(tokens for name, tokens in spent.items() if LOG in name)
    lines = [line for line in log(account) if (line["deal_id"], line["sequence"]) not in told_before]
    return Seen(
        sum(tokens for name, tokens in first.items() if LOG in name),
        PRICE * sum(bool(moved) for moved in moves[0].values()),
        log_tokens,
        PRICE * sum(len(after.items() - before.items()) for before, after in pairwise(moves)),
        sum(spent.values()) - log_tokens,
        runs,
        counted(lines),
        counted([line for line in lines if (line["deal_id"], line["sequence"]) in read]),
        *in_versions(lines, versions),
    )


def tap(account: Account, folder: Path, state: Path) -> set[tuple[int, int]]:
    """Run the tap; return deal and number of the changes that it read."""
    messages, found = folder / "messages.jsonl", set()
    run(account.tap(state if state.exists() else None), stdout=messages, folder=folder)
    for text in messages.open():
        message = json.loads(text)
        if message["type"] == "STATE":
            state.write_text(json.dumps(message["value"]))
        elif message["type"] == "RECORD" and message["stream"] == "deal_changes":
            found.add((message["record"]["deal_id"], message["record"]["sequence"]))
    return found


def log(account: Account) -> list[Row]:
    """Return the account's change log, with each deal's lines numbered from the oldest."""
    numbers: dict[int, int] = defaultdict(int)
    lines = account.control("/sandbox/truth/deal_changes")
    for line in lines:
        numbers[line["deal_id"]] += 1
        line["sequence"] = numbers[line["deal_id"]]
    return list(lines)


def deals_of(account: Account) -> dict[int, Row]:
    """Return the account's deals."""
    return {row["id"]: row for row in account.control("/sandbox/truth/deals")}


def day(rng: Random, deals: dict[int, Row], stages: list[Row]) -> Iterator[tuple[Any, ...]]:
    """Yield the manual changes of the day: time, and the control for it with body and method."""
    waiting = [row for row in deals.values() if row["status"] == "open" and not row["is_archived"]]
    events = []
    for _ in range(round(len(waiting) * SHARE)):
        deal, moment = rng.choice(waiting), MORNING + DAY * rng.random()
        kind = rng.choices(list(KINDS), list(KINDS.values()))[0]
        while moment < MORNING + DAY:
            events.append((moment, *_change(rng, deal, kind, stages)))
            if rng.random() >= CORRECTED:
                break
            moment += timedelta(minutes=rng.expovariate(0.1))
    yield from sorted(events, key=lambda event: event[0])


def _change(rng: Random, deal: Row, kind: str, stages: list[Row]) -> tuple[str, Row, str]:
    own = [stage["id"] for stage in stages if stage["pipeline_id"] == deal["pipeline_id"]]
    body: Row = {
        "stage_id": {"stage_id": rng.choice(own)},
        "value": {"value": rng.randrange(100, 100_000)},
        "expected_close_date": {"expected_close_date": f"2027-{rng.randrange(1, 13):02}-28"},
        "status": {"status": rng.choice(["won", "lost", "open"])},
        "user_id": {"owner_id": rng.randrange(1, 8)},
    }[kind]
    return f"/sandbox/records/deals/{deal['id']}", body, "PATCH"


def let_time_pass(account: Account, moment: datetime) -> None:
    """Advance the account's clock to the moment, unless it is later already."""
    now = datetime.fromisoformat(account.control("/sandbox/clock")["now"]).astimezone(UTC)
    if moment > now:
        account.control("/sandbox/clock", {"advance_seconds": (moment - now).total_seconds()})


def counted(lines: list[Row]) -> dict[str, int]:
    """Return the number of lines by field."""
    return {kind: sum(line["field_key"] == kind for line in lines) for kind in KINDS}


def in_versions(lines: list[Row], versions: list[dict[int, Row]]) -> tuple[dict[str, int], dict[str, int]]:
    """Return by field the changes that follow from deals at each run, and those whose second they record."""
    known, exact = dict.fromkeys(KINDS, 0), dict.fromkeys(KINDS, 0)
    times = {"stage_id": "stage_change_time", "status": "close_time"}
    changed = {
        (line["deal_id"], line["field_key"], line["time"].replace(" ", "T").rstrip("Z")) for line in lines
    }
    for before, after in pairwise(versions):
        for id_, row in after.items():
            for kind in KINDS:
                key = {"user_id": "owner_id"}.get(kind, kind)
                if id_ in before and row[key] != before[id_][key]:
                    known[kind] += 1
                    moment = row[times.get(kind, "update_time")] or row["update_time"]
                    exact[kind] += (id_, kind, moment.replace(" ", "T").rstrip("Z")) in changed
    return known, exact


def report(deals: int, seen: dict[str, Seen]) -> str:
    """Return the tables in Markdown."""
    tokens, misses = [], []
    for name, found in seen.items():
        tokens.append(
            [
                name,
                str(found.runs),
                f"{found.other_tokens:,}",
                f"{found.stage_tokens:,}",
                f"{found.log_tokens:,}",
                f"{found.first_stage_tokens:,}",
                f"{found.first_tokens:,}",
            ]
        )
        for kind, count in found.changes.items():
            misses.append(
                [
                    f"`{kind}`",
                    name,
                    str(count),
                    str(found.logged[kind]),
                    str(found.logged[kind] if kind == "stage_id" else found.versioned[kind]),
                    str(found.versioned[kind]),
                    str(found.exact[kind]),
                ]
            )
    head = ["run every", "runs", "`none`", "`stage`: more", "`all`: more", "`stage`: once", "`all`: once"]
    columns = ["field", "run every", "changes", "`all`", "`stage`", "`none`", "of them to the second"]
    about = f"Tokens for the deals and their history, {deals:,} deals, a working day of twelve hours:"
    return "\n\n".join(
        [
            about,
            table(head, tokens),
            "Changes in that day, and those that are known after it:",
            table(columns, misses),
        ]
    )


if __name__ == "__main__":
    main()
