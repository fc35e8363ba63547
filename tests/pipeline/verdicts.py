"""Builds and reads `load_completeness` in a warehouse. It uses only the models that it needs, because dbt
parses the whole project more slowly than it builds these.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from subprocess import PIPE
from typing import Any, NamedTuple

import psycopg

from .. import warm
from .pipe import ROOT, connection_variables

PROJECT = ROOT / "transform"
SOURCES = Path("models/staging/pipedrive/_pipedrive__sources.yml")


class Verdict(NamedTuple):
    """A row of `load_completeness`."""

    verdict: str
    complete_as_of: datetime | None
    last_run_id: str
    undone_detail: str | None
    differences: str | None


class Judge:
    """Builds `load_completeness` in a database, and reads it."""

    def __init__(self, dbt: Path, folder: Path) -> None:
        """`dbt` is the program; `folder` is an empty folder for its project and files."""
        self._dbt = dbt
        self._folder = folder
        for path in (Path("dbt_project.yml"), Path("macros"), SOURCES, *needed("load_completeness")):
            link = folder / "project" / path
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(PROJECT / path)

    def verdicts(self, database: str, connection: Mapping[str, Any]) -> dict[str, Verdict]:
        """Return the verdict on each stream that some run has reported."""
        environment = os.environ | connection_variables(connection)
        environment |= {
            "DBT_PROFILES_DIR": str(PROJECT),
            "DBT_PROJECT_DIR": str(self._folder / "project"),
            "DBT_TARGET_PATH": str(self._folder / "target"),
            "DBT_LOG_PATH": str(self._folder),
            "DBT_LOG_LEVEL_FILE": "none",
            "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        }
        command: list[str | Path] = [self._dbt, "--no-use-colors", "--no-write-json", "run"]
        log = self._folder / "errors.log"
        with (
            log.open("w") as errors,
            warm.start(command, stdout=PIPE, stderr=errors, environment=environment) as process,
        ):
            output, _ = process.communicate()
        assert process.returncode == 0, output.decode() + log.read_text()
        with psycopg.connect(database) as connected:
            columns = ", ".join(Verdict._fields)
            rows = connected.execute(f"select stream, {columns} from marts.load_completeness".encode())
            return {stream: Verdict(*said) for stream, *said in rows}


@cache
def needed(model: str) -> frozenset[Path]:
    """Return the project's files of a model and of all its parents."""
    (file,) = PROJECT.glob(f"models/**/{model}.sql")
    found = {file.relative_to(PROJECT)}
    return frozenset(found.union(*map(needed, re.findall(r"ref\('(\w+)'\)", file.read_text()))))
