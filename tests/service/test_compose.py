"""`deploy/compose.yaml` is valid, and its services work together."""

import base64
import os
import re
import subprocess
from pathlib import Path
from typing import TypeVar

import psycopg
import pytest
import redis
from pipedrive_sandbox.testing import Sandbox

from tests.pipeline.expected import expected
from tests.pipeline.raw import differences
from tests.project.documents import OPERATE, ROOT, blocks

from .containers import Containers, in_own_network, services
from .programs import deploy_program

FILE = ROOT / "deploy" / "compose.yaml"
TEXT = FILE.read_text()
PASSWORD = "a-password-of-the-test"
NAMES = {name: f"{PASSWORD}-{i}" for i, name in enumerate(sorted(set(re.findall(r"\$\{(\w+):\?", TEXT))))}
NAMES["AIRFLOW_FERNET_KEY"] = base64.urlsafe_b64encode(bytes(32)).decode()
"""Values of all required variables; one of them needs a certain format."""

SERVICES = services(FILE, NAMES)

T = TypeVar("T")


def test_the_file_matches_the_compose_specification() -> None:
    check = deploy_program("check-jsonschema")
    subprocess.run([check, "--builtin-schema", "vendor.compose-spec", FILE], check=True)


def test_every_password_is_required() -> None:
    for name in NAMES:
        with pytest.raises(KeyError, match=name):
            services(FILE, {key: value for key, value in NAMES.items() if key != name})


def test_documented_commands_set_every_password(tmp_path: Path) -> None:
    (commands,) = [each for each in blocks(OPERATE) if each.language == "sh" and each.chapter == "Containers"]
    subprocess.run(["bash", "-e", "-c", commands.text], cwd=tmp_path, check=True)
    written = dict(line.partition("=")[::2] for line in (tmp_path / ".env").read_text().splitlines())
    assert (tmp_path / ".env").stat().st_mode & 0o077 == 0
    assert NAMES.keys() <= written.keys()
    assert len(set(written.values())) == len(written)
    assert all(len(value) >= 40 for value in written.values())


def test_every_variable_is_in_the_example() -> None:
    example = (ROOT / ".env.example").read_text()
    for name in set(re.findall(r"\$\{(\w+)", TEXT)):
        assert re.search(rf"^(# )?{name}=", example, re.MULTILINE), name


@pytest.mark.parametrize("name", SERVICES)
def test_services_are_pinned_monitored_and_not_open_to_others(name: str) -> None:
    service = SERVICES[name]
    assert "build" in service or re.fullmatch(r"[\w./-]+:v?\d+\.\d+[\w.-]*", service["image"])
    assert "profiles" in service
    if service.get("restart") == "unless-stopped":
        assert "healthcheck" in service
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    for condition in service.get("depends_on", {}).values():
        assert condition["condition"] in ("service_healthy", "service_completed_successfully")
    sources = [volume.partition(":")[0] for volume in service.get("volumes", [])]
    assert not any("docker.sock" in source for source in sources)
    assert [each for each in sources if each.startswith(".") and not (FILE.parent / each).exists()] == []


def image_environment(target: str) -> dict[str, str]:
    """Return the variables that the Dockerfile sets in a target, except PATH."""
    stage = (ROOT / "Dockerfile").read_text().partition(f" AS {target}\n")[2].partition("\nFROM ")[0]
    block = re.search(r"^ENV ((?:.*\\\n)*.*)$", stage, re.MULTILINE)
    assert block
    return {name: value for name, value in re.findall(r"(\w+)=(\S+)", block[1]) if name != "PATH"}


needs_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="containers need root for their networks and mounts"
)


@needs_root
@pytest.mark.service
def test_the_pipeline_runs_with_the_services(containers: Containers) -> None:
    in_own_network(lambda: run_the_pipeline(containers))


def run_the_pipeline(containers: Containers) -> None:
    with Sandbox(deals=60) as sandbox, containers:
        containers.up("prepare", "redis")
        assert "The warehouse is ready" in containers.log("prepare")
        containers.run(
            "prepare",
            *("meltano", "run", "sync"),
            TAP_PIPEDRIVE_API_TOKEN=sandbox.token,
            TAP_PIPEDRIVE_API_URL=sandbox.url,
            DBT_RESOURCE_TYPES="model seed",
        )
        assert differences(address("POSTGRES", "postgres"), expected(sandbox)) == []
        with psycopg.connect(address("BI", "bi")) as bi:
            assert bi.execute("select count(*) > 0 from marts.main_bi").fetchone() == (True,)
        with psycopg.connect(address("ORCHESTRATOR", "orchestrator", "meltano")) as meltano:
            states = meltano.execute("select state_id from state").fetchall()
            assert states == [("dev:tap-pipedrive-to-target-postgres",)]
        limits = redis.Redis(password=NAMES["REDIS_PASSWORD"], db=1)
        assert limits.keys(), "runs share their limits"


def address(password: str, user: str, database: str = "warehouse") -> str:
    """Return the URL of a database of the service postgres within the services' network."""
    return f"postgresql://{user}:{NAMES[password + '_PASSWORD']}@127.0.0.1/{database}"


def stay_up(containers: Containers, names: list[str]) -> None:
    with containers:
        containers.up(*names)


@needs_root
@pytest.mark.observe
def test_monitoring_services_are_healthy(containers: Containers) -> None:
    names = ["prometheus", "pushgateway", "alertmanager", "postgres-exporter"]
    in_own_network(lambda: stay_up(containers, names))
