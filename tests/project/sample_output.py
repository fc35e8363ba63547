"""Writes the output of `make run` that the READMEs show (`make sample`); a test compares it.

Each sample is a block of code after a comment such as `<!-- sample: first -->`.
"""

import re
import tempfile
from pathlib import Path

from .clone import Clone
from .documents import ENGLISH, PORTUGUESE

SAMPLES = ("first", "second")
"""The first run in a fresh clone, and the second run."""

SHOWN = {
    "first": re.compile(
        r"(?!Look |Stop |Run )[A-Z]"  # steps of the run, without hints how to continue
        r"|  (users|deals|deal_changes): [\d,]+ rows in|  dbt: "
        r"|table of schema|(activities|deals)  |[a-z]+( [a-z]+)+  (?!.* (EUR|JPY|PTS|USD)  )|[\d,]+ API tokens"
    ),
    "second": re.compile(r"Incremental|  deals: [\d,]+ rows in|[\d,]+ API tokens"),
}
"""Beginnings of the lines that are shown; others are replaced by a line with dots."""


def abridged(sample: str, output: str) -> str:
    """Return the lines of a run's output that its sample shows."""
    lines: list[str] = []
    for line in output.strip().splitlines():
        is_after_text = bool(lines) and lines[-1].strip() not in ("", "…")
        if SHOWN[sample].match(line) or (not line and is_after_text):
            lines.append(line)
        elif line and is_after_text:
            lines.append("  …" if line.startswith("  ") else "…")
    while lines[-1].strip() in ("", "…"):
        lines.pop()
    return "\n".join(lines) + "\n"


def sample_in(readme: Path, sample: str) -> str:
    """Return the text of a sample in a README."""
    _, found, rest = readme.read_text().partition(f"<!-- sample: {sample} -->\n```text\n")
    assert found, f"{readme.name} has no sample: {sample}"
    return rest.partition("```\n")[0]


def shape(line: str) -> str:
    """Return what a line has in common in any run: its words without numbers, or the first cell of a table's
    row.
    """
    first_cell = re.split(r" {2,}", line)[0] if line[:1].isalpha() else line
    return re.sub(r"\d[\d,.:]*", "0", first_cell)


def lines_that_no_run_prints(sample: str, output: str) -> list[str]:
    """Return the lines of a sample that a run's output does not contain in this order, ignoring numbers."""
    printed = iter([shape(line) for line in output.splitlines()])
    wanted = [line for line in sample.splitlines() if line.strip() not in ("", "…")]
    return [line for line in wanted if shape(line) not in printed]


def main() -> None:
    """Run the demo twice in a clone, and write what it prints into both READMEs."""
    with tempfile.TemporaryDirectory() as folder:
        clone = Clone.make(Path(folder), {})
        clone.haste = {"DEALS": "5000"}
        outputs = {sample: clone.run("make run") for sample in SAMPLES}
        clone.run("make clean")
    for readme in (ENGLISH, PORTUGUESE):
        for sample, output in outputs.items():
            former, shown = sample_in(readme, sample), abridged(sample, output)
            readme.write_text(readme.read_text().replace(former, shown))


if __name__ == "__main__":
    main()
