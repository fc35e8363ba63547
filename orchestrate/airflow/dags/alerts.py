"""Alerts: one message for each failed run of a DAG, and one for each late run.

They are posted to FAILURE_URL, a webhook of Slack, Teams or your own, as the systemd units do. A task that
will be retried sends nothing: a run has failed when its last attempt has failed.
"""

import json
import logging
import os
import urllib.request
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from airflow.sdk import DeadlineAlert, DeadlineReference, SyncCallback

log = logging.getLogger(__name__)


def report_failure(context: Mapping[str, Any]) -> None:
    """Report that a run of a DAG has failed; this is a callback of DAGs."""
    run = context["dag_run"]
    _send(f"Pipedrive warehouse: {run.dag_id} failed ({run.run_id}). See its log in Airflow.")


def report_late(context: Mapping[str, Any], **_: object) -> None:
    """Report that a run of a DAG has not ended in time; this is a callback of deadlines, which outlive a
    failed run.
    """
    run = context["dag_run"]
    if run["state"] != "failed":
        _send(f"Pipedrive warehouse: {run['dag_id']} is late ({run['dag_run_id']}). See its log in Airflow.")


def _send(text: str) -> None:
    log.error(text)
    if url := os.environ.get("FAILURE_URL"):
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(url, json.dumps({"text": text}).encode(), headers)  # noqa: S310
        urllib.request.urlopen(request, timeout=30).close()  # noqa: S310


def deadline(hours: int, *, is_scheduled: bool) -> DeadlineAlert:
    """Make the alert for a run that has not ended this many hours after its scheduled time, or after it was
    queued.
    """
    reference = DeadlineReference.DAGRUN_LOGICAL_DATE if is_scheduled else DeadlineReference.DAGRUN_QUEUED_AT
    return DeadlineAlert(reference, timedelta(hours=hours), SyncCallback(report_late))
