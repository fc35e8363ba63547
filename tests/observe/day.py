"""A day of pipeline runs, monitored by the real Prometheus, Pushgateway, Alertmanager and exporter.

A good run; a restart of the gateway without its data; a run with a refused token, which alerts the pager; a
good run, which resolves the alert; a run of the other CRM. Prometheus also has a day of history before that.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import psycopg
import requests
from embedded_postgres.warehouse import Warehouse
from pipedrive_sandbox.hubspot.testing import HubspotSandbox
from pipedrive_sandbox.testing import Sandbox
from run_metrics.series import Published

from ..project.documents import ROOT
from .services import DEPLOY, Service, pushgateway, receiver, wait_until

STATE_ID = "dev:tap-pipedrive-to-target-postgres"
HUBSPOT_STATE_ID = "dev:tap-hubspot-to-target-postgres-hubspot"
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
"""A dbt project that builds in seconds: a mart made from the statement, and a test that warns."""


@dataclass
class Day:
    """The events of the day, and where their results can be read."""

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
    hubspot_output: str = ""
    """The output of the HubSpot run."""
    hubspot_published: Published = field(default_factory=Published)
    hubspot_private: set[str] = field(default_factory=set)
    """The HubSpot token and the names of contacts."""

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Query Prometheus for present values."""
        found: list[dict[str, Any]] = self.prometheus.get("/api/v1/query", query=expression)["data"]["result"]
        return found

    def value(self, expression: str) -> float:
        """Query one number, for the state ID of Pipedrive if there are several."""
        answer = self.query(expression)
        (found,) = [each for each in answer if each["metric"].get("state_id", STATE_ID) == STATE_ID]
        return float(found["value"][1])

    def told(self, status: str, alert: str) -> list[str]:
        """Return the receivers that were notified of an alert."""
        return [
            path
            for path, content in self.alerts
            for each in content["alerts"]
            if each["status"] == status and each["labels"]["alertname"] == alert
        ]


def project(folder: Path) -> None:
    """Copy the project with the original's plugins and a small dbt project."""
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


def run(day: Day, system: str, *options: str, **settings: str) -> int:
    """Run the pipeline as a schedule does; record its output, cost and metrics."""
    done = meltano(day, system, *options, "sync", **settings)
    day.outputs.append(done.stderr)
    day.spent.append(day.sandbox.stats()["tokens"])
    day.published.append(published(day, STATE_ID))
    return done.returncode


def run_hubspot(day: Day, system: str) -> int:
    """Run the pipeline of the other CRM; record its output and metrics, and the values that it must not
    print.
    """
    with HubspotSandbox(deals=40) as hubspot:
        settings = {"TAP_HUBSPOT_ACCESS_TOKEN": hubspot.token, "TAP_HUBSPOT_API_URL": hubspot.url}
        done = meltano(day, system, "sync-hubspot", **settings)
        day.hubspot_private = {hubspot.token}
    with psycopg.connect(day.warehouse) as connection:
        names = "select properties ->> 'lastname', properties ->> 'email' from hubspot.contacts"
        day.hubspot_private |= {
            word for row in connection.execute(names) for word in row if word and len(word) > 7
        }
    day.hubspot_output = done.stderr
    day.hubspot_published = published(day, HUBSPOT_STATE_ID)
    return done.returncode


def published(day: Day, state_id: str) -> Published:
    """Return the gateway's metrics of a state ID."""
    return Published.read(requests.get(f"{day.gateway.url}/metrics", timeout=60).text, state_id)


def meltano(day: Day, system: str, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run Meltano in the project of the day."""
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
    return subprocess.run(
        [Path(sys.executable).with_name("meltano"), "run", *words],
        cwd=day.folder,
        env=inherited | own | settings,
        capture_output=True,
        text=True,
        check=False,
    )


def a_day_of_history(day: Day) -> None:
    """Give Prometheus samples of the last day in which the totals grow to their present values."""
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
    """Copy the configuration of deploy/observe, with the addresses of this test and without waiting times."""
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


@contextmanager
def lived(warehouse: Warehouse, folder: Path) -> Iterator[Day]:
    """Run the whole day in a folder that does not exist yet; the services still run afterwards."""
    project(folder)
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
        gateway.start()  # the gateway has lost everything
        assert run(day, system, TAP_PIPEDRIVE_API_TOKEN="0" * 40) != 0
        wait_until(lambda: day.told("firing", "RunFailed"), "the pager is told")
        sandbox.post("/sandbox/faults", {"kind": "status", "path": "/stages", "at": [1]})
        assert run(day, system) == 0, day.outputs[-1][-3000:]
        wait_until(lambda: day.told("resolved", "RunFailed"), "the pager is told of the repair")
        assert run_hubspot(day, system) == 0, day.hubspot_output[-3000:]
        yield day
    for name in databases:
        warehouse.drop_database(name)
