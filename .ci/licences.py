"""`make licences` prints the licences of all packages that run, and fails on a GPL or AGPL without a reason.

These two would bind whoever distributes the image. The LGPL and the MPL do not bind programs that only import
them.
"""

import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from importlib.metadata import Distribution, distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

STRONG = re.compile(r"(?<![A-Za-z])A?GPL|(?<!Lesser )General Public License|Affero", re.IGNORECASE)

REASONS: Mapping[str, str] = {
    "text-unidecode": "The Artistic License may be chosen instead; agate, which dbt needs, brings it.",
}
"""Packages with the GPL or AGPL among their licences, and the reason why they may be used."""


def environments() -> Iterator[tuple[str, Path, set[str] | None]]:
    """Yield each environment that runs: its name, its folder, and the packages that belong to it, unless all
    do.
    """
    uv = ROOT / ".run/uv/bin/uv"
    export = [
        uv,
        "export",
        "--quiet",
        "--frozen",
        "--no-default-groups",
        "--no-emit-workspace",
        "--no-hashes",
    ]
    listed = subprocess.run(export, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
    wanted = {canonical(name) for name in re.findall(r"^([A-Za-z0-9._-]+)", listed, re.MULTILINE)}
    yield "project", ROOT / ".venv", wanted
    for folder in sorted((ROOT / ".meltano").glob("*/*/venv")):
        yield folder.parent.name, folder, None
    if (airflow := ROOT / ".run/airflow").exists():
        yield "airflow", airflow, None


def canonical(name: str) -> str:
    """Return a package's name in PyPI's normalized form."""
    return re.sub(r"[-_.]+", "-", name).lower()


def licence(package: Distribution) -> str:
    """Return the licence that a package declares by expression, classifier or text, in one line."""
    said = package.metadata
    if expression := said.get("License-Expression"):
        return str(expression)
    classifiers = [
        each.rpartition(" :: ")[2]
        for each in said.get_all("Classifier") or ()
        if each.startswith("License ::") and not each.endswith("OSI Approved")
    ]
    text = (said.get("License") or "").strip().split("\n")[0][:80]
    return " or ".join(classifiers) or text or "not said"


def found() -> Iterator[tuple[str, str, str]]:
    """Yield environment, package and licence of everything that runs."""
    for name, folder, wanted in environments():
        for package in distributions(path=[str(each) for each in folder.glob("lib/python*/site-packages")]):
            package_name = canonical(package.metadata["Name"])
            if wanted is None or package_name in wanted:
                yield name, package_name, licence(package)


def main() -> None:
    """Print each licence with its packages, and fail if one of them is not allowed."""
    packages: dict[str, set[str]] = defaultdict(set)
    for _, name, said in found():
        packages[said].add(name)
    for said in sorted(packages, key=str.lower):
        sys.stdout.write(f"{said}: {', '.join(sorted(packages[said]))}\n")
    strong = {
        name: said
        for said, names in packages.items()
        for name in names
        if STRONG.search(said) and name not in REASONS
    }
    for name, said in sorted(strong.items()):
        sys.stderr.write(f"{name}: {said}. Replace it, or give a reason for it in .ci/licences.py.\n")
    sys.exit(1 if strong else 0)


if __name__ == "__main__":
    main()
