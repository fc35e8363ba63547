"""Writes the dashboards and the review as dbt exposures, whose lineage shows their marts, for `make
generate`.
"""

import re
import sys
from pathlib import Path
from typing import Any

import yaml

from analyze.as_of import all_rows
from analyze.definitions import Dashboard, dashboards
from analyze.review.gather import definitions

PATH = Path(__file__).parents[1] / "transform/models/marts/_dashboards.yml"
MART = re.compile(r"\bmarts\.(\w+)")

INFLUENCE = {"influence": {"deals_wide"}}
"""Marts behind rows whose query depends on the account."""


def marts_of(dashboard: Dashboard) -> list[str]:
    """Return the marts that a dashboard reads."""
    read = dict(INFLUENCE)
    read |= {name: set(MART.findall(each.sql)) for name, each in all_rows().items()}
    used = [f"as_of_{dashboard.name}", *(chart.rows for chart in dashboard.charts)]
    return sorted(set().union(*(read[name] for name in used)))


def exposures() -> str:
    """Return the file of exposures."""
    found = []
    for each in dashboards():
        questions = [f"- {chart.question.en}" for chart in each.charts]
        lines = [each.about.en, "", *questions]
        found.append(_exposure(f"dashboard_{each.name}", each.title.en, "dashboard", lines, marts_of(each)))
    review = definitions()
    statements = [review.movement, *(each.sql for each in review.sections)]
    marts = sorted({mart for each in statements for mart in MART.findall(each)})
    titles = [f"- {each.title.en}" for each in review.sections]
    lines = ["Changes of the pipeline last week, and tasks for each owner.", "", *titles]
    found.append(_exposure("monday_review", review.words["title"].en, "application", lines, marts))
    note = "# Written by `make generate` from analyze/dashboards and analyze/review.\n"
    return note + yaml.dump(
        {"exposures": found}, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100
    )


def _exposure(name: str, label: str, kind: str, lines: list[str], marts: list[str]) -> dict[str, Any]:
    return {
        "name": name,
        "label": label,
        "type": kind,
        "maturity": "high",
        "owner": {"name": "Pipedrive warehouse"},
        "description": "\n".join(lines) + "\n",
        "depends_on": [f"ref('{mart}')" for mart in marts],
    }


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as literal blocks."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def main() -> None:
    """Write the file if it is not up to date, and print its name."""
    text = exposures()
    if not PATH.exists() or PATH.read_text() != text:
        PATH.write_text(text)
        sys.stdout.write(f"{PATH.name}\n")


if __name__ == "__main__":
    main()
