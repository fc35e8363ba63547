"""Observability of a run: its metrics, and logs whose lines name their run."""

import logging
import os
import re
import sys
from collections.abc import Mapping, MutableMapping, Sequence
from functools import cache
from itertools import pairwise
from typing import Any

import click
import structlog
from meltano.core.logging.formatters import get_default_foreign_pre_chain
from meltano.core.project import Project
from run_metrics.handler import RunMetrics

from orchestrate.paths import RUN, TRANSFORM

ANSI = re.compile(r"\x1b\[[0-9;]*m")

NOISE = ("_logger", "_name", "app_name", "cmd_type", "consumer", "job_name", "producer", "stdio", "string_id",
         "thread_name")  # fmt: skip
"""Keys of Meltano's own entries that are empty or redundant."""

COMPANY = ("company_id", "company_name")

GATEWAY, FOLDER = VARIABLES = ("PUSHGATEWAY_URL", "METRICS_FOLDER")
"""Variables with the destinations of metrics."""


@cache
def metrics_handler(state_ids: tuple[str, ...]) -> logging.Handler:
    """Return the handler of a run's metrics, which does nothing unless a destination is set."""
    variables = {**Project.find().dotenv_env, **os.environ}
    gateway, folder = variables.get(GATEWAY), variables.get(FOLDER)
    if not state_ids or not (gateway or folder):
        return logging.NullHandler()
    target = variables.get("DBT_TARGET_PATH")
    return RunMetrics(
        state_ids,
        folder=RUN.parent / folder if folder else RUN / "metrics",
        gateway=gateway,
        dbt_results=(TRANSFORM / (target or "target")) / "run_results.json",
        environment=variables,
    )


def state_ids(project: Project, plugins: Sequence[str]) -> tuple[str, ...]:
    """Return Meltano's state IDs of a run's blocks; a block without an extractor gets a similar name.

    Args:
        project: the project, whose environment may still be inactive.
        plugins: names of the run's plugins in order.
    """
    environment = _environment(project)
    suffix = re.search(r"--state-id-suffix[= ](\S+)", " ".join(sys.argv))
    end = f":{suffix[1]}" if suffix else ""
    loads = [
        f"{environment}:{extractor}-to-{loader}{end}"
        for extractor, loader in pairwise(plugins)
        if extractor.startswith("tap-") and loader.startswith("target-")
    ]
    return tuple(loads or [f"{environment}:{name}" for name in plugins[:1]])


def _environment(project: Project) -> str:
    """Return the environment that Meltano is about to activate, by Meltano's order of precedence."""
    context = click.get_current_context(silent=True)
    chosen = context.find_root().params.get("environment") if context else None
    variables = {**project.dotenv_env, **os.environ}
    return str(chosen or variables.get("MELTANO_ENVIRONMENT") or project.settings.get("default_environment"))


class Context:
    """Adds state ID, run ID, company and stream to each log entry."""

    def __init__(self, state_ids: Sequence[str]) -> None:
        self._known: dict[str, Any] = {"state_id": state_ids[0]} if state_ids else {}

    def __call__(self, logger: Any, method: str, entry: MutableMapping[str, Any]) -> Mapping[str, Any]:
        """Return the entry to write."""
        own = {key: entry[key] for key in (*COMPANY, "run_id") if entry.get(key) is not None}
        self._known.update(own)
        if job := entry.get("job_name"):
            self._known["state_id"] = job
        stream = _stream(entry)
        entry = {key: value for key, value in entry.items() if key not in NOISE}
        entry["event"] = ANSI.sub("", str(entry.get("event", "")))
        return {**entry, **self._known, **({"stream": stream} if stream else {})}


def _stream(entry: Mapping[str, Any]) -> str:
    """Return the stream that an entry is about, or nothing if there is none or several."""
    info = entry.get("metric_info")
    tags = info.get("tags") if isinstance(info, dict) else None
    if isinstance(tags, dict) and "stream" in tags:
        return str(tags["stream"])
    plugin, _, stream = str(entry.get("plugin_logger", "")).partition(".")
    return str(entry.get("stream_name") or (stream if plugin.startswith(("tap-", "target-")) else ""))


def json_formatter(context: Context) -> logging.Formatter:
    """Return Meltano's formatter for lines of JSON, extended by the description of the run."""
    return structlog.stdlib.ProcessorFormatter(
        processors=[
            structlog.processors.ExceptionRenderer(
                structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
            ),
            structlog.stdlib.ExtraAdder(),
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            context,
            structlog.processors.JSONRenderer(),
        ],
        foreign_pre_chain=get_default_foreign_pre_chain(),
    )
