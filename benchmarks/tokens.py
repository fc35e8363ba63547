"""The cost in API tokens of a full load of the default streams, and of a run without changes, for accounts of
several sizes.

    python benchmarks/tokens.py 500 5000 50000
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
from account import UNLIMITED, sandbox
from measure import machine, run, table

LINE_ITEMS = "GET /api/v2/deals/products"
HISTORY = "GET /api/v1/deals/{id}/changelog"


@dataclass(frozen=True)
class Spent:
    """The tokens that one account cost."""

    deals: int
    with_items: int
    """Deals with line items."""

    full: dict[str, int]
    """Those of a full load, by endpoint."""

    next: dict[str, int]
    """Those of the next run with nothing new, by endpoint, which may look once for archived leads."""

    later: dict[str, int]
    """Those of the run after it, with nothing new either."""

    seconds: float
    """The time of that last run, of the tap alone."""


def measure(folder: Path, sizes: Sequence[int]) -> tuple[list[list[str]], str]:
    """Return rows for the table of goals, and a separate table."""
    accounts = []
    for deals in sizes:
        own = folder / str(deals)
        own.mkdir()
        accounts.append(spend(own, deals))
    goals = []
    for account in accounts:
        history = account.full.get(HISTORY, 0)
        items = account.full.get(LINE_ITEMS, 0)
        least = 10 * math.ceil(account.with_items / 100)
        name = f"{account.deals:,} deals"
        goals += [
            [f"full load without history, {name}, tokens", f"{sum(account.full.values()) - history:,}", ""],
            [f"a run with nothing new, {name}, tokens", f"{sum(account.later.values()):,}", "≤ 125"],
            [f"a run with nothing new, {name}, the tap alone", f"{account.seconds:.1f} s", ""],
            [
                f"line items of {account.with_items:,} deals, tokens",
                f"{items:,}",
                f"{least:,}: 10 per 100 deals that have any",
            ],
        ]
    about = (
        "The tap's own choice of streams. `next` is the run after the full load, `later` the one after it; "
        "nothing is new in both."
    )
    return goals, f"{about}\n\n{by_endpoint(accounts)}"


def spend(folder: Path, deals: int) -> Spent:
    """Load an account of that size, and run again without changes."""
    messages = folder / "messages.jsonl"
    with sandbox(folder, deals, "--burst", str(UNLIMITED)) as account:
        settings = {"daily_token_share": 1}  # otherwise the history of a large account takes several days
        account.config.write_text(json.dumps(json.loads(account.config.read_text()) | settings))
        run(account.tap(), stdout=messages, folder=folder)
        full = account.spent()
        with_items = sum(
            bool(message["record"]["products_count"])
            for message in map(json.loads, messages.open())
            if message["type"] == "RECORD" and message["stream"] == "deals"
        )
        state = last_state(messages, folder / "state.json")
        run(account.tap(state), stdout=messages, folder=folder)
        following = account.spent()
        (again,) = run(account.tap(last_state(messages, state)), folder=folder)
        later = account.spent()
    messages.unlink()
    return Spent(deals, with_items, full, following, later, again.wall)


def last_state(messages: Path, state: Path) -> Path:
    """Write the last state of a run's messages into a file, and return its path."""
    last = None
    for message in map(json.loads, messages.open()):
        if message["type"] == "STATE":
            last = message["value"]
    state.write_text(json.dumps(last))
    return state


def by_endpoint(accounts: Sequence[Spent]) -> str:
    """Return the tokens of each endpoint, and their sum, in a column for each kind of run and account."""
    kinds = {
        "full": [account.full for account in accounts],
        "next": [account.next for account in accounts],
        "later": [account.later for account in accounts],
    }
    columns = [
        (f"{kind}, {account.deals:,} deals", spent)
        for kind, each in kinds.items()
        for account, spent in zip(accounts, each, strict=True)
    ]
    largest = accounts[-1].full
    names = sorted({name for _, spent in columns for name in spent}, key=lambda name: -largest.get(name, 0))
    rows = [[name, *(f"{spent.get(name, 0):,}" for _, spent in columns)] for name in names]
    rows.append(["all", *(f"{sum(spent.values()):,}" for _, spent in columns)])
    return table(["tokens", *(title for title, _ in columns)], rows)


@click.command()
@click.argument("deals", type=int, nargs=-1, required=True)
def main(deals: tuple[int, ...]) -> None:
    """Measure the tokens of accounts of these sizes."""
    click.echo(machine())
    with tempfile.TemporaryDirectory() as folder:
        goals, text = measure(Path(folder), deals)
    click.echo(f"\n{table(['', 'measured', 'wanted'], goals)}\n\n{text}")


if __name__ == "__main__":
    main()
