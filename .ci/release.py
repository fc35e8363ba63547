"""Checks of a release for `make release-check` and `make release-notes`, with the tag as TAG=v0.1.0."""

import re
import sys
import tomllib
from collections.abc import Iterator
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CHANGELOG = "CHANGELOG.md"
PROJECTS = (".", "tap-pipedrive", "sandbox", "warehouse", "plugins/tap-hubspot", "orchestrate/airflow")
"""Folders of the projects that share one version."""


def versions(root: Path) -> Iterator[tuple[str, str]]:
    """Yield each place that names the version, with its value."""
    for folder in PROJECTS:
        path = root / folder / "pyproject.toml"
        yield str(path.relative_to(root)), tomllib.loads(path.read_text())["project"]["version"]
    (label,) = re.findall(r"^ARG VERSION=(\S+)$", (root / "Dockerfile").read_text(), re.MULTILINE)
    yield "Dockerfile", label


def section(root: Path, version: str) -> str:
    """Return the text of a version's section in the changelog, or nothing."""
    text = (root / CHANGELOG).read_text()
    heading = rf"^## \[{re.escape(version)}\](?: - (\S+))?\n"
    found = re.search(heading + r"(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return found[2].strip() if found else ""


def problems(root: Path, tag: str) -> Iterator[str]:
    """Yield a sentence for each reason why a tag cannot be released."""
    version = tag.removeprefix("v")
    if not re.fullmatch(r"v\d+\.\d+\.\d+", tag):
        yield f"The tag {tag} is not of the form v1.2.3."
        return
    for place, said in versions(root):
        if said != version:
            yield f"{place} has the version {said}, and the tag is {tag}."
    dated = re.search(rf"^## \[{re.escape(version)}\] - (\S+)$", (root / CHANGELOG).read_text(), re.MULTILINE)
    if not section(root, version) or not dated:
        yield f"{CHANGELOG} has no section `## [{version}] - <date>` with entries."
        return
    try:
        date.fromisoformat(dated[1])
    except ValueError:
        yield f"{CHANGELOG} has no date of the form 2026-01-31 for {version}."
    if section(root, "Unreleased"):
        yield f"{CHANGELOG} has entries under Unreleased, which belong to {version} or to a later release."


def main() -> None:
    """Check a tag, or print its notes."""
    verb, tag = sys.argv[1:]
    found = list(problems(ROOT, tag))
    if found:
        sys.exit("\n".join(found))
    notes = section(ROOT, tag.removeprefix("v"))
    sys.stdout.write(f"{notes if verb == 'notes' else f'{tag} can be released.'}\n")


if __name__ == "__main__":
    main()
