"""Layers are tests that need additional programs. `make test` runs those whose programs are installed."""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

OWN = Path(__file__).parents[1] / ".run/uv/bin"
"""The folder in which the Makefile installs uv."""

PROGRAMS: dict[str, tuple[str, ...]] = {
    "airflow": ("redis-server",),
    "service": ("redis-server", "unshare"),
    "image": ("buildah", "debootstrap"),
    "next_dbt": ("uv",),
    "terraform": ("terraform",),
    "look": ("chromium",),
    "clouds": ("redis-server", "unshare", "uv"),
    "observe": (
        "prometheus",
        "promtool",
        "prometheus-pushgateway",
        "prometheus-alertmanager",
        "amtool",
        "prometheus-postgres-exporter",
    ),
}
"""The programs that each layer needs, by the layer's marker."""


def missing_programs(markers: Iterable[str]) -> list[str]:
    """Return the programs that tests with these markers need and that are not installed."""
    needed = {program for marker in markers for program in PROGRAMS.get(marker, ())}
    return sorted(program for program in needed if find(program) is None)


def find(program: str) -> str | None:
    """Return the path of a program of the system or of the project, or None."""
    return shutil.which(program, path=os.pathsep.join([os.environ.get("PATH", os.defpath), str(OWN)]))
