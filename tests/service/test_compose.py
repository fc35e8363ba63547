"""`deploy/compose.yaml`: what it says is valid, and its services work together as it says."""

import base64
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import psutil
import psycopg
import pytest
import redis
from pipedrive_sandbox.testing import Sandbox

from tests.pipeline.expected import expected
from tests.pipeline.raw import differences
from tests.project.documents import OPERATE, ROOT, blocks

from .containers import PATIENCE, Containers, Image, in_own_network, services
from .programs import deploy_program, environment
from .projects import as_in_the_image, copy_of_project

FILE = ROOT / "deploy" / "compose.yaml"
TEXT = FILE.read_text()
PASSWORD = "a-password-of-the-test"
NAMES = {name: f"{PASSWORD}-{i}" for i, name in enumerate(sorted(set(re.findall(r"\$\{(\w+):\?", TEXT))))}
NAMES["AIRFLOW_FERNET_KEY"] = base64.urlsafe_b64encode(bytes(32)).decode()
"""Values of all variables that must be set; that one has a form of its own."""

SERVICES = services(FILE, NAMES)

T = TypeVar("T")


def test_file_keeps_to_the_specification() -> None:
    check = deploy_program("check-jsonschema")
    subprocess.run([check, "--builtin-schema", "vendor.compose-spec", FILE], check=True)


def test_every_password_has_to_be_set() -> None:
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


def test_every_variable_stands_in_the_example() -> None:
    example = (ROOT / ".env.example").read_text()
    for name in set(re.findall(r"\$\{(\w+)", TEXT)):
        assert re.search(rf"^(# )?{name}=", example, re.MULTILINE), name


@pytest.mark.parametrize("name", SERVICES)
def test_services_are_pinned_watched_and_not_open_to_others(name: str) -> None:
    service = SERVICES[name]
    assert "build" in service or re.fullmatch(r"[\w./-]+:v?\d+\.\d+[\w.-]*", service["image"])
    assert "profiles" in service
    if service.get("restart") == "unless-stopped":
        assert "healthcheck" in service
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    for condition in service.get("depends_on", {}).values():
        assert condition["condition"] in ("service_healthy", "service_completed_successfully")
    assert not any("docker.sock" in volume for volume in service.get("volumes", []))


def image_environment(target: str) -> dict[str, str]:
    """The variables that the Dockerfile sets in a target, but PATH."""
    stage = (ROOT / "Dockerfile").read_text().partition(f" AS {target}\n")[2].partition("\nFROM ")[0]
    block = re.search(r"^ENV ((?:.*\\\n)*.*)$", stage, re.MULTILINE)
    assert block
    return {name: value for name, value in re.findall(r"(\w+)=(\S+)", block[1]) if name != "PATH"}


needs_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="containers need root for their networks and mounts"
)


@pytest.fixture
def containers(installed: Callable[[str, str], Path], tmp_path: Path) -> Containers:
    """The services, before any of them is up."""
    for kind, name in (
        ("extractor", "tap-pipedrive"),
        ("loader", "target-postgres"),
        ("utility", "dbt-postgres"),
    ):
        installed(kind, name)
    own = Image(
        ("airflow",),
        path="/opt/meltano/venv/bin:/opt/airflow/venv/bin",
        folder="/project",
        environment=image_environment("runtime") | image_environment("airflow"),
    )
    project = copy_of_project(tmp_path / "project")
    return Containers(
        FILE,
        NAMES,
        tmp_path / "containers",
        own,
        {"/opt/meltano": as_in_the_image(tmp_path / "meltano"), "/project": project},
    )


@needs_root
@pytest.mark.service
def test_pipeline_runs_with_the_services(containers: Containers) -> None:
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
    """URL of a database of the service postgres, from within the services' network."""
    return f"postgresql://{user}:{NAMES[password + '_PASSWORD']}@127.0.0.1/{database}"


@needs_root
@pytest.mark.airflow
@pytest.mark.parametrize("executor", ["CeleryExecutor", "LocalExecutor"])
def test_airflow_runs_a_schedule(containers: Containers, tmp_path: Path, executor: str) -> None:
    airflow = as_in_the_image(tmp_path / "airflow", environment("airflow"))
    with_schedules(tmp_path / "project", "* * * * *")
    with_airflow = replace(
        containers,
        variables={**NAMES, "AIRFLOW_EXECUTOR": executor},
        own=containers.own._replace(
            environment={**containers.own.environment, "DBT_RESOURCE_TYPES": "model seed"}
        ),
        mounts={**containers.mounts, "/opt/airflow": airflow},
    )
    in_own_network(lambda: run_a_schedule(with_airflow))


def with_schedules(project: Path, interval: str = "0 */4 * * *") -> None:
    """Give the copy of a project what the image's build makes of the schedules, perhaps at other times."""
    (project / "orchestrate").unlink()
    shutil.copytree(
        ROOT / "orchestrate", project / "orchestrate", ignore=shutil.ignore_patterns("__pycache__")
    )
    listed = subprocess.run(
        [ROOT / ".venv/bin/meltano", "schedule", "list", "--format=json"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    (project / "orchestrate/schedules.json").write_text(listed.replace('"0 */4 * * *"', f'"{interval}"'))


def run_a_schedule(containers: Containers) -> None:
    with Sandbox(deals=60) as sandbox:
        account = {"TAP_PIPEDRIVE_API_TOKEN": sandbox.token, "TAP_PIPEDRIVE_API_URL": sandbox.url}
        with replace(containers, variables={**containers.variables, **account}) as airflow:
            services = [
                name for name in SERVICES if name.startswith("airflow-") and name != "airflow-prepare"
            ]
            assert len(services) == 5
            if airflow.variables["AIRFLOW_EXECUTOR"] == "LocalExecutor":
                services.remove("airflow-worker")
            airflow.up(*services)
            url = address("ORCHESTRATOR", "orchestrator", "airflow")
            wait_for_runs(airflow, url, "dag", {"models", "history", "sync-every-4-hours"})
            airflow.run("airflow-scheduler", "airflow", "dags", "unpause", "--yes", "sync-every-4-hours")
            assert wait_for_runs(airflow, url, "dag_run", {"sync-every-4-hours", "models"}) == {"success"}
            assert differences(address("POSTGRES", "postgres"), expected(sandbox)) == []
            if "airflow-worker" in services:
                kill_the_worker_of_a_load(airflow)


def kill_the_worker_of_a_load(airflow: Containers) -> None:
    """The load ends with its worker: another worker may start it again without two of them at work."""
    running = wait_until(lambda: runs_of_meltano("state = 'RUNNING'"))
    airflow.kill("airflow-worker")
    wait_until(lambda: not [each for each in programs_at_work() if "meltano run" in each or "/tap-" in each])
    assert runs_of_meltano("state = 'RUNNING'") == running, "the load went on to its end"


def runs_of_meltano(condition: str) -> list[object]:
    with psycopg.connect(address("ORCHESTRATOR", "orchestrator", "meltano")) as connection:
        return [each for (each,) in connection.execute(f"select id from runs where {condition}")]


def programs_at_work() -> list[str]:
    """Command lines of all processes in the network of the services."""
    network = os.readlink("/proc/thread-self/ns/net")
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if os.readlink(f"/proc/{process.pid}/ns/net") == network:
                found.append(" ".join(process.cmdline()))
    return found


def wait_until(condition: Callable[[], T]) -> T:
    """Wait until a condition holds, and return what it says."""
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return found


def wait_for_runs(airflow: Containers, url: str, table: str, dags: set[str]) -> set[str]:
    """Wait until a table of Airflow's database, at the URL, has all these DAGs, or runs of them that have ended.

    Returns:
        The states of those runs, or nothing.
    """
    query = {
        "dag": "select dag_id, '' from dag",
        "dag_run": "select dag_id, state from dag_run where state in ('success', 'failed')",
    }[table]
    deadline = time.monotonic() + 2 * PATIENCE
    while True:
        with psycopg.connect(url) as connection:
            rows = [(dag, state) for dag, state in connection.execute(query) if dag in dags]
        if {dag for dag, _ in rows} == dags:
            return {state for _, state in rows} - {""}
        assert time.monotonic() < deadline, f"{rows}\n{airflow.log('airflow-scheduler')[-5000:]}"
        time.sleep(1)


def stay_up(containers: Containers, names: list[str]) -> None:
    with containers:
        containers.up(*names)


@needs_root
@pytest.mark.observe
def test_services_that_watch_are_healthy(containers: Containers) -> None:
    names = ["prometheus", "pushgateway", "alertmanager", "postgres-exporter"]
    in_own_network(lambda: stay_up(containers, names))
