"""A full load of the big lists over a slow network compared with a bare downloader, and the tokens of runs."""

from __future__ import annotations

import time
from pathlib import Path

from account import BIG_LISTS, sandbox
from measure import BIN, HERE, Command, Cost, run, table

LATENCY_SECONDS = 0.15
WINDOW_SECONDS = 2.5
"""Seconds after which requests of an earlier run are outside the burst window."""


def measure(folder: Path, deals: int) -> tuple[list[list[str]], str]:
    """Return rows for the table of goals, and a separate table."""
    with sandbox(folder, deals, "--burst", "20") as account:
        account.select(*BIG_LISTS)
        account.read()  # the sandbox renders each page once
        account.control("/sandbox/latency", {"seconds": LATENCY_SECONDS})
        account.spent()
        download: Command = [BIN / "python", HERE / "bare.py", "download", account.url, *BIG_LISTS]
        costs: dict[str, tuple[Cost, int]] = {}
        for name, command in (("bare downloader, a thread a list", download), ("tap", account.tap())):
            time.sleep(WINDOW_SECONDS)
            (cost,) = run(command, folder=folder)
            costs[name] = cost, sum(account.spent().values())
    (bare, bare_tokens), (tap, tap_tokens) = costs.values()
    goals = [
        ["full load at 150 ms, against the bare downloader", f"× {tap.wall / bare.wall:.2f}", "≤ 1.3"],
        ["its tokens, against the downloader's", f"× {tap_tokens / bare_tokens:.3f}", "≤ 1.02"],
    ]
    rows = [
        [name, f"{cost.wall:.1f} s", f"{cost.cpu:.1f} s", f"{cost.memory:.0f} MB", f"{tokens:,}"]
        for name, (cost, tokens) in costs.items()
    ]
    about = f"{', '.join(BIG_LISTS)} of {deals:,} deals, 150 ms an answer, 20 requests in 2 s."
    return goals, f"{about}\n\n{table(['', 'wall', 'CPU', 'memory', 'tokens'], rows)}"
