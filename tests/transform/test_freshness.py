"""How old tables may be: `dbt source freshness`, and the test that says what is late."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tap_pipedrive.checks import CHECKS

from .conftest import TABLES, Account, Built

STREAMS: dict[str, tuple[float | None, float | None, dict[str, Any]]] = {
    "deals": (1, None, {}),
    "persons": (20, None, {}),
    "organizations": (30, None, {}),
    "leads": (60, None, {}),
    "users": (20, -4, {}),  # read by age, and good for four hours more
    "currencies": (50, 20, {}),
    "lead_labels": (90, 40, {}),
    "deal_changes": (None, None, {"undone_reason": "budget", "left_count": 7}),
    "goals": (None, None, {"undone_reason": "plan"}),
    "activities": (None, None, {"undone_reason": "failed", "undone_detail": "No.", "is_missing": True}),
}
"""By stream: how many hours ago it was read, and when it is or was due again; what the statement says besides."""


@pytest.fixture(scope="module")
def aged(new_account: Callable[..., Account]) -> Account:
    """Empty tables, and a run that ended a minute ago and has read them up to different moments."""
    account = new_account("aged")
    now = datetime.now(UTC).replace(tzinfo=None)

    def ago(hours: float | None) -> datetime | None:
        return None if hours is None else now - timedelta(hours=hours)

    def state(run_id: str, ended: float, stream: str, hours: float | None, **further: Any) -> None:
        row = {"run_id": run_id, "stream": stream, "ended_at": ago(ended), "read_up_to": ago(hours)}
        account.insert(
            "run_statements",
            row | {"unread_count": 0, "method": "changes", "_sdc_extracted_at": ago(ended)} | further,
        )

    for stream, (hours, due, further) in STREAMS.items():
        state("2", 0.02, stream, hours, due_at=ago(due), **further)
    for stream in ("leads", "activities"):
        state("1", 48, stream, 70)
    return account


def late(account: Account, *options: str, **environment: str) -> tuple[str, set[str]]:
    """Run the test of what is late; return what became of it, and the streams that it names."""
    account.dbt("test", "--select", "assert_nothing_is_late", *options, **environment)
    results = json.loads((account.target / "run_results.json").read_text())["results"]
    (result,) = (each for each in results if each["unique_id"].startswith("test."))
    query = re.sub(r'"\w+"\."marts"', "marts", result["compiled_code"])  # the database has its own name again
    return result["status"], {stream for stream, *_ in account.query(query)}


def test_what_is_late_is_said(aged: Account) -> None:
    built = aged.dbt("build", "--select", "+load_summary", "--exclude-resource-type", "test", "unit_test")
    assert built.returncode == 0, built.stdout
    assert late(aged) == ("warn", {"organizations", "leads", "lead_labels", "activities"})
    assert late(aged, "--vars", "when_late: error")[0] == "fail"
    assert late(aged, "--vars", "when_late: error", MAX_LAG_HOURS="71") == ("pass", set())
    assert late(aged, "--vars", "{when_late: error, max_lag_hours: 65}") == ("fail", {"activities"})


def test_sources_are_as_fresh_as_they_are_complete(aged: Account) -> None:
    """What is read by age is fresh until it is due; what no run was asked to read is never late."""
    checked = aged.dbt("source", "freshness")
    results = json.loads((aged.target / "sources.json").read_text())["results"]
    found = {result["unique_id"].split(".")[-1]: result["status"] for result in results}
    assert found.keys() == {name for name, stream in TABLES.items() if stream.listings} - CHECKS
    assert {stream: status for stream, status in found.items() if status != "pass"} == {
        "persons": "warn",
        "currencies": "warn",
        "organizations": "warn",
        "leads": "error",
        "lead_labels": "error",
        "activities": "error",
        "deal_changes": "error",
    }
    assert checked.returncode != 0, "what orchestrators look at"


def test_nothing_is_fresh_before_the_first_run(empty: Built) -> None:
    empty.account.dbt("source", "freshness", "--select", "source:pipedrive.deals", "source:pipedrive.files")
    results = json.loads((empty.account.target / "sources.json").read_text())["results"]
    assert {result["status"] for result in results} == {"error"}
