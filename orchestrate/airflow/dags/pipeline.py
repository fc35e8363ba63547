"""What the DAGs share: the schedules in meltano.yml, tasks that run Meltano, and the assets between DAGs.

Each task is one Meltano process in the container of its worker. It fails if Meltano fails, and is retried
after Meltano's run lock, which outlives a killed run by five minutes, has expired.
"""

import json
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import Asset

PROJECT = Path(os.environ.get("MELTANO_PROJECT_ROOT") or Path(__file__).parents[3])

DAG_DEFAULTS: Mapping[str, Any] = {
    "start_date": datetime(2026, 1, 1, tzinfo=UTC),
    "catchup": False,
    "max_active_runs": 1,
    "dagrun_timeout": timedelta(hours=12),
    "tags": ["warehouse"],
}
"""Arguments of every DAG. A missed run is not repeated, because the next one reads the same changes."""


@dataclass(frozen=True)
class Schedule:
    """A schedule in meltano.yml.

    Attributes:
        name: The name of the schedule and of its DAG.
        cron: The cron expression, in UTC.
        env: Variables that the schedule sets.
        loads: An extractor and a loader for each load of the job; the loads are independent.
    """

    name: str
    cron: str
    env: Mapping[str, str]
    loads: tuple[tuple[str, str], ...]


def schedules() -> list[Schedule]:
    """Read the schedules from the file that `meltano schedule list --format=json` has written.

    Raises:
        OSError: The file is missing; `make airflow-env` and the build of the image write it.
    """
    listed = json.loads((PROJECT / "orchestrate/schedules.json").read_text())
    return [
        Schedule(each["name"], each["cron_interval"], each["env"], tuple(_loads(each["job"]["tasks"])))
        for each in listed["schedules"]["job"]
    ]


def _loads(tasks: list[str]) -> list[tuple[str, str]]:
    """Pair each extractor with the loader after it; dbt is not a load, because the DAG `models` runs it."""
    words = [word for task in tasks for word in task.split() if not word.startswith("dbt-")]
    return list(zip(words[::2], words[1::2], strict=True))


def crm(extractor: str) -> str:
    """Return the CRM that an extractor reads, pipedrive or hubspot, after which its pool and asset are named."""
    return extractor.split("-")[1]


def loaded(name: str) -> Asset:
    """Return the asset of a CRM's raw tables."""
    return Asset(name=f"{name}-raw", uri=f"pipedrive-warehouse://{name}/raw")


def meltano(task: str, *words: str, env: Mapping[str, str] | None = None, **arguments: Any) -> BashOperator:
    """Make a task that runs blocks of Meltano.

    The kernel kills Meltano when the process of the task is gone, so that a worker that dies leaves no run
    behind. Tap and target then end because their pipes are closed.

    Args:
        task: Name of the task.
        words: Plugins and commands, as `meltano run` takes them.
        env: Variables that are added to those of the worker.
        arguments: Further arguments of the operator.
    """
    return BashOperator(
        task_id=task,
        bash_command=f"exec setpriv --pdeathsig KILL meltano run {shlex.join(words)}",
        cwd=str(PROJECT),
        env=dict(env or {}),
        append_env=True,
        do_xcom_push=False,
        retries=4,
        retry_delay=timedelta(minutes=6),
        **arguments,
    )
