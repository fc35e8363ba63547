"""The tap alone: rows per second compared with a bare loop, memory and time at ten times the rows, start-up."""

from __future__ import annotations

import json
from dataclasses import astuple
from pathlib import Path

import msgspec
from account import recording
from measure import BIN, HERE, Cost, run, table


def measure(folder: Path, deals: int) -> tuple[list[list[str]], str]:
    """Return rows for the table of goals, and a separate table."""
    sizes = (deals, 10 * deals)
    taps: list[Cost] = []
    for size in sizes:
        place = folder / f"deals-{size}"
        place.mkdir()
        with recording(place, size) as account:
            runs = [account.read() for _ in range(3)]
            taps.append(Cost(*(min(each) for each in zip(*map(astuple, runs), strict=True))))
    run([BIN / "python", HERE / "bare.py", "loop", place / "pages"], folder=place)
    bare_wall, bare_cpu = json.loads((place / "0.log").read_text())
    more = sizes[1] - sizes[0]
    wall, cpu = more / (taps[1].wall - taps[0].wall), more / (taps[1].cpu - taps[0].cpu)
    version = min(run([BIN / "tap-pipedrive", "--version"], folder=folder)[0].wall for _ in range(3))
    goals = [
        ["tap alone, deals per CPU second", f"{cpu:,.0f}", "≥ 15,000"],
        ["its share of the bare loop", f"{cpu / bare_cpu:.2f}", "≥ 0.25"],
        ["time at ten times the rows", f"× {taps[1].wall / taps[0].wall:.1f}", "≤ 10.5"],
        [
            "memory of the tap at ten times the rows",
            f"{taps[1].memory:.0f} MB (before: {taps[0].memory:.0f})",
            "< 250 MB",
        ],
        ["start-up, `tap-pipedrive --version`", f"{version:.2f} s", "< 1.5 s"],
    ]
    about = describe(place / "pages")
    rows = [
        ["bare loop: decode, encode, write", f"{bare_wall:,.0f}", f"{bare_cpu:,.0f}", "", ""],
        ["tap", f"{wall:,.0f}", f"{cpu:,.0f}", *(f"{cost.memory:.0f} MB" for cost in taps)],
    ]
    head = ["", "deals/s", "deals/CPU s", *(f"memory, {size:,} deals" for size in sizes)]
    return goals, f"{about} The tap's rates are of the rows beyond {sizes[0]:,}.\n\n{table(head, rows)}"


def describe(pages: Path) -> str:
    """Describe the deals."""
    page = next(iter(sorted(pages.iterdir()))).read_bytes()
    deals = msgspec.json.decode(page)["data"]
    keys = {key for deal in deals for key in deal["custom_fields"]}
    filled = sum(len(deal["custom_fields"]) for deal in deals) / len(deals)
    return (
        f"Deals with {len(keys)} custom fields, {filled:.0f} of them filled, "
        f"{len(page) / len(deals) / 1000:.1f} kB of JSON each, served from memory."
    )
