"""`.github`: workflows and updates match their schemas and good practice, and run commands that work here."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.layers import PROGRAMS
from tests.project.documents import ROOT
from tests.service.programs import cloud_program, deploy_program

pytestmark = pytest.mark.clouds

GITHUB = ROOT / ".github"
FILES = sorted((GITHUB / "workflows").glob("*.yml"))
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.findall(r"^([a-z-]+):.*## ", MAKEFILE, re.MULTILINE))


def workflow(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((GITHUB / "workflows" / f"{name}.yml").read_text())
    return loaded


WORKFLOWS = {path.stem: workflow(path.stem) for path in FILES}
JOBS = {(name, job): found for name, each in WORKFLOWS.items() for job, found in each["jobs"].items()}


def steps() -> Iterator[tuple[str, dict[str, Any]]]:
    for (name, job), found in JOBS.items():
        for step in found["steps"]:
            yield f"{name}/{job}", step


def commands(job: dict[str, Any]) -> Iterator[str]:
    """Return the commands of a job, once for each value of its matrix."""
    matrix = job.get("strategy", {}).get("matrix", {})
    for step in job["steps"]:
        command = step.get("run", "")
        names = re.findall(r"\$\{\{ matrix\.(\w+) \}\}", command)
        if not names:
            yield from command.splitlines()
        for name in names:
            for value in matrix[name]:
                yield command.replace(f"${{{{ matrix.{name} }}}}", value)


def test_files_match_their_schemas() -> None:
    check = deploy_program("check-jsonschema")
    subprocess.run([check, "--builtin-schema", "vendor.github-workflows", *FILES], check=True)
    subprocess.run([check, "--builtin-schema", "vendor.dependabot", GITHUB / "dependabot.yml"], check=True)
    templates = sorted((GITHUB / "ISSUE_TEMPLATE").glob("[!c]*.yml"))
    for template in templates:
        assert {"name", "description", "body"} <= yaml.safe_load(template.read_text()).keys(), template
    assert len(templates) == 2


def zizmor(folder: Path) -> subprocess.CompletedProcess[str]:
    command = str(cloud_program("zizmor"))
    return subprocess.run([command, "--offline", folder], capture_output=True, text=True, check=False)


def test_the_scanner_finds_no_problem() -> None:
    done = zizmor(GITHUB)
    assert done.returncode == 0, done.stdout


def test_the_scanner_finds_an_inserted_problem(tmp_path: Path) -> None:
    folder = tmp_path / ".github" / "workflows"
    folder.mkdir(parents=True)
    for path in FILES:
        text = re.sub(r"@[0-9a-f]{40}", "@v1", path.read_text(), count=1)
        (folder / path.name).write_text(text.replace('TAG="$GITHUB_REF_NAME"', "TAG=${{ github.ref_name }}"))
    done = zizmor(tmp_path)
    assert done.returncode != 0
    assert "unpinned-uses" in done.stdout
    assert "template-injection" in done.stdout


def test_commands_are_existing_targets() -> None:
    """Each of them can be run on any machine."""
    found = [(place, command) for place, job in JOBS.items() for command in commands(job)]
    assert len(found) > 20
    for place, command in found:
        call = re.fullmatch(r'make ([a-z-]+)(?: [A-Z]+=(?:[\w$-]+|"[\w$./-]+"))*', command)
        assert call, f"{place}: {command}"
        assert call[1] in TARGETS, f"{place}: {command}"


def test_ci_runs_every_layer_and_every_folder_of_tests() -> None:
    called = {
        command.split()[1] for (name, _), job in JOBS.items() if name == "ci" for command in commands(job)
    }
    recipes = dict(re.findall(r"^([a-z-]+):.*## .*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE))
    run = "\n".join(recipes[target] for target in called)
    folders = {path.name for path in (ROOT / "tests").iterdir() if list(path.glob("test_*.py"))}
    by_marker = {"service": ("service", "airflow", "image"), "clouds": ("clouds",), "observe": ("observe",)}
    for folder in folders:
        markers = by_marker.get(folder, ())
        assert f"tests/{folder}" in run or (all(f"-m {marker}" in run for marker in markers) and markers), (
            folder
        )
    apart = {"next_dbt", "terraform"}  # weekly, as part of the layer clouds
    assert all(f"-m {layer}" in run or f"tests/{layer}" in run for layer in PROGRAMS.keys() - apart)


def test_python_versions_equal_those_of_the_packages() -> None:
    tap = (ROOT / "tap-pipedrive/pyproject.toml").read_text()
    supported = set(re.findall(r"Python :: (3\.\d+)", tap))
    matrix = {name: set(JOBS["ci", name]["strategy"]["matrix"]["python"]) for name in ("tap", "tap-alone")}
    assert matrix["tap"] | matrix["tap-alone"] == supported


def test_actions_are_pinned_and_have_few_rights() -> None:
    text = "\n".join(path.read_text() for path in FILES)
    for used in re.findall(r"uses: (.*)", text):
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+", used), used
    versions = {tuple(used.split("@")) for used in re.findall(r"uses: (\S+)", text)}
    assert len({name for name, *_ in versions}) == len(versions), "an action has two versions"
    for name, each in WORKFLOWS.items():
        assert each["permissions"] == {"contents": "read"}, name
    granted = {
        (name, job): {right for right, kind in found.get("permissions", {}).items() if kind == "write"}
        for (name, job), found in JOBS.items()
    }
    assert {place: rights for place, rights in granted.items() if rights} == {
        ("release", "publish"): {"id-token"},
        ("release", "image"): {"packages"},
        ("release", "site"): {"id-token", "pages"},
        ("release", "notes"): {"contents"},
        ("deploy", "plan"): {"id-token"},
        ("deploy", "apply"): {"id-token"},
    }
    assert all("timeout-minutes" in found for found in JOBS.values())
    assert set(re.findall(r"secrets\.\w+", text)) == set(), "no key is stored"


def test_jobs_that_publish_need_the_approval_of_an_environment() -> None:
    assert JOBS["release", "publish"]["environment"] == "pypi"
    assert JOBS["deploy", "apply"]["environment"] == "production"
    assert JOBS["deploy", "apply"]["needs"] == "plan"
    assert JOBS["deploy", "apply"]["if"] == "github.event_name == 'workflow_dispatch'"
    (image,) = [
        step["with"]
        for place, step in steps()
        if place == "release/image" and "target" in step.get("with", {})
    ]
    assert (image["provenance"], image["sbom"]) == ("mode=max", True)


def test_updates_are_grouped_and_monthly_for_all_ecosystems() -> None:
    updates = yaml.safe_load((GITHUB / "dependabot.yml").read_text())["updates"]
    assert all(each["schedule"] == {"interval": "monthly"} for each in updates)
    assert all(list(each["groups"].values()) == [{"patterns": ["*"]}] for each in updates)
    folders = {
        (each["package-ecosystem"], folder)
        for each in updates
        for folder in each.get("directories", [each.get("directory")])
    }
    locks = {path.parent for path in ROOT.glob("**/uv.lock") if ".run" not in path.parts}
    wanted = {("uv", f"/{path.relative_to(ROOT)}".replace("/.", "/")) for path in locks}
    assert wanted <= folders
    assert {kind for kind, _ in folders} == {"github-actions", "uv", "docker", "docker-compose", "terraform"}
