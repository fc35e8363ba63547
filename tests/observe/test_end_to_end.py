"""The results of a day of runs in Prometheus, at the pager, in Meltano's database and in the logs; see `day`."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

import psycopg
import pytest
import yaml
from embedded_postgres.warehouse import Warehouse
from run_metrics.families import FAMILIES

from ..project.documents import OBSERVE, blocks
from .day import HUBSPOT_STATE_ID, STATE_ID, TOKEN, Day, lived
from .services import DEPLOY, wait_until

pytestmark = pytest.mark.observe


@pytest.fixture(scope="module")
def day(every_plugin: None, warehouse: Warehouse, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Day]:
    with lived(warehouse, tmp_path_factory.mktemp("observe") / "project") as day:
        yield day


def test_a_failed_run_alerts_the_pager_and_a_good_run_resolves_it(day: Day) -> None:
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


def test_totals_survive_a_gateway_that_loses_its_data(day: Day) -> None:
    assert day.value("pipedrive_etl_runs_total") == 3
    assert day.value("pipedrive_etl_failures_total") == day.value("etl_extract_failures_total") == 1
    suffixes = {"counter": "_total", "histogram": "_count", "summary": "_count"}
    for name, family in FAMILIES.items():
        if suffix := suffixes.get(family.kind):
            assert day.query(f"resets({name}{suffix}[2d]) > 0") == [], name
    first, second = day.published[0].values, day.published[1].values
    name = "pipedrive_api_token_cost"
    assert all(second[name][key] >= spent for key, spent in first[name].items())


def test_metrics_equal_the_events_of_the_day(day: Day) -> None:
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
    own = f'etl_heartbeat{{state_id="{STATE_ID}"}}'
    (company,) = {sample["metric"]["company_name"] for sample in day.query(own)}
    assert company == "Sandbox"
    wait_until(lambda: day.value("meltano_runs_succeeded") == 2, "Meltano's own database")
    assert day.value("meltano_runs_failed") == 1
    assert day.query("{run_id!=''}") == []


def test_hubspot_has_its_own_metrics_and_logs(day: Day) -> None:
    values = day.hubspot_published.values
    written = values["pipedrive_etl_records_processed"]
    with psycopg.connect(day.warehouse) as connection:
        for (_, label), rows in written.items():
            table = dict(label)["stream"]
            assert connection.execute(f"select count(*) from hubspot.{table}".encode()).fetchone() == (rows,)
    assert {dict(label)["stream"] for _, label in written} > {"deals", "contacts", "companies"}
    assert {*values["etl_last_run_success"].values()} == {1}
    assert {dict(label)["process"] for _, label in values["pipedrive_etl_process_memory_bytes"]} == {
        "tap", "target", "dbt", "meltano",
    }  # fmt: skip
    entries = [json.loads(line) for line in day.hubspot_output.splitlines() if line.startswith("{")]
    assert {entry["state_id"] for entry in entries} == {HUBSPOT_STATE_ID}
    assert {entry["stream"] for entry in entries if "stream" in entry} > {"deals", "contacts"}
    assert len(day.hubspot_private) > 20
    assert not [word for word in day.hubspot_private if word in day.hubspot_output]


def substituted(expression: str) -> str:
    for name, value in {"$__range": "1d", "$state_id": ".*", "$stream": ".*", "$endpoint": ".*"}.items():
        expression = expression.replace(name, value)
    assert "$" not in expression, expression
    return expression


def test_every_query_of_every_panel_has_a_result(day: Day) -> None:
    """Grafana cannot run here, so the test sends its queries to Prometheus."""
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


def test_grafana_can_read_the_dashboards_and_the_address_of_prometheus() -> None:
    provisioning = DEPLOY / "grafana" / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())["datasources"]
    for path in (DEPLOY / "grafana" / "dashboards").glob("*.json"):
        board = json.loads(path.read_text())
        ids = [panel["id"] for panel in board["panels"]]
        assert len(ids) == len(set(ids))
        for panel in board["panels"]:
            for target in panel.get("targets", []):
                assert target["datasource"] == {"type": source["type"], "uid": source["uid"]}


def test_each_log_line_names_its_run_and_contains_nothing_private(day: Day) -> None:
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
    assert len(kept) == 4
    for path, state_id in zip(kept, [*[STATE_ID] * 3, HUBSPOT_STATE_ID], strict=True):
        assert {json.loads(line)["state_id"] for line in path.read_text().splitlines()} == {state_id}
