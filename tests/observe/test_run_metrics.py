"""The handler that turns a run's log into metrics: totals over runs, restarts, and errors that fail no run."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from run_metrics.families import FAMILIES
from run_metrics.handler import RunMetrics

from ..postgres import free_port
from ..project.documents import OBSERVE, blocks
from .services import Service, pushgateway

STATE_ID = "dev:tap-pipedrive-to-target-postgres"
COMPANY = {"company_id": 7, "company_name": 'Acme "Ltda"\\'}


class Run:
    """A run whose log the test writes."""

    def __init__(
        self, folder: Path, gateway: str | None = None, state_id: str = STATE_ID, **environment: str
    ):
        self.handler = RunMetrics(
            [state_id],
            folder=folder / "metrics",
            gateway=gateway,
            dbt_results=folder / "run_results.json",
            environment=environment,
        )

    def log(self, event: str, **entry: Any) -> None:
        self.handler.handle(logging.makeLogRecord({"msg": {"event": event, "run_id": "run-1", **entry}}))

    def metric(
        self, metric: str, value: Any, *, kind: str = "counter", is_target: bool = False, **tags: Any
    ) -> None:
        info = {"type": kind, "metric": metric, "value": value, "tags": tags}
        self.log("METRIC", metric_info=info, job_name=STATE_ID, consumer=is_target)

    def end(self, status: str = "success") -> None:
        self.log("Run completed", status=status)


def series(text: str) -> dict[tuple[str, ...], float]:
    """Return values by the sample's name and labels, without the labels of the run."""

    def value_of(name: str, value: str) -> str:
        return str(float(value)) if name == "le" else value

    common = ("job", "instance", "state_id", "company_id", "company_name")
    return {
        (
            sample.name,
            *(value_of(*label) for label in sorted(sample.labels.items()) if label[0] not in common),
        ): sample.value
        for family in text_string_to_metric_families(text)
        if family.name in FAMILIES
        for sample in family.samples
    }


def in_file(folder: Path) -> dict[tuple[str, ...], float]:
    (path,) = (folder / "metrics").glob("*.prom")
    return series(path.read_text())


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Service]:
    service = pushgateway(tmp_path)
    service.start()
    yield service
    service.stop()


def in_gateway(gateway: Service) -> dict[tuple[str, ...], float]:
    import requests

    return series(requests.get(f"{gateway.url}/metrics", timeout=60).text)


def test_totals_grow_from_run_to_run_and_gauges_have_the_last_value(tmp_path: Path) -> None:
    for rows, rejected in ((3, {"deals": 2}), (4, {"notes": 1})):
        run = Run(tmp_path)
        run.log("Reading the account", **COMPANY)
        for stream in ("deals", "notes"):
            run.metric("sync_duration", 0.5, stream=stream, status="succeeded")
        run.metric("record_count", 100, stream="deals")
        run.metric("record_count", rows, stream="deals", is_target=True)
        run.metric("batch_processing_time", 0.7, stream="deals", is_target=True)
        for stream, count in rejected.items():
            run.metric("rejected_rows", count, stream=stream)
        run.end()
    found = in_file(tmp_path)
    assert found["pipedrive_etl_records_processed_total", "deals"] == 7
    assert found["pipedrive_etl_runs_total",] == 2
    assert found["pipedrive_etl_failures_total",] == 0
    assert found["pipedrive_etl_batch_validation_errors_total", "deals"] == 2
    assert found["pipedrive_etl_batch_validation_errors_total", "notes"] == 1
    assert found["etl_last_run_rejected_rows", "deals"] == 0
    assert found["etl_last_run_rejected_rows", "notes"] == 1
    assert found["pipedrive_etl_batch_size", "deals"] == 4
    assert found["etl_extract_seconds_sum", "deals"] == 1
    bounds = {
        bound: found["pipedrive_etl_batch_duration_seconds_bucket", bound, "deals"]
        for bound in ("0.5", "1.0")
    }
    assert bounds == {"0.5": 0, "1.0": 2}
    assert found["etl_last_run_success",] == 1
    assert found["etl_run_in_progress",] == 0


def test_labels_name_the_company_and_never_the_run(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.log("Reading the account", **COMPANY)
    run.end()
    Run(tmp_path).end("failure")  # before the company is known
    (path,) = (tmp_path / "metrics").glob("*.prom")
    for family in text_string_to_metric_families(path.read_text()):
        for sample in family.samples:
            assert sample.labels["company_name"] == COMPANY["company_name"]
            assert sample.labels["company_id"] == "7"
            assert sample.labels["state_id"] == STATE_ID
            assert "run-1" not in sample.labels.values()


def test_histograms_of_requests_are_added_up(tmp_path: Path) -> None:
    bounds = ("0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "30", "60", "+Inf")
    for _ in range(2):
        run = Run(tmp_path)
        value = {"sum": 3.5, "buckets": dict(zip(bounds, [0] * 8 + [2] * 4 + [3], strict=True))}
        run.metric("api_request_duration", value, kind="histogram", endpoint="/a", http_status_code=200)
        run.end()
    found = in_file(tmp_path)
    name = "pipedrive_api_request_duration_seconds"
    assert found[f"{name}_count", "/a", "200"] == found[f"{name}_bucket", "/a", "inf", "200"] == 6
    assert found[f"{name}_bucket", "/a", "5.0", "200"] == 4
    assert found[f"{name}_bucket", "/a", "2.5", "200"] == 0
    assert found[f"{name}_sum", "/a", "200"] == 7
    assert found["pipedrive_api_call_total", "/a", "200"] == 6
    assert found["pipedrive_api_retries_total", "/a"] == 0, "Prometheus sees the first increase"


@pytest.mark.parametrize(
    ("entry", "failed"),
    [
        ({"block_type": "ExtractLoadBlocks", "exit_codes": {"extractors": 1}}, "etl_extract_failures_total"),
        ({"block_type": "ExtractLoadBlocks", "exit_codes": {"loaders": 1}}, "etl_load_failures_total"),
        ({"block_type": "InvokerCommand", "exit_codes": {"utilities": 1}}, "etl_transform_failures_total"),
    ],
)
def test_a_failure_is_counted_for_the_part_that_failed(
    tmp_path: Path, entry: dict[str, Any], failed: str
) -> None:
    run = Run(tmp_path)
    run.log("Block run completed", success=False, **entry)
    run.end("failure")
    found = in_file(tmp_path)
    assert {name for (name, *_), value in found.items() if name.endswith("failures_total") and value} == {
        "pipedrive_etl_failures_total",
        failed,
    }
    assert found["etl_last_run_success",] == 0
    assert ("etl_last_successful_run_timestamp",) not in found


KILLED = """
import os, sys
from pathlib import Path
from run_metrics.handler import RunMetrics
RunMetrics([sys.argv[2]], folder=Path(sys.argv[1]), gateway=None, dbt_results=Path("none"), environment={})
if sys.argv[3] == "killed":
    os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("how", ["killed", "ended without a word"])
def test_a_run_that_is_killed_or_ends_early_counts_as_failed(tmp_path: Path, how: str) -> None:
    subprocess.run([sys.executable, "-c", KILLED, tmp_path / "metrics", STATE_ID, how], check=False)
    found = in_file(tmp_path)
    assert found["etl_run_in_progress",] == (how == "killed")
    Run(tmp_path).end()
    found = in_file(tmp_path)
    assert found["pipedrive_etl_runs_total",] == 2
    assert found["pipedrive_etl_failures_total",] == 1
    assert found["etl_last_run_success",] == 1


def test_a_concurrent_run_is_counted_and_does_not_change_the_first(tmp_path: Path) -> None:
    first = Run(tmp_path)
    Run(tmp_path).end("failure")
    found = in_file(tmp_path)
    assert found["etl_run_in_progress",] == 1
    assert ("etl_last_run_success",) not in found
    first.end()
    found = in_file(tmp_path)
    assert found["etl_last_run_success",] == 1
    assert found["pipedrive_etl_runs_total",] == 2
    assert found["pipedrive_etl_failures_total",] == 1


def test_the_last_good_run_before_a_failed_one_is_remembered(tmp_path: Path) -> None:
    Run(tmp_path).end()
    before = in_file(tmp_path)["etl_last_successful_run_timestamp",]
    Run(tmp_path).end("failure")
    assert in_file(tmp_path)["etl_last_successful_run_timestamp",] == before


def test_memory_and_cpu_of_processes_are_measured(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.end()
    found = in_file(tmp_path)
    assert found["pipedrive_etl_process_memory_bytes", "meltano"] > 10_000_000
    assert found["pipedrive_etl_process_cpu_seconds_total", "meltano"] > 0
    assert found["etl_thread_count", "meltano"] >= 1


def results(folder: Path, *, which: str = "build", **changes: Any) -> None:
    document = {
        "metadata": {"generated_at": "2026-11-28T14:05:00.000001Z"},
        "args": {"which": which},
        "elapsed_time": 12.5,
        "results": [
            {"unique_id": "model.p.main_bi", "status": "success", "execution_time": 3.25},
            {"unique_id": "model.p.dim_users", "status": "error", "execution_time": 0.5},
            {"unique_id": "test.p.unique_main_bi.1a", "status": "pass", "failures": 0},
            {"unique_id": "test.p.not_null.2b", "status": "warn", "failures": 4},
            {"unique_id": "test.p.refs.3c", "status": "fail", "failures": 9},
            {"unique_id": "unheard-of"},
        ],
    }
    (folder / "run_results.json").write_text(json.dumps({**document, **changes}))


def test_only_dbt_results_of_this_run_are_used(tmp_path: Path) -> None:
    run = Run(tmp_path)
    results(tmp_path)
    run.end()
    found = in_file(tmp_path)
    assert found["dbt_results", "model", "success"] == found["dbt_results", "model", "error"] == 1
    assert found["dbt_results", "test", "warn"] == 1
    assert found["dbt_model_duration_seconds", "main_bi"] == 3.25
    assert found["dbt_test_failures", "warn", "not_null"] == 4
    assert found["dbt_test_failures", "fail", "refs"] == 9
    assert ("dbt_test_failures", "pass", "unique_main_bi") not in found
    assert found["etl_transform_seconds_sum",] == 12.5
    os.utime(tmp_path / "run_results.json", (time.time() - 60, time.time() - 60))
    Run(tmp_path).end()
    assert in_file(tmp_path)["etl_transform_seconds_count",] == 1, "the second run did not build"


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"results": 5}', '{"metadata": null}'])
def test_unreadable_dbt_results_are_left_out(tmp_path: Path, content: str) -> None:
    run = Run(tmp_path)
    (tmp_path / "run_results.json").write_text(content)
    run.end()
    assert not [name for name, *_ in in_file(tmp_path) if name.startswith("dbt_")]


def test_dbt_docs_do_not_count_as_a_build(tmp_path: Path) -> None:
    run = Run(tmp_path)
    results(tmp_path, which="generate")
    run.end()
    assert not [name for name, *_ in in_file(tmp_path) if name.startswith("dbt_")]


def test_faults_of_the_handler_cause_one_warning_and_fail_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The gateway and the warehouse are missing, and the log has unknown entries."""
    where = {"TARGET_POSTGRES_HOST": "127.0.0.1", "TARGET_POSTGRES_PORT": str(free_port())}
    run = Run(tmp_path, f"http://user:secret-of-the-gateway@127.0.0.1:{free_port()}", **where)
    run.log("METRIC", metric_info={"metric": "record_count"})
    run.log("METRIC", metric_info="nonsense")
    results(tmp_path)
    run.end()
    (warning,) = (line for line in caplog.records if line.levelno >= logging.WARNING)
    assert "Pushgateway 127.0.0.1 did not take the metrics: it does not answer" in warning.getMessage()
    assert "secret-of-the-gateway" not in caplog.text
    assert in_file(tmp_path)["pipedrive_etl_runs_total",] == 1


@pytest.mark.observe
def test_a_gateway_that_was_away_gets_all_totals_later(tmp_path: Path, gateway: Service) -> None:
    for _ in range(2):
        Run(tmp_path, gateway.url).end()
    gateway.stop()
    Run(tmp_path, gateway.url).end("failure")
    gateway.start()  # this gateway has no data
    assert in_gateway(gateway) == {}
    Run(tmp_path, gateway.url).end()
    assert in_gateway(gateway)["pipedrive_etl_runs_total",] == 4
    assert in_gateway(gateway)["pipedrive_etl_failures_total",] == 1
    assert in_gateway(gateway) == in_file(tmp_path)


@pytest.mark.observe
def test_the_gateway_keeps_the_totals_of_containers(tmp_path: Path, gateway: Service) -> None:
    """Each run has an empty folder, as on another machine; the last one cannot write at all."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Run(tmp_path / name, gateway.url).end()
    (tmp_path / "c").write_text("no folder")
    Run(tmp_path / "c", gateway.url).end("failure")
    found = in_gateway(gateway)
    assert found["pipedrive_etl_runs_total",] == 3
    assert found["pipedrive_etl_failures_total",] == 1
    assert found["pipedrive_etl_duration_seconds_bucket", "10.0"] == 3
    assert len([name for name, *_ in found if name == "pipedrive_etl_duration_seconds_bucket"]) == 11


@pytest.mark.observe
def test_a_group_can_be_deleted_as_documented(tmp_path: Path, gateway: Service) -> None:
    (command,) = (block.text for block in blocks(OBSERVE) if block.text.startswith("curl"))
    Run(tmp_path, gateway.url, "prod:tap-pipedrive-to-target-postgres").end()
    subprocess.run(["sh", "-c", command.replace("http://localhost:9091", gateway.url)], check=True)
    assert gateway.get("/api/v1/metrics")["data"] == []


@pytest.mark.observe
def test_each_state_id_has_its_own_group(tmp_path: Path, gateway: Service) -> None:
    for state_id in ("dev:tap-a-to-target", "prod:tap/b-to-target:ção"):
        Run(tmp_path, gateway.url, state_id).end()
    answer = gateway.get("/api/v1/metrics")["data"]
    assert {group["labels"]["state_id"] for group in answer} == {
        "dev:tap-a-to-target",
        "prod:tap/b-to-target:ção",
    }
