"""Environments beside the project's own, made from lock files where a test needs one."""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

from filelock import FileLock

from tests.project.documents import ROOT

OPTIONS = {"deploy": ("--only-group", "deploy"), "airflow": ("--project", "orchestrate/airflow")}
"""What uv needs to know of each: the programs that check the files of deploy/, and Airflow."""


@cache
def environment(name: str) -> Path:
    """Install an environment unless it is there as its lock file says, and return its folder."""
    folder = ROOT / ".run" / name
    folder.parent.mkdir(exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        subprocess.run(
            [
                Path(sys.executable).with_name("uv"),
                "sync",
                "--quiet",
                "--locked",
                *OPTIONS[name],
                "--python",
                sys.executable,
            ],
            cwd=ROOT,
            env={**os.environ, "UV_PROJECT_ENVIRONMENT": str(folder)},
            check=True,
        )
    return folder


def deploy_program(name: str) -> Path:
    """Return the path of a program that checks the files of deploy/."""
    return environment("deploy") / "bin" / name
