"""The dashboards as exposures of dbt, so that its lineage shows which marts they stand on: `make generate`."""

import re
import sys
from pathlib import Path

import yaml

from analyze.definitions import Dashboard, dashboards, rows

PATH = Path(__file__).parents[1] / "transform/models/marts/_dashboards.yml"
INFLUENCE = {"influence": {"deals_wide"}}
"""Marts behind rows whose statement is made from the account."""


def marts_of(dashboard: Dashboard) -> list[str]:
    """Return the marts that a dashboard reads."""
    read = dict(INFLUENCE)
    read |= {name: set(re.findall(r"\bmarts\.(\w+)", each.sql)) for name, each in rows().items()}
    return sorted(set().union(*(read[chart.rows] for chart in dashboard.charts)))


def exposures() -> str:
    """Return the file of exposures."""
    found = []
    for each in dashboards():
        lines = [each.about.en, "", *(f"- {chart.question.en}" for chart in each.charts)]
        exposure = {
            "name": f"dashboard_{each.name}",
            "label": each.title.en,
            "type": "dashboard",
            "maturity": "high",
            "owner": {"name": "Pipedrive warehouse"},
            "description": "\n".join(lines) + "\n",
            "depends_on": [f"ref('{mart}')" for mart in marts_of(each)],
        }
        found.append(exposure)
    note = "# Written by `make generate` from analyze/dashboards.\n"
    return note + yaml.dump(
        {"exposures": found}, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100
    )


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as they are read."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def main() -> None:
    """Write the file if it is not up to date, and name it."""
    text = exposures()
    if not PATH.exists() or PATH.read_text() != text:
        PATH.write_text(text)
        sys.stdout.write(f"{PATH.name}\n")


if __name__ == "__main__":
    main()
