"""The overlay with Airflow: each task of a scheduled run is a pod made from the template."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
import trustme
import yaml
from pipedrive_sandbox.testing import Sandbox

from tests.pipeline.expected import expected
from tests.pipeline.raw import differences
from tests.service.airflow import wait_for_runs, with_schedules
from tests.service.containers import in_own_network, wait_until
from tests.service.programs import environment
from tests.service.projects import as_in_the_image
from tests.service.test_compose import needs_root

from .api_server import PORT, ApiServer, served
from .manifests import strictly_valid
from .pods import Pods
from .test_pods import address

pytestmark = [pytest.mark.clouds, needs_root]

SCHEDULER, *OTHERS = (f"airflow-{name}" for name in ("scheduler", "api-server", "dag-processor", "triggerer"))
SCHEDULE = "sync-every-4-hours"


def test_each_task_runs_as_a_pod(pods: Pods, tmp_path: Path) -> None:
    with_schedules(tmp_path / "project")
    authority = trustme.CA()
    airflow = replace(
        pods,
        authority=authority.cert_pem.bytes(),
        mounts={**pods.mounts, "/opt/airflow": as_in_the_image(tmp_path / "airflow", environment("airflow"))},
    )
    in_own_network(lambda: run_a_schedule(airflow, authority))


def run_a_schedule(pods: Pods, authority: trustme.CA) -> None:
    with Sandbox(deals=60) as sandbox:
        variables = {
            "DBT_RESOURCE_TYPES": "model seed",
            "KUBERNETES_SERVICE_HOST": "127.0.0.1",
            "KUBERNETES_SERVICE_PORT": str(PORT),
            "TAP_PIPEDRIVE_API_URL": sandbox.url,
        }
        with replace(pods, variables=variables) as airflow:
            api = ApiServer(airflow)
            with served(api, authority):
                airflow.up("postgres", "redis", SCHEDULER)  # it creates the database that the others wait for
                with ThreadPoolExecutor() as executor:
                    list(executor.map(airflow.up, OTHERS))
                url = address("ORCHESTRATOR", "orchestrator", "airflow")
                wait_for_runs(airflow, url, "dag", {"models", "history", SCHEDULE})
                airflow.run(
                    SCHEDULER, "airflow", "dags", "unpause", "--yes", SCHEDULE
                )  # this schedule is due at once
                assert wait_for_runs(airflow, url, "dag_run", {SCHEDULE, "models"}) == {"success"}
                assert differences(address("POSTGRES", "postgres"), expected(sandbox)) == []
                with psycopg.connect(address("BI", "bi")) as bi:
                    assert bi.execute("select count(*) > 0 from marts.main_bi").fetchone() == (True,)
                check_that_pods_were_made_from_the_template(api, airflow.folder)
                assert api.refused == [], "the Roles have too few rights"
                wait_until(lambda: not api.list("")["items"])


def check_that_pods_were_made_from_the_template(api: ApiServer, folder: Path) -> None:
    made = dict(api.seen)  # another pod may be created meanwhile
    tasks = {pod["metadata"]["annotations"]["task_id"] for pod in made.values()}
    assert {"tap-pipedrive", "build", "require_completeness"} <= tasks
    for name, pod in made.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Pod", **pod}))
        assert strictly_valid(folder / f"{name}.yaml").returncode == 0
        (container,) = pod["spec"]["containers"]
        assert container["image"] == "pipedrive-warehouse:airflow"
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert pod["spec"]["serviceAccountName"] == "pipeline"
        assert pod["metadata"]["labels"]["app.kubernetes.io/component"] == "run"


def test_rights_are_enforced(pods: Pods) -> None:
    """The other test relies on this: an account has exactly the rights of its Role."""
    api = ApiServer(pods)
    assert api.allows("airflow-scheduler", "create", "pods")
    assert api.allows("airflow-api-server", "get", "pods/log")
    assert not api.allows("airflow-api-server", "delete", "pods")
    assert not api.allows("pipeline", "get", "pods")
    assert not api.allows("", "list", "pods")
    assert len(api.refused) == 3


@pytest.fixture
def pods(stack: Callable[[int], Pods]) -> Pods:
    return stack(5432)
