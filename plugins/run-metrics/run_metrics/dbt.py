"""Reads the results of dbt's last build from `run_results.json`."""

import json
from collections import Counter
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from run_metrics.series import Additions

WRITING = ("build", "run", "seed", "snapshot", "test")
"""Commands whose results count as a build."""

GOOD = ("success", "pass", "skipped", "no-op")


def read_results(path: Path, since: float, additions: Additions) -> bool:
    """Read the results if they are newer than a moment, and return whether they are.

    Args:
        path: dbt's file.
        since: seconds since 1970.
        additions: receives the values.
    """
    try:
        if path.stat().st_mtime < since:
            return False
        document = json.loads(path.read_text())
        results, seconds = document["results"], document["elapsed_time"]
        ended = datetime.fromisoformat(document["metadata"]["generated_at"]).timestamp()
        is_build = document["args"].get("which") in WRITING
    # the file is missing, or dbt was killed while it wrote it
    except (OSError, ValueError, KeyError, TypeError):
        return False
    if not is_build:
        return False
    for name in ("dbt_results", "dbt_model_duration_seconds", "dbt_test_failures"):
        additions.forget(name)
    counts: Counter[tuple[str, str]] = Counter()
    for result in results:
        with suppress(KeyError, TypeError):
            kind, *_ = parts = result["unique_id"].split(".")
            counts[kind, result["status"]] += 1
            if kind == "model":
                additions.put("dbt_model_duration_seconds", result["execution_time"], model=parts[2])
            elif result["status"] not in GOOD:
                additions.put(
                    "dbt_test_failures", result.get("failures") or 1, test=parts[2], status=result["status"]
                )
    for (kind, status), count in counts.items():
        additions.put("dbt_results", count, resource_type=kind, status=status)
    additions.put("dbt_build_timestamp_seconds", ended)
    additions.observe("etl_transform_seconds", seconds)
    return True
