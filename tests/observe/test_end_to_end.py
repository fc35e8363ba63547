"""Runs of the pipeline, watched by the real Prometheus, Pushgateway, Alertmanager and exporter.

The day: a good run; the gateway forgets everything; a run whose token is refused, which reaches the pager; a good
run, which resolves it. Prometheus also has a day of history before that.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import psycopg
import pytest
import requests
import yaml
from embedded_postgres.warehouse import Warehouse
from pipedrive_sandbox.testing import Sandbox
from run_metrics.families import FAMILIES
from run_metrics.series import Published

from ..project.documents import OBSERVE, ROOT, blocks
from .services import DEPLOY, Service, pushgateway, receiver, wait_until

pytestmark = pytest.mark.observe

STATE_ID = "dev:tap-pipedrive-to-target-postgres"
TOKEN = "0123456789abcdef0123456789abcdef01234567"

MODELS = {
    "load_completeness.sql": """
        select
            stream, verdict, now() - interval '1 hour' as complete_as_of, 1.0 as lag_hours,
            null::timestamptz as next_reading_due_at, undone_reason, undone_count, null::text as undone_detail,
            null::text as differences, 1 as company_id, 'Sandbox' as company_name
        from (values
            ('deals', 'complete', null, null),
            ('deal_changes', 'unfinished', 'budget', 3),
            ('notes', 'unavailable', 'plan', null)
        ) as t (stream, verdict, undone_reason, undone_count)
    """,
    "latest_deals.sql": "select id from {{ source('pipedrive', 'deals') }}",
    "models.yml": """
        {sources: [{name: pipedrive, tables: [{name: deals}]}],
         models: [{name: latest_deals, columns: [{name: id, data_tests: [
            unique, {accepted_values: {arguments: {values: [0]}, config: {severity: warn}}}]}]}]}
    """,
}
"""A dbt project that is built in seconds: what the statement has for a mart, and a test that warns."""


@dataclass
class Day:
    """What happened, and where it can be seen."""

    prometheus: Service
    gateway: Service
    sandbox: Sandbox
    warehouse: str
    folder: Path
    alerts: list[tuple[str, dict[str, Any]]]
    outputs: list[str] = field(default_factory=list)
    spent: list[int] = field(default_factory=list)
    requests: int = 0
    published: list[Published] = field(default_factory=list)
    """After each run."""

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Ask Prometheus for the present."""
        found: list[dict[str, Any]] = self.prometheus.get("/api/v1/query", query=expression)["data"]["result"]
        return found

    def value(self, expression: str) -> float:
        """Ask for one number."""
        (found,) = self.query(expression)
        return float(found["value"][1])

    def told(self, status: str, alert: str) -> list[str]:
        """Receivers that were told of an alert."""
        return [
            path
            for path, content in self.alerts
            for each in content["alerts"]
            if each["status"] == status and each["labels"]["alertname"] == alert
        ]


def project(folder: Path) -> Path:
    """A copy of the project with plugins of the original and a small dbt project."""
    (folder / ".meltano").mkdir(parents=True)
    (folder / "transform" / "models").mkdir(parents=True)
    for name in ("meltano.yml", "logging.yaml"):
        shutil.copy(ROOT / name, folder)
    for kind in ("extractors", "loaders", "utilities"):
        (folder / ".meltano" / kind).symlink_to(ROOT / ".meltano" / kind)
    for name in ("plugins", "tap-pipedrive"):
        (folder / name).symlink_to(ROOT / name)
    shutil.copy(ROOT / "transform" / "profiles.yml", folder / "transform")
    (folder / "transform" / "dbt_project.yml").write_text("name: small\nprofile: pipedrive_warehouse\n")
    for name, text in MODELS.items():
        (folder / "transform" / "models" / name).write_text(text)
    return folder


def run(day: Day, system: str, *options: str, **settings: str) -> int:
    """Run the pipeline as a schedule does; remember what it printed, cost and published."""
    url = urlsplit(day.warehouse)
    own = {
        "MELTANO_PROJECT_ROOT": str(day.folder),
        "MELTANO_DATABASE_URI": system.replace("postgresql://", "postgresql+psycopg://"),
        "MELTANO_CLI_LOG_FORMAT": "json",
        "TAP_PIPEDRIVE_API_TOKEN": TOKEN,
        "TAP_PIPEDRIVE_API_URL": day.sandbox.url,
        "TARGET_POSTGRES_HOST": str(url.hostname),
        "TARGET_POSTGRES_PORT": str(url.port),
        "TARGET_POSTGRES_USER": str(url.username),
        "TARGET_POSTGRES_PASSWORD": unquote(url.password or ""),
        "TARGET_POSTGRES_DATABASE": url.path[1:],
        "PUSHGATEWAY_URL": day.gateway.url,
    }
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("TAP_", "TARGET_", "MELTANO_"))}
    done = subprocess.run(
        [Path(sys.executable).with_name("meltano"), "run", *options, "sync"],
        cwd=day.folder,
        env=inherited | own | settings,
        capture_output=True,
        text=True,
        check=False,
    )
    day.outputs.append(done.stderr)
    day.spent.append(day.sandbox.stats()["tokens"])
    text = requests.get(f"{day.gateway.url}/metrics", timeout=60).text
    day.published.append(Published.read(text, STATE_ID))
    return done.returncode


def a_day_of_history(day: Day) -> None:
    """Give Prometheus samples of the last day, in which the totals grow to what they are now."""
    now = time.time() - 600
    text = day.published[0].text(STATE_ID)
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    moments = [now - 86_400 + i * 1_800 for i in range(49)]
    with (day.folder / "history.txt").open("w") as file:
        for line in lines:
            labels, value = line.rsplit(" ", 1)
            is_total = bool(re.match(r"\w+_(total|sum|count|bucket)\{", labels))
            labels = labels.replace("{", '{job="pipedrive_etl",', 1)
            for i, moment in enumerate(moments):
                number = float(value) * (i / 48) if is_total else float(value)
                file.write(f"{labels} {number} {moment:.3f}\n")
        file.write("# EOF\n")
    command = ["promtool", "tsdb", "create-blocks-from", "openmetrics", "history.txt", "prometheus"]
    subprocess.run(command, cwd=day.folder, check=True, capture_output=True)


def configured(day: Day, exporter: Service, alertmanager: Service, receivers: str) -> None:
    """Copy the configuration of deploy/observe, with the addresses of this test and no patience."""
    addresses = {
        "pushgateway:9091": day.gateway,
        "postgres-exporter:9187": exporter,
        "localhost:9090": day.prometheus,
        "alertmanager:9093": alertmanager,
    }
    text = (DEPLOY / "prometheus.yml").read_text().replace("interval: 15s", "interval: 1s")
    for address, service in addresses.items():
        assert address in text
        text = text.replace(address, f"127.0.0.1:{service.port}")
    (day.folder / "prometheus.yml").write_text(text)
    text = (DEPLOY / "rules.yml").read_text().replace("interval: 5m", "interval: 1s")
    (day.folder / "rules.yml").write_text(text)
    text = (DEPLOY / "alertmanager.yml").read_text().replace("http://localhost:5001", receivers)
    text = text.replace("group_wait: 30s", "group_wait: 0s").replace(
        "group_interval: 5m", "group_interval: 1s"
    )
    (day.folder / "alertmanager.yml").write_text(text)


@pytest.fixture(scope="module")
def day(
    installed: Callable[[str, str], Path], warehouse: Warehouse, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Day]:
    for kind, name in (
        ("extractor", "tap-pipedrive"),
        ("loader", "target-postgres"),
        ("utility", "dbt-postgres"),
    ):
        installed(kind, name)
    folder = project(tmp_path_factory.mktemp("observe") / "project")
    databases = [f"observe_{os.getpid()}", f"observe_system_{os.getpid()}"]
    url, system = (warehouse.create_database(name) for name in databases)
    gateway = pushgateway(folder)
    exporter = Service(
        folder,
        "prometheus-postgres-exporter",
        "--web.listen-address=127.0.0.1:PORT",
        f"--extend.query-path={DEPLOY / 'postgres-exporter.yml'}",
        is_up="/",
    )
    prometheus = Service(
        folder,
        "prometheus",
        "--config.file=prometheus.yml",
        "--storage.tsdb.path=prometheus",
        "--web.listen-address=127.0.0.1:PORT",
    )
    alertmanager = Service(
        folder,
        "prometheus-alertmanager",
        "--config.file=alertmanager.yml",
        "--storage.path=alertmanager",
        "--cluster.listen-address=",
        "--web.listen-address=127.0.0.1:PORT",
    )
    with ExitStack() as stack:
        sandbox = stack.enter_context(Sandbox(deals=60, tokens=[TOKEN]))
        receivers, alerts = stack.enter_context(receiver())
        day = Day(prometheus, gateway, sandbox, url, folder, alerts)
        for service in (gateway, exporter, alertmanager, prometheus):
            stack.callback(service.stop)
        gateway.start()
        assert run(day, system, "--full-refresh", TAP_PIPEDRIVE_RECONCILE="true") == 0, day.outputs[-1][
            -3000:
        ]
        day.requests = len(sandbox.requests())
        a_day_of_history(day)
        configured(day, exporter, alertmanager, receivers)
        exporter.start(DATA_SOURCE_NAME=f"{system}?sslmode=disable", PATH=os.environ["PATH"])
        alertmanager.start()
        prometheus.start()
        wait_until(lambda: day.query("etl_last_run_success == 1"), "the good run is scraped")
        gateway.stop()
        gateway.start()  # it has forgotten everything
        assert run(day, system, TAP_PIPEDRIVE_API_TOKEN="0" * 40) != 0
        wait_until(lambda: day.told("firing", "RunFailed"), "the pager is told")
        sandbox.post("/sandbox/faults", {"kind": "status", "path": "/stages", "at": [1]})
        assert run(day, system) == 0, day.outputs[-1][-3000:]
        wait_until(lambda: day.told("resolved", "RunFailed"), "the pager is told of the repair")
        yield day
    for name in databases:
        warehouse.drop_database(name)


def test_failed_run_reaches_the_pager_and_the_repair_resolves_it(day: Day) -> None:
    assert set(day.told("firing", "RunFailed")) == {"/pager"}
    content = next(content for _, content in day.alerts if content["status"] == "firing")
    (alert,) = [each for each in content["alerts"] if each["labels"]["alertname"] == "RunFailed"]
    assert alert["labels"]["state_id"] == STATE_ID
    assert alert["annotations"]["summary"] == f"The last run of {STATE_ID} (Sandbox) failed."
    assert alert["annotations"]["runbook"] == "docs/observe.md#runfailed"
    others = {
        each["labels"]["alertname"]
        for _, content in day.alerts
        for each in content["alerts"]
        if each["status"] == "firing"
    }
    assert others == {"RunFailed"}, "nothing else was wrong"


def test_totals_survive_a_gateway_that_forgets(day: Day) -> None:
    assert day.value("pipedrive_etl_runs_total") == 3
    assert day.value("pipedrive_etl_failures_total") == day.value("etl_extract_failures_total") == 1
    suffixes = {"counter": "_total", "histogram": "_count", "summary": "_count"}
    for name, family in FAMILIES.items():
        if suffix := suffixes.get(family.kind):
            assert day.query(f"resets({name}{suffix}[2d]) > 0") == [], name
    first, second = day.published[0].values, day.published[1].values
    name = "pipedrive_api_token_cost"
    assert all(second[name][key] >= spent for key, spent in first[name].items())


def test_metrics_are_what_happened(day: Day) -> None:
    first = day.published[0].values
    assert sum(first["pipedrive_api_token_cost"].values()) == day.spent[0]
    assert sum(first["pipedrive_api_call"].values()) == day.requests
    with psycopg.connect(day.warehouse) as connection:
        for (_, label), rows in first["pipedrive_etl_records_processed"].items():
            table = dict(label)["stream"]
            if table in ("deals", "users", "persons"):
                found = connection.execute(f"select count(*) from pipedrive.{table}".encode()).fetchone()
                assert found == (rows,), table
    (command,) = (block.text for block in blocks(OBSERVE) if block.text.startswith("psql"))
    with psycopg.connect(day.warehouse) as connection:
        asked = connection.execute(command.split('"')[1].encode())
        assert {row[0] for row in asked} == {"deal_changes", "notes"}
    assert day.value('pipedrive_load_complete{stream="deals"}') == 1
    assert day.value('pipedrive_load_undone{stream="deal_changes", reason="budget"}') == 3
    assert day.value('dbt_results{resource_type="test", status="warn"}') == 1
    assert day.value('dbt_results{resource_type="model", status="success"}') == 2
    for process in ("tap", "target", "dbt", "meltano"):
        labels = f'{{process="{process}"}}'
        assert 20e6 < day.value(f"pipedrive_etl_process_memory_bytes{labels}") < 1e9, process
        assert day.value(f"pipedrive_etl_process_cpu_seconds_total{labels}") > 0.1, process
    (company,) = {sample["metric"]["company_name"] for sample in day.query("etl_heartbeat")}
    assert company == "Sandbox"
    wait_until(lambda: day.value("meltano_runs_succeeded") == 2, "Meltano's own database")
    assert day.value("meltano_runs_failed") == 1
    assert day.query("{run_id!=''}") == []


def substituted(expression: str) -> str:
    for name, value in {"$__range": "1d", "$state_id": ".*", "$stream": ".*", "$endpoint": ".*"}.items():
        expression = expression.replace(name, value)
    assert "$" not in expression, expression
    return expression


def test_every_query_of_every_panel_has_an_answer(day: Day) -> None:
    """Grafana itself cannot run here: what it would ask is asked."""
    empty, asked = [], 0
    for path in sorted((DEPLOY / "grafana" / "dashboards").glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel.get("targets", []):
                asked += 1
                expression = substituted(target["expr"])
                if target["range"]:
                    span = {"start": time.time() - 86_400, "end": time.time(), "step": 600}
                    answer = day.prometheus.get("/api/v1/query_range", query=expression, **span)
                    values = [value for each in answer["data"]["result"] for _, value in each["values"]]
                else:
                    values = [each["value"][1] for each in day.query(expression)]
                if not [value for value in values if value not in ("NaN", "+Inf", "-Inf")]:
                    empty.append(f"{panel['title']}: {expression}")
    assert asked > 60
    assert empty == []


def test_every_variable_of_a_dashboard_has_values(day: Day) -> None:
    for path in (DEPLOY / "grafana" / "dashboards").glob("*.json"):
        for variable in json.loads(path.read_text())["templating"]["list"]:
            found = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"])
            assert found
            answer = day.prometheus.get(f"/api/v1/label/{found[2]}/values", **{"match[]": found[1]})
            assert answer["data"], variable["name"]


def test_every_rule_is_evaluated_without_an_error(day: Day) -> None:
    groups = day.prometheus.get("/api/v1/rules")["data"]["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    written = yaml.safe_load((DEPLOY / "rules.yml").read_text())["groups"]
    assert len(rules) == sum(len(group["rules"]) for group in written)
    assert [
        (rule["name"], rule.get("lastError")) for rule in rules if rule["health"] not in ("ok", "unknown")
    ] == []


def test_grafana_finds_the_dashboards_and_prometheus() -> None:
    provisioning = DEPLOY / "grafana" / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())["datasources"]
    for path in (DEPLOY / "grafana" / "dashboards").glob("*.json"):
        board = json.loads(path.read_text())
        ids = [panel["id"] for panel in board["panels"]]
        assert len(ids) == len(set(ids))
        for panel in board["panels"]:
            for target in panel.get("targets", []):
                assert target["datasource"] == {"type": source["type"], "uid": source["uid"]}


def test_each_line_of_the_log_says_whose_it_is_and_nothing_private(day: Day) -> None:
    private = {
        str(value)
        for entity in ("persons", "users")
        for record in day.sandbox.truth(entity)
        for key in ("name", "first_name", "last_name", "email")
        if isinstance(value := record.get(key), str) and len(value) > 7
    }
    assert len(private) > 50
    password = unquote(urlsplit(day.warehouse).password or "")
    for output in day.outputs:
        entries = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
        assert len(entries) > 10
        for entry in entries:
            assert {"event", "level", "timestamp", "state_id"} <= entry.keys(), entry
            assert entry["state_id"] == STATE_ID
            assert not entry.keys() & {"_logger", "_name", "job_name"}
        began = next(i for i, entry in enumerate(entries) if "run_id" in entry)
        assert len({entry["run_id"] for entry in entries[began:]}) == 1
        assert not [word for word in (TOKEN, "0" * 40, password) if word and word in output]
        assert not [word for word in private if word in output]
    entries = [json.loads(line) for line in day.outputs[0].splitlines() if line.startswith("{")]
    named = next(i for i, entry in enumerate(entries) if "company_id" in entry)
    assert all(entry["company_name"] == "Sandbox" for entry in entries[named:])
    streams = {entry["stream"] for entry in entries if "rows in" in entry["event"]}
    assert streams > {"deals", "users", "notes"}
    kept = sorted((day.folder / ".run" / "logs").iterdir())
    assert len(kept) == 3
    assert all(
        json.loads(line)["state_id"] == STATE_ID for path in kept for line in path.read_text().splitlines()
    )
