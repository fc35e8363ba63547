"""A release: versions, the changelog, licences, and packages that can be installed."""

import re
import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

from tests.layers import find
from tests.project.documents import PUBLISH, ROOT, blocks, load
from tests.service.programs import environment

pytestmark = pytest.mark.clouds

VERSION = "0.1.0"


@pytest.fixture(scope="module")
def release() -> ModuleType:
    return load(ROOT / ".ci/release.py")


@pytest.fixture
def project(release: ModuleType, tmp_path: Path) -> Path:
    """The files of this version that are checked for a release, with nothing under Unreleased."""
    for name in (*(f"{folder}/pyproject.toml" for folder in release.PROJECTS), "Dockerfile", "CHANGELOG.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    changelog = tmp_path / "CHANGELOG.md"
    changelog.write_text(
        re.sub(r"(?s)## \[Unreleased\]\n.*?(?=## \[)", "## [Unreleased]\n\n", changelog.read_text())
    )
    return tmp_path


def test_this_version_can_be_released(release: ModuleType, project: Path) -> None:
    assert list(release.problems(project, f"v{VERSION}")) == []
    assert "### Upgrading" in release.section(project, VERSION)
    assert len(release.section(project, VERSION)) > 1000


@pytest.mark.parametrize(
    ("file", "right", "wrong", "said"),
    [
        ("tap-pipedrive/pyproject.toml", 'version = "0.1.0"', 'version = "0.2.0"', "has the version 0.2.0"),
        ("Dockerfile", "ARG VERSION=0.1.0", "ARG VERSION=0.0.9", "Dockerfile has the version 0.0.9"),
        ("CHANGELOG.md", "## [0.1.0]", "## [0.1.1]", "has no section"),
        ("CHANGELOG.md", "## [0.1.0] - 2026", "## [0.1.0] - summer 2026", "has no section"),
        ("CHANGELOG.md", "## [0.1.0] - 2026", "## [0.1.0] - 26", "no date"),
        ("CHANGELOG.md", "## [Unreleased]\n", "## [Unreleased]\n\n- More.\n", "under Unreleased"),
    ],
)
def test_reasons_against_a_release_are_reported(
    release: ModuleType, project: Path, file: str, right: str, wrong: str, said: str
) -> None:
    text = (project / file).read_text()
    assert right in text
    (project / file).write_text(text.replace(right, wrong, 1))
    (problem,) = release.problems(project, f"v{VERSION}")
    assert said in problem


@pytest.mark.parametrize("tag", ["0.1.0", "v0.1", "v0.1.0rc1", "v0.1.0\n"])
def test_a_malformed_tag_is_refused(release: ModuleType, project: Path, tag: str) -> None:
    (problem,) = release.problems(project, tag)
    assert "is not of the form v1.2.3" in problem


@pytest.mark.usefixtures("every_plugin")
def test_no_licence_restricts_distributing_the_image() -> None:
    environment("airflow")
    done = subprocess.run(["make", "-s", "licences"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    listed = [name for line in done.stdout.splitlines() for name in line.partition(": ")[2].split(", ")]
    assert {"meltano", "dbt-core", "singer-sdk", "meltanolabs-target-postgres", "apache-airflow"} <= set(
        listed
    )
    assert not {"pytest", "mypy", "sqlfluff"} & set(listed), "these do not run"
    assert "not said" not in done.stdout


@pytest.mark.parametrize(
    ("said", "is_strong"),
    [
        ("GPL-3.0-or-later", True),
        ("AGPL-3.0-only", True),
        ("GNU General Public License v3 (GPLv3)", True),
        ("GNU Affero General Public License v3", True),
        ("LGPL-3.0-only", False),
        ("GNU Library or Lesser General Public License (LGPL)", False),
        ("Apache-2.0", False),
        ("Mozilla Public License 2.0 (MPL 2.0)", False),
    ],
)
def test_strong_copyleft_is_recognised(said: str, is_strong: bool) -> None:
    licences = load(ROOT / ".ci/licences.py")
    assert bool(licences.STRONG.search(said)) is is_strong


def test_exceptions_are_for_installed_packages() -> None:
    licences = load(ROOT / ".ci/licences.py")
    assert set(licences.REASONS) <= {name for _, name, _ in licences.found()}


def test_packages_are_complete_and_can_be_installed(tmp_path: Path) -> None:
    """They are built as in the workflow: they contain the licence, and the installed programs work without
    this clone.
    """
    uv = find("uv")
    assert uv
    for name in ("tap-pipedrive-warehouse", "pipedrive-sandbox"):
        build = [uv, "build", "--quiet", "--package", name, "--out-dir", str(tmp_path / "dist")]
        subprocess.run(build, cwd=ROOT, check=True)
    wheels = sorted((tmp_path / "dist").glob("*.whl"))
    assert [path.name.split("-")[0] for path in wheels] == ["pipedrive_sandbox", "tap_pipedrive_warehouse"]
    for path in wheels:
        names = zipfile.ZipFile(path).namelist()
        (licence,) = [name for name in names if name.endswith("/licenses/LICENSE")]
        assert zipfile.ZipFile(path).read(licence) == (ROOT / "LICENSE").read_bytes()
        assert not [name for name in names if name.startswith(("tests/", "."))]
    for path in (tmp_path / "dist").glob("*.tar.gz"):
        with tarfile.open(path) as archive:
            assert any(name.endswith("/LICENSE") for name in archive.getnames()), path
    subprocess.run([uv, "venv", "--quiet", str(tmp_path / "venv")], check=True)
    install = [uv, "pip", "install", "--quiet", "--python", str(tmp_path / "venv")]
    subprocess.run([*install, *map(str, wheels)], check=True)
    about = [str(tmp_path / "venv/bin/tap-pipedrive"), "--about"]
    assert VERSION in subprocess.run(about, stdout=subprocess.PIPE, text=True, check=True).stdout
    subprocess.run(
        [str(tmp_path / "venv/bin/pipedrive-sandbox"), "--help"], check=True, stdout=subprocess.DEVNULL
    )


def test_documented_commands_are_targets() -> None:
    """The first one reports what is missing until the day of the release; other tests run the rest."""
    (found,) = [each for each in blocks(PUBLISH) if each.language == "sh"]
    assert found.text.splitlines() == [f"make release-check TAG=v{VERSION}", "make licences", "make packages"]
