"""The pods of `deploy/kubernetes`: the schedule loads everything, even if it is told to stop during the load."""

import json
import re
import urllib.request
from collections.abc import Callable
from dataclasses import replace

import psutil
import psycopg
import pytest
from pipedrive_sandbox.testing import Sandbox

from tests.pipeline.expected import expected
from tests.pipeline.raw import differences
from tests.project.documents import ROOT
from tests.service.containers import PATIENCE, in_own_network, wait_until
from tests.service.test_compose import needs_root

from .manifests import SECRETS
from .pods import Pods

pytestmark = [pytest.mark.clouds, pytest.mark.observe, needs_root]

PORT = 5544
SECRETS_OF_ALL = {name: value for values in SECRETS.values() for name, value in values.items()}


@pytest.fixture
def pods(stack: Callable[[int], Pods]) -> Pods:
    return stack(PORT)


def test_the_schedule_loads_everything(pods: Pods) -> None:
    in_own_network(lambda: run_the_schedule(pods))


def run_the_schedule(pods: Pods) -> None:
    overlay = pods.file.with_name("yours")
    file = overlay / "kustomization.yaml"
    file.write_text(
        file.read_text().replace("PGSSLMODE=require", "PGSSLMODE=prefer")
    )  # this Postgres has no TLS
    with Sandbox(deals=60) as sandbox, pods:
        pods.up("postgres", "redis", "airflow-scheduler-roles")
        runs = replace(
            pods,
            file=overlay,
            folder=pods.folder / "yours",
            variables={"TAP_PIPEDRIVE_API_URL": sandbox.url, "DBT_RESOURCE_TYPES": "model seed"},
            names=("postgres.example.com",),
        )
        with runs:
            tell_it_to_stop(sandbox, runs)
            assert differences(address("POSTGRES", "postgres", port=PORT), expected(sandbox)) != []
            runs.up("sync-every-4-hours")
            check_that_nothing_is_left(runs)
            check_that_the_filter_matches(runs.log("sync-every-4-hours"))
        assert differences(address("POSTGRES", "postgres", port=PORT), expected(sandbox)) == []
        with psycopg.connect(address("BI", "bi", port=PORT)) as bi:
            assert bi.execute("select count(*) > 0 from marts.main_bi").fetchone() == (True,)
        pods.up("prometheus", "pushgateway", "alertmanager", "postgres-exporter")
        names = ("alertmanager", "postgres", "prometheus", "pushgateway")
        wait_until(lambda: scraped() == dict.fromkeys(names, "up"))


def tell_it_to_stop(sandbox: Sandbox, runs: Pods) -> None:
    """Send SIGTERM to the first process of a run only, as the kubelet does; the run ends, and says why."""
    run = runs.start("sync-every-4-hours")
    stopped: list[int] = []

    def stop() -> None:
        (first,) = psutil.Process(run.pid).children()
        stopped.append(first.pid)
        first.terminate()

    sandbox.at_request(30, stop)
    sandbox.post("/sandbox/latency", {"seconds": 0.1})
    assert run.wait(timeout=PATIENCE) == 143, runs.log("sync-every-4-hours")[-3000:]
    assert stopped
    sandbox.post("/sandbox/latency", {"seconds": 0})


def check_that_nothing_is_left(runs: Pods) -> None:
    """Check that a run leaves no file with secrets, and wrote only into its volumes."""
    folder = runs.folder / "sync-every-4-hours" / "changes"
    written = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert written == {"etc/hosts", "etc/passwd"}
    assert list((runs.folder / "volumes/sync-every-4-hours-run").glob("*/*.config.json")) == []


def check_that_the_filter_matches(log: str) -> None:
    """Check that the log filter of deploy/terraform, which counts good runs, matches the one successful run."""
    pattern = next(
        line for line in (ROOT / "deploy/terraform/alarms.tf").read_text().splitlines() if "&&" in line
    )
    wanted = dict(re.findall(r'\$\.(\w+) = \\"([^"\\]+)\\"', pattern))
    assert wanted.keys() == {"event", "status"}
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    assert len([each for each in lines if wanted.items() <= each.items()]) == 1


def address(password: str, user: str, database: str = "warehouse", port: int = 5432) -> str:
    """Return the URL of a database within the network of the pods."""
    return f"postgresql://{user}:{SECRETS_OF_ALL[password + '_PASSWORD']}@127.0.0.1:{port}/{database}"


def scraped() -> dict[str, str]:
    """Return the targets that Prometheus scrapes, and whether they answer."""
    with urllib.request.urlopen("http://127.0.0.1:9090/api/v1/targets", timeout=60) as answer:
        found = json.load(answer)["data"]["activeTargets"]
    return {each["labels"]["job"]: each["health"] for each in found}
