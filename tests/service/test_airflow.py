"""The DAGs of `orchestrate/airflow` match the schedules in meltano.yml and work in the locked Airflow."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.project.documents import ROOT

from .airflow import list_of_schedules
from .programs import environment

DAGS = ROOT / "orchestrate" / "airflow" / "dags"

DESCRIBE = """
import json, sys
from airflow.dag_processing.dagbag import BundleDagBag
from airflow.sdk import Asset

bag = BundleDagBag(sys.argv[1], bundle_path=sys.argv[1], bundle_name="dags-folder")
json.dump(
    {
        "errors": bag.import_errors,
        "dags": {
            name: {
                "when": getattr(dag.timetable, "expression", type(dag.timetable).__name__),
                "starts": dag.is_paused_upon_creation is False,
                "runs": dag.max_active_runs,
                "deadlines": len(dag.deadline or []),
                "reports": dag.has_on_failure_callback,
                "tasks": {
                    task.task_id: {
                        "command": getattr(task, "bash_command", None),
                        "env": getattr(task, "env", None),
                        "pool": task.pool,
                        "slots": task.pool_slots,
                        "retries": task.retries,
                        "after": sorted(task.upstream_task_ids),
                        "assets": [asset.name for asset in task.outlets if isinstance(asset, Asset)],
                    }
                    for task in dag.tasks
                },
            }
            for name, dag in bag.dags.items()
        },
    },
    sys.stdout,
)
"""
"""A script that describes all DAGs of a folder as JSON."""

pytestmark = pytest.mark.airflow


@pytest.fixture(scope="module")
def schedules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project folder with the file of schedules, as the image has it."""
    folder = tmp_path_factory.mktemp("scheduled")
    (folder / "orchestrate").mkdir()
    (folder / "orchestrate" / "schedules.json").write_text(list_of_schedules())
    return folder


@pytest.fixture(scope="module")
def described(schedules: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Airflow's description of the DAGs in the folder."""
    shown = subprocess.run(
        [environment("airflow") / "bin/python", "-c", DESCRIBE, str(DAGS)],
        env={
            **os.environ,
            "AIRFLOW_HOME": str(tmp_path_factory.mktemp("home")),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
            "MELTANO_PROJECT_ROOT": str(schedules),
            "PIPEDRIVE_SLOTS": "3",
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    found: dict[str, Any] = json.loads(shown[shown.index('{"errors"') :])
    return found


def test_dags_parse_without_errors(described: dict[str, Any]) -> None:
    assert described["errors"] == {}


def test_each_schedule_in_meltano_is_a_dag(described: dict[str, Any], schedules: Path) -> None:
    listed = json.loads((schedules / "orchestrate" / "schedules.json").read_text())["schedules"]["job"]
    assert listed
    assert described["dags"].keys() == {each["name"] for each in listed} | {"history", "models"}
    for each in listed:
        dag = described["dags"][each["name"]]
        assert dag["when"] == each["cron_interval"]
        run = [task["command"].partition(" meltano run ")[2] for task in dag["tasks"].values()]
        words = [word for task in each["job"]["tasks"] for word in task.split() if "dbt" not in word]
        assert " ".join(run).split() == words
        assert all(task["env"] == each["env"] for task in dag["tasks"].values())


def test_a_successful_load_triggers_the_models(described: dict[str, Any]) -> None:
    dags = described["dags"]
    loads = [task for name, dag in dags.items() if name != "models" for task in dag["tasks"].values()]
    assert {name for task in loads for name in task["assets"]} == {"pipedrive-raw", "hubspot-raw"}
    assert all(task["assets"] for task in loads)
    assert dags["models"]["when"] == "AssetTriggeredTimetable"
    assert dags["models"]["tasks"]["require_completeness"]["after"] == ["build"]


def test_loads_of_one_account_run_one_after_the_other(described: dict[str, Any]) -> None:
    for dag in described["dags"].values():
        for name, task in dag["tasks"].items():
            if name.startswith("tap-"):
                assert task["pool"] == name.split("-")[1]
    (history,) = described["dags"]["history"]["tasks"].values()
    assert history["slots"] == 3, "the whole pool"


def test_each_run_reports_its_failure_and_its_delay(described: dict[str, Any]) -> None:
    for dag in described["dags"].values():
        assert (dag["runs"], dag["deadlines"], dag["reports"]) == (1, 1, True)


def test_only_dags_that_wait_for_a_load_are_active_at_first(described: dict[str, Any]) -> None:
    assert [name for name, dag in described["dags"].items() if dag["starts"]] == ["models"]
