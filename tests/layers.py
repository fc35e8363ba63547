"""Layers: tests that need programs of their own. `make test` runs those whose programs are installed."""

import shutil
from collections.abc import Iterable

PROGRAMS: dict[str, tuple[str, ...]] = {
    "airflow": ("redis-server",),
    "service": ("redis-server", "unshare"),
    "image": ("buildah", "debootstrap"),
    "look": ("chromium",),
    "clouds": ("java",),
    "observe": ("prometheus",),
}
"""Programs that the tests of each layer need, by the layer's marker."""


def missing_programs(markers: Iterable[str]) -> list[str]:
    """Programs that tests with these markers need, and that are not installed."""
    needed = {program for marker in markers for program in PROGRAMS.get(marker, ())}
    return sorted(program for program in needed if shutil.which(program) is None)
