"""Rules, routes and configuration, checked by the programs that read them and compared with the documents."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from run_metrics.completeness import COMPLETE, QUERY
from run_metrics.families import FAMILIES

from ..project.documents import OBSERVE, ROOT, blocks, load, quoted, table
from .services import DEPLOY

RULES = [
    rule for group in yaml.safe_load((DEPLOY / "rules.yml").read_text())["groups"] for rule in group["rules"]
]
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}


def checked(*command: str | Path, stdin: str | None = None) -> str:
    done = subprocess.run(command, cwd=DEPLOY, input=stdin, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.observe
def test_each_alert_fires_when_it_should_and_not_earlier() -> None:
    checked("promtool", "check", "config", "prometheus.yml")
    files = ["rules_test.yml", "rules_costs_test.yml"]
    (commands,) = (block.text for block in blocks(OBSERVE) if "promtool" in block.text)
    subprocess.run(["sh", "-e", "-c", commands], cwd=ROOT, check=True)
    assert all(f"deploy/observe/{file}" in commands for file in files)
    tests = [
        check
        for file in files
        for each in yaml.safe_load((DEPLOY / file).read_text())["tests"]
        for check in each["alert_rule_test"]
    ]
    for alert in ALERTS:
        outcomes = {bool(check["exp_alerts"]) for check in tests if check["alertname"] == alert}
        silent_series = [
            check for check in tests if check["alertname"] == alert and len(check["exp_alerts"]) == 1
        ]
        assert True in outcomes, f"{alert} has no test in which it fires"
        assert False in outcomes or silent_series, f"{alert} has no test in which it does not fire"


@pytest.mark.observe
@pytest.mark.parametrize(
    ("severity", "receiver"), [("critical", "pager"), ("warning", "chat"), ("unheard-of", "chat")]
)
def test_alerts_are_routed_by_severity(severity: str, receiver: str) -> None:
    checked("amtool", "check-config", "alertmanager.yml")
    routed = checked(
        "amtool", "config", "routes", "test", "--config.file=alertmanager.yml", f"severity={severity}",
        "alertname=RunFailed",
    )  # fmt: skip
    assert routed.strip() == receiver


def test_each_command_of_the_document_is_run_by_a_test() -> None:
    programs = [block.text.split()[0] for block in blocks(OBSERVE) if block.language == "sh"]
    assert programs == ["curl", "promtool", "psql"], "here, in test_run_metrics.py and in test_end_to_end.py"


def test_each_alert_has_a_severity_a_sentence_and_a_runbook() -> None:
    headings = re.findall(r"^### (\w+)$", OBSERVE.read_text(), re.MULTILINE)
    assert sorted(headings) == sorted(ALERTS)
    for name, rule in ALERTS.items():
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert re.fullmatch(r"\S.*\.", rule["annotations"]["summary"])
        assert rule["annotations"]["runbook"] == f"docs/observe.md#{name.lower()}"


def test_the_document_lists_every_metric_with_type_and_labels() -> None:
    theirs = {quoted(row[0])[0]: (row[1], quoted(row[2])) for row in table(OBSERVE, "metrics")}
    suffix = {"counter": "_total"}
    ours = {
        name + suffix.get(family.kind, ""): (family.kind, list(family.labels))
        for name, family in FAMILIES.items()
    }
    assert theirs == ours


def test_every_metric_in_a_rule_or_panel_exists() -> None:
    recorded = {rule["record"] for rule in RULES if "record" in rule}
    foreign = {"up", "pg_up", "pg_stat_activity_count", "pg_settings_max_connections"}
    queries = yaml.safe_load((DEPLOY / "postgres-exporter.yml").read_text())
    foreign |= {f"{name}_{next(iter(each))}" for name, query in queries.items() for each in query["metrics"]}
    known = {*recorded, *foreign} | {
        name + suffix
        for name, family in FAMILIES.items()
        for suffix in {
            "counter": ("_total",),
            "gauge": ("",),
            "histogram": ("_bucket", "_sum", "_count"),
            "summary": ("_sum", "_count"),
        }[family.kind]
    }
    words = re.compile(r"\b(?:(?:pipedrive|etl|dbt|pg|meltano)_\w+|pipedrive:[\w:]+|up\b)")
    dashboards = load(DEPLOY / "dashboards.py")
    panels = [
        expression
        for _, _, rows in dashboards.DASHBOARDS.values()
        for row in rows.values()
        for panel in row
        for expression, _ in panel.queries
    ]
    for expression in [*(rule["expr"] for rule in RULES), *panels]:
        assert set(words.findall(expression)) <= known, expression


def test_each_metric_and_panel_of_the_older_systems_is_replaced_or_has_a_reason() -> None:
    """There are 53 metrics, and 27 and 11 panels of two dashboards."""
    dashboards = load(DEPLOY / "dashboards.py")
    titles = {
        panel.title for _, _, rows in dashboards.DASHBOARDS.values() for row in rows.values() for panel in row
    }
    metrics = table(OBSERVE, "old metrics")
    assert len(metrics) == len({row[0] for row in metrics}) == 53
    known = {name + ("_total" if family.kind == "counter" else "") for name, family in FAMILIES.items()}
    for old, new, why in metrics:
        for name in quoted(new):
            assert name.partition("{")[0] in known | {"up", "pg_stat_activity_count"}, old
        assert quoted(new) or why, f"{old} is gone for no reason"
    for mark, count in (("old panels", 27), ("older panels", 11)):
        panels: list[list[Any]] = table(OBSERVE, mark)
        assert len(panels) == count
        for old, new, why in panels:
            assert set(re.findall(r"\*([^*]+)\*", new)) <= titles, old
            assert new or why, f"{old} is gone for no reason"


def test_dashboards_equal_the_output_of_their_script() -> None:
    for path, text in load(DEPLOY / "dashboards.py").outputs().items():
        assert path.read_text() == text, "run make generate"


def test_the_completeness_mart_has_the_columns_that_the_metrics_read() -> None:
    documents = list((ROOT / "transform" / "models").rglob("load_completeness.yml"))
    if not documents:
        pytest.skip("this version has no mart load_completeness")
    (model,) = yaml.safe_load(documents[0].read_text())["models"]
    read = set(re.findall(r"\b[a-z_]{6,}\b", QUERY)) - {"select", "extract", "greatest"}
    assert read - {"load_completeness"} <= {column["name"] for column in model["columns"]}
    assert f"[{COMPLETE}," in documents[0].read_text().replace("'", "")
