"""The image: built as `make image` does, small, without secrets, and able to run the whole job.

A registry's base image is not available everywhere: a Debian made by debootstrap replaces it, or the image
named by BASE_IMAGE. Results are kept in `.run/images`, so that only changes are built again.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from embedded_postgres.warehouse import Warehouse
from pipedrive_sandbox.testing import Sandbox

from tests.pipeline.expected import expected
from tests.pipeline.pipe import connection_settings, connection_variables
from tests.pipeline.raw import differences
from tests.project.documents import ROOT

pytestmark = [
    pytest.mark.image,
    pytest.mark.skipif(os.geteuid() != 0, reason="building without an engine needs root"),
]

IMAGES = ROOT / ".run" / "images"
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
"""The machine's certificates, for networks with their own certificate authority."""

DEBIAN = "http://deb.debian.org/debian"

LARGEST = {"runtime": 900_000_000, "airflow": 1_300_000_000}
"""Bytes."""


class Builder:
    """buildah with its own store."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        settings = folder / "storage.conf"
        settings.write_text(
            f'[storage]\ndriver = "overlay"\ngraphroot = "{folder}/store"\nrunroot = "{folder}/running"\n'
        )
        self.environment = {**os.environ, "CONTAINERS_STORAGE_CONF": str(settings)}
        self._folder = folder

    def __call__(self, *arguments: str | Path) -> str:
        """Run a buildah command, check that it succeeds, and return its output."""
        done = subprocess.run(
            ["buildah", *arguments], env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{arguments}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout.strip()

    def base(self) -> str:
        """Return the name of the base image: Debian with Python, made once."""
        name = "localhost/debian-python:bookworm"
        if not self("images", "--quiet", "--filter", f"reference={name}"):
            folder = self._folder / "debian"
            include = "--include=python3,python3-venv,ca-certificates"
            subprocess.run(
                ["debootstrap", "--variant=minbase", include, "bookworm", folder, DEBIAN],
                check=True,
                stdout=subprocess.DEVNULL,
            )
            shutil.copy(AUTHORITIES, f"{folder}{AUTHORITIES}")
            for waste in ("var/cache/apt/archives", "var/lib/apt/lists"):
                shutil.rmtree(folder / waste)
            container = self("from", "scratch")
            self("add", "--quiet", container, folder, "/")
            self("config", "--env", f"SSL_CERT_FILE={AUTHORITIES}", container)
            self("commit", "--quiet", "--rm", container, name)
            shutil.rmtree(folder)
        return name


@dataclass(frozen=True)
class Container:
    """A container of a built image."""

    builder: Builder
    name: str
    files: Path
    """The folder in which its files are mounted."""

    def run(self, *command: str, **variables: str) -> str:
        """Run a command as the image's user, and return its output."""
        settings = [f"{name}={value}" for name, value in variables.items()]
        return self.builder("run", "--isolation", "chroot", self.name, "--", "env", *settings, *command)

    @property
    def configuration(self) -> dict[str, Any]:
        """Return the image's configuration."""
        found: dict[str, Any] = json.loads(self.builder("inspect", self.name))["Docker"]["config"]
        return found


@pytest.fixture(scope="module")
def builder() -> Builder:
    """buildah after `make image` has built the images."""
    builder = Builder(IMAGES)
    builder("rm", "--all")  # left over from a killed test
    base = os.environ.get("BASE_IMAGE")
    options = [
        "--isolation=chroot",
        "--format=docker",
        "--layers",
        f"--build-arg=BASE_IMAGE={base or builder.base()}",
    ]
    if not base:
        options.append("--pull-never")
    command = ["make", "--silent", "image", "BUILDER=buildah", f"IMAGE_ARGS={' '.join(options)}"]
    done = subprocess.run(
        command, cwd=ROOT, env=builder.environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-5000:]
    return builder


@pytest.fixture(scope="module", params=LARGEST)
def container(builder: Builder, request: pytest.FixtureRequest) -> Iterator[Container]:
    """A container of each image."""
    name = builder("from", "--pull-never", f"localhost/pipedrive-warehouse:{request.param}")
    try:
        yield Container(builder, name, Path(builder("mount", name)))
    finally:
        builder("rm", name)


def target_of(container: Container) -> str:
    return "airflow" if (container.files / "opt/airflow").exists() else "runtime"


def test_the_image_is_small_and_labelled(container: Container) -> None:
    target = target_of(container)
    measured = subprocess.run(["du", "-sxb", container.files], check=True, capture_output=True, text=True)
    assert int(measured.stdout.split()[0]) < LARGEST[target]
    configuration = container.configuration
    assert configuration["User"] == "10001:10001"
    assert configuration["Entrypoint"] == [{"runtime": "meltano"}.get(target, target)]
    assert configuration["Labels"]["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert re.fullmatch(r"[0-9a-f]{40}|unknown", configuration["Labels"]["org.opencontainers.image.revision"])


def test_the_image_lists_its_packages(container: Container) -> None:
    packages = {}
    for path in (container.files / "usr/share/sbom").iterdir():
        document = json.loads(path.read_text())
        packages[path.name.removesuffix(".cdx.json")] = {each["name"] for each in document["components"]}
    wanted = {"meltano": "meltano", "tap-pipedrive": "singer-sdk", "dbt-postgres": "dbt-core",
              "tap-hubspot": "singer-sdk", "target-postgres": "meltanolabs-target-postgres"}  # fmt: skip
    if target_of(container) == "airflow":
        wanted["airflow"] = "apache-airflow"
    assert packages.keys() == wanted.keys()
    assert {name for name, package in wanted.items() if package not in packages[name]} == set()


def test_the_image_contains_only_the_pipeline(container: Container) -> None:
    project = container.files / "project"
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    known = set(listed.splitlines()) | {"orchestrate/schedules.json"}
    found = {
        str(path.relative_to(project))
        for path in project.rglob("*")
        if path.is_file() and ".meltano" not in path.parts and path.suffix != ".pyc"
    }
    assert {name for name in found - known if ".egg-info" not in name} == set()
    assert not any(name.startswith(("tests/", ".env", ".git")) for name in found)
    schedules = json.loads((project / "orchestrate/schedules.json").read_text())["schedules"]["job"]
    assert "sync-every-4-hours" in [each["name"] for each in schedules]


def test_the_whole_job_runs_inside(container: Container, warehouse: Warehouse, database: str) -> None:
    if target_of(container) == "airflow":
        assert re.fullmatch(r"3\.\d+\.\d+", container.run("airflow", "version").splitlines()[-1])
    system = f"{database.rpartition('/')[2]}_meltano"
    address = warehouse.create_database(system).replace("postgresql", "postgresql+psycopg", 1)
    with Sandbox(deals=60) as sandbox:
        variables = {
            **connection_variables(connection_settings(database)),
            "MELTANO_DATABASE_URI": address,
            "TAP_PIPEDRIVE_API_TOKEN": sandbox.token,
            "TAP_PIPEDRIVE_API_URL": sandbox.url,
        }
        prepared = container.run("/opt/meltano/venv/bin/python", "-m", "orchestrate.prepare", **variables)
        assert "Meltano's system database is ready" in prepared
        if target_of(container) == "airflow":
            return
        container.run("meltano", "run", "sync", DBT_RESOURCE_TYPES="model seed", **variables)
        assert differences(database, expected(sandbox)) == []
    with psycopg.connect(database) as connection:
        assert connection.execute("select count(*) > 0 from marts.main_bi").fetchone() == (True,)
    written = [
        path.relative_to(container.files)
        for path in container.files.rglob("*")
        if path.lstat().st_uid == 10001 and path.relative_to(container.files).parts[0] != "tmp"
    ]
    outside = [path for path in written if not str(path).startswith("project/.meltano/run")]
    assert outside == []
    assert list((container.files / "project/.meltano/run").glob("*/*.config.json")) == []
