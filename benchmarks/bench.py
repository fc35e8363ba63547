"""Measures everything, prints it, and writes it into README.md.

    python benchmarks/bench.py [quick]

Each measurement is a module with a function `measure`, which returns rows for the table of goals, and its own
tables.
"""

from __future__ import annotations

import re
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click
import hot_path
import models
import network
import tokens
from measure import HERE, Failed, machine, table

import warehouse

Measurement = tuple[list[list[str]], str]

SIZES = {
    "full": (5_000, 10_000, (500, 5_000, 50_000), len(warehouse.ALTERNATIVES), 50_000),
    "quick": (2_000, 1_000, (300,), 3, 2_000),
}
"""Deals on the hot path, end to end, and for the tokens; settings of the target to try; deals to model."""

README = HERE / "README.md"


@click.command()
@click.argument("size", type=click.Choice(list(SIZES)), default="full")
def main(size: str) -> None:
    """Measure; only a full run is written into README.md."""
    hot, pipeline, accounts, alternatives, modelled = SIZES[size]
    parts: dict[str, Callable[[Path], Measurement]] = {
        "The hot path": lambda folder: hot_path.measure(folder, hot),
        "A slow network": lambda folder: network.measure(folder, pipeline),
        "Into Postgres": lambda folder: warehouse.measure(folder, pipeline, alternatives),
        "Tokens": lambda folder: tokens.measure(folder, accounts),
        "Models": lambda folder: models.measure(folder, modelled),
    }
    about, begun = machine(), time.monotonic()
    goals: list[list[str]] = []
    texts = []
    for title, measure in parts.items():
        click.echo(f"{title} …", err=True)
        with tempfile.TemporaryDirectory() as folder:
            try:
                found, text = measure(Path(folder))
            except Failed as problem:
                sys.exit(str(problem))
        goals += found
        texts.append(f"## {title}\n\n{text}")
    minutes = (time.monotonic() - begun) / 60
    goals_table = table(["", "measured", "wanted"], goals)
    report = "\n\n".join([f"{about}. Measured in {minutes:.0f} minutes.", goals_table, *texts])
    click.echo(report)
    if size == "full":
        page = README.read_text()
        marked = re.compile("(?<=<!-- measured -->\n).*(?=<!-- end -->)", re.DOTALL)
        README.write_text(marked.sub(lambda _: f"\n{report}\n\n", page))


if __name__ == "__main__":
    main()
