"""Airflow's services on a sandbox of each CRM, with access to their databases and failure reports."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import psutil
import psycopg
import requests
import yaml
from pipedrive_sandbox.hubspot.testing import HubspotSandbox
from pipedrive_sandbox.testing import Sandbox

from tests.observe.services import receiver
from tests.project.documents import ROOT

from .containers import PATIENCE, Containers
from .programs import environment
from .projects import as_in_the_image
from .test_compose import NAMES, address

MELTANO = yaml.safe_load((ROOT / "meltano.yml").read_text())
API = "http://127.0.0.1:8080"

SELECTOR = """
selectors:
- name: what_the_tests_read
  default: true
  definition: {union: [{method: fqn, value: load_completeness, parents: true},
                       {method: fqn, value: fct_hubspot_deals, parents: true}]}
"""
"""A dbt selection of the models that the tests of Airflow read; other tests build all models."""

STILL_TO_COME = """
    select task_id from task_instance where state in ('queued', 'running', 'restarting', 'up_for_retry')
    union all
    select run_id from dag_run join dag using (dag_id) where state in ('queued', 'running') and not is_paused
    union all
    select target_dag_id from asset_dag_run_queue
"""

T = TypeVar("T")


@dataclass
class Airflow:
    """The running services."""

    containers: Containers
    project: Path
    sandbox: Sandbox
    hubspot: HubspotSandbox
    received: list[tuple[str, dict[str, Any]]]
    """The messages posted to FAILURE_URL."""

    @property
    def told(self) -> list[str]:
        """Return the messages posted to FAILURE_URL."""
        return [content["text"] for _, content in self.received]

    def query(self, text: str, *values: object, database: str = "airflow") -> list[Any]:
        """Query a database of the orchestrator; values of a single column are returned without a row around
        them.
        """
        with psycopg.connect(
            address("ORCHESTRATOR", "orchestrator", database), autocommit=True
        ) as connection:
            cursor = connection.execute(text.encode(), values or None)
            rows = cursor.fetchall() if cursor.description else []
        return [row[0] if len(row) == 1 else row for row in rows]

    def switch(self, dag: str, *, on: bool) -> None:
        """Switch a DAG on or off with Airflow's API."""
        account = {"username": "admin", "password": NAMES["AIRFLOW_ADMIN_PASSWORD"]}
        token = requests.post(f"{API}/auth/token", json=account, timeout=60).json()["access_token"]
        answer = requests.patch(
            f"{API}/api/v2/dags/{dag}",
            json={"is_paused": not on},
            headers={"Authorization": f"Bearer {token}"},
            timeout=60,
        )
        assert answer.ok, answer.text

    def run_by_schedule(self, *dags: str) -> list[str]:
        """Switch DAGs on until each schedule has a finished run; return the states of all runs."""
        before = {dag: len(self.ended(dag)) for dag in dags}
        for dag in dags:
            self.switch(dag, on=True)
        for dag, count in before.items():
            self.wait_until(partial(self._has_ended, dag, count), f"another run of {dag} has ended")
            self.switch(dag, on=False)
        self.wait_for_rest()
        return [state for dag in dags for state in self.ended(dag)[before[dag] :]]

    def reschedule(self, dag: str, mark: str, **changes: str) -> None:
        """Change the schedules as `with_schedules` does, and wait until Airflow has a DAG that contains this
        mark.
        """
        with_schedules(self.project, **changes)
        query = "select dag_id from serialized_dag where dag_id = %s and strpos(data::text, %s) > 0"
        self.wait_until(lambda: self.query(query, dag, mark), f"{dag} has {mark}")

    def ended(self, dag: str) -> list[str]:
        """Return the states of a DAG's runs in order."""
        query = (
            "select state from dag_run where dag_id = %s and state in ('success', 'failed') order by end_date"
        )
        return self.query(query, dag)

    def _has_ended(self, dag: str, before: int) -> bool:
        return len(self.ended(dag)) > before

    def wait_for_rest(self) -> None:
        """Wait until no task is running, and no run of an active DAG is due."""
        self.wait_until(lambda: not self.query(STILL_TO_COME), "all runs have ended")

    def wait_until(self, condition: Callable[[], T], what: str) -> T:
        """Wait until a condition is true, and return its value."""
        deadline = time.monotonic() + 2 * PATIENCE
        while not (found := condition()):
            if time.monotonic() > deadline:
                runs = self.query("select dag_id, run_id, state from dag_run")
                log = self.containers.log("airflow-scheduler")[-5000:]
                raise AssertionError(f"not yet: {what}\n{runs}\n{log}")
            time.sleep(0.2)
        return found

    def task_log(self, dag: str, task: str) -> str:
        """Return everything that a task has logged in all runs and attempts."""
        logs = self.containers.folder / "volumes" / "airflow-logs"
        paths = sorted(logs.glob(f"dag_id={dag}/*/task_id={task}/*.log"))
        return "\n".join(path.read_text() for path in paths)


def programs_at_work() -> list[str]:
    """Return the command lines of all processes in the network of the services."""
    network = os.readlink("/proc/thread-self/ns/net")
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if os.readlink(f"/proc/{process.pid}/ns/net") == network:
                found.append(" ".join(process.cmdline()))
    return found


@contextmanager
def airflow(containers: Containers, folder: Path, **variables: str) -> Iterator[Airflow]:
    """Start Airflow's services with the LocalExecutor, and wait until they have parsed the DAGs.

    Args:
        containers: The services before their start.
        folder: The folder of the test that contains the project.
        variables: Additional variables of all runs.
    """
    project = folder / "project"
    with_schedules(project)
    (project / "transform").unlink()
    made = shutil.ignore_patterns("target", "logs")
    shutil.copytree(ROOT / "transform", project / "transform", ignore=made)
    (project / "transform" / "selectors.yml").write_text(SELECTOR)
    with ExitStack() as stack:
        sandbox = stack.enter_context(Sandbox(deals=60, burst=40))
        hubspot = stack.enter_context(HubspotSandbox(deals=40))
        url, received = stack.enter_context(receiver())
        accounts = {
            "TAP_PIPEDRIVE_API_TOKEN": sandbox.token,
            "TAP_PIPEDRIVE_API_URL": sandbox.url,
            "TAP_HUBSPOT_ACCESS_TOKEN": hubspot.token,
            "FAILURE_URL": url,
            "AIRFLOW_EXECUTOR": "LocalExecutor",
            "PIPEDRIVE_SLOTS": "3",
        }
        own = {**containers.own.environment, "TAP_HUBSPOT_API_URL": hubspot.url, **variables}
        programs = as_in_the_image(folder / "airflow", environment("airflow"))
        up = stack.enter_context(
            replace(
                containers,
                variables={**containers.variables, **accounts},
                own=containers.own._replace(environment=own),
                mounts={**containers.mounts, "/opt/airflow": programs},
            )
        )
        up.up_together(
            "airflow-api-server", "airflow-scheduler", "airflow-dag-processor", "airflow-triggerer"
        )
        at_work = Airflow(up, project, sandbox, hubspot, received)
        known = {"models", "history", "sync-every-4-hours", "sync-hubspot-every-4-hours"}
        at_work.wait_until(lambda: known <= {*at_work.query("select dag_id from dag")}, "the DAGs are known")
        yield at_work


def with_schedules(project: Path, *, job: str = "sync", each_4_hours: str = "0 */4 * * *") -> None:
    """Write the schedules into a copy of the project as the image's build does, optionally with changes.

    Args:
        project: The copy of a project.
        job: The job that Pipedrive's schedules run.
        each_4_hours: The cron expression that replaces that of the four-hourly schedule.
    """
    if (project / "orchestrate").is_symlink():
        (project / "orchestrate").unlink()
        shutil.copytree(
            ROOT / "orchestrate", project / "orchestrate", ignore=shutil.ignore_patterns("__pycache__")
        )
    listed = json.loads(list_of_schedules())
    for each in listed["schedules"]["job"]:
        if each["name"] == "sync-every-4-hours":
            each["cron_interval"] = each_4_hours
        if each["job"]["name"] == "sync":
            each["job"] = next(known for known in MELTANO["jobs"] if known["name"] == job)
    (project / "orchestrate" / "schedules.json").write_text(json.dumps(listed))


def list_of_schedules() -> str:
    """Return Meltano's list of schedules."""
    return subprocess.run(
        [ROOT / ".venv/bin/meltano", "schedule", "list", "--format=json"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout


def wait_for_runs(airflow: Containers, url: str, table: str, dags: set[str]) -> set[str]:
    """Wait until a table of Airflow's database at the URL has all these DAGs, or finished runs of them.

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
