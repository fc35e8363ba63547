"""The cost in API tokens of a full load of the default streams, and of a run without changes."""

from __future__ import annotations

import json
import math
from pathlib import Path

from account import UNLIMITED, sandbox
from measure import run, table

LINE_ITEMS = "GET /api/v2/deals/products"


def measure(folder: Path, deals: int) -> tuple[list[list[str]], str]:
    """Return rows for the table of goals, and a separate table."""
    messages, state = folder / "messages.jsonl", folder / "state.json"
    with sandbox(folder, deals, "--burst", str(UNLIMITED)) as account:
        run(account.tap(), stdout=messages, folder=folder)
        full = account.spent()
        with_items = 0
        for line in messages.open():
            message = json.loads(line)
            if message["type"] == "STATE":
                state.write_text(json.dumps(message["value"]))
            elif message["type"] == "RECORD" and message["stream"] == "deals":
                with_items += bool(message["record"]["products_count"])
        (again,) = run(account.tap(state), folder=folder)
        nothing_new = account.spent()
    goals = [
        ["a run with nothing new, tokens", f"{sum(nothing_new.values()):,}", "≤ 150"],
        ["a run with nothing new, the tap alone", f"{again.wall:.1f} s", ""],
        [
            f"line items of {with_items:,} deals, tokens",
            f"{full.get(LINE_ITEMS, 0):,}",
            f"{10 * math.ceil(with_items / 100):,}: 10 per 100 deals that have any",
        ],
    ]
    names = sorted(full.keys() | nothing_new.keys(), key=lambda name: -full.get(name, 0))
    rows = [[name, f"{full.get(name, 0):,}", f"{nothing_new.get(name, 0):,}"] for name in names]
    rows.append(["all", f"{sum(full.values()):,}", f"{sum(nothing_new.values()):,}"])
    about = f"The tap's own choice of streams, {deals:,} deals, {with_items:,} of them with line items."
    return goals, f"{about}\n\n{table(['tokens', 'full load', 'nothing new'], rows)}"
