"""Writes the Grafana dashboards in `grafana/dashboards`, for `make generate`.

Counters are shown by their increase over the time range, so that no restart and no new group distorts a
figure. Gauges of state IDs without a run for two days are left out. Tests run every query on a real
Prometheus.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    dashboard,
    gauge,
    prometheus,
    stat,
    table,
    timeseries,
)
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import TooltipDisplayMode, VizOrientation
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DataSourceRef,
    DataTransformerConfig,
    Threshold,
    ThresholdsMode,
    VariableOption,
    VariableRefresh,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

FOLDER = Path(__file__).resolve().parent / "grafana" / "dashboards"
SOURCE = DataSourceRef(type_val="prometheus", uid="prometheus")
"""The data source; its uid is that in grafana/provisioning/datasources/prometheus.yml."""

BUILDERS: dict[str, Any] = {
    "stat": stat,
    "gauge": gauge,
    "bars": bargauge,
    "lines": timeseries,
    "table": table,
}
GREEN, ORANGE, RED = "green", "orange", "red"


@dataclass(frozen=True)
class Panel:
    """A panel: title, type of chart, unit, queries and legends."""

    title: str
    kind: str
    unit: str
    queries: Sequence[tuple[str, str]]
    steps: Sequence[tuple[float, str]] = ()
    """Colours by their lowest values; values below the first one are green."""
    base: str = GREEN
    width: int = 6
    description: str = ""


def of(metric: str, labels: str = "") -> str:
    """Return the series of the chosen state IDs."""
    return f'{metric}{{state_id=~"$state_id"{labels and ", "}{labels}}}'


def alive(metric: str, labels: str = "") -> str:
    """Return the series of the chosen state IDs that have run in the last two days."""
    return f"({of(metric, labels)} and on (state_id) (time() - etl_heartbeat < 172800))"


def latest(metric: str) -> str:
    """Return the most recently published series of each company; earlier ones are outdated."""
    asked = f"max by (company_name) (etl_heartbeat and on (state_id) {metric})"
    return f"({of(metric)} and on (state_id) (etl_heartbeat == on (company_name) group_left () {asked}))"


def grown(metric: str, by: str, labels: str = "", during: str = "$__range") -> str:
    """Return the increase of a counter."""
    return f"sum by ({by}) (increase({of(metric, labels)}[{during}]))"


def mean(metric: str, by: str, labels: str = "") -> str:
    """Return the mean of the observations of a histogram or summary."""
    total, count = (grown(f"{metric}_{part}", by, labels) for part in ("sum", "count"))
    return f"{total} / ({count} > 0)"


def quantile(share: float, metric: str, labels: str = "") -> str:
    """Return a quantile of the observations of the last six hours, which contain at least one run."""
    return f"histogram_quantile({share}, {grown(f'{metric}_bucket', 'le', labels, '6h')})"


ENDPOINT = 'endpoint=~"$endpoint"'
STREAM = 'stream=~"$stream"'
BOTH = f"{STREAM}, {ENDPOINT}"

API = [
    Panel("Tokens left today", "gauge", "short",
          [(f"min by (company_name) ({latest('pipedrive_api_tokens_left')})", "{{company_name}}")],
          [(50_000, ORANGE), (200_000, GREEN)], RED, description="By Pipedrive's own header, after the last run."),
    Panel("Tokens used today", "gauge", "percent",
          [(f"100 * (1 - min by (company_name) ({latest('pipedrive_api_tokens_left')}) / max by (company_name) "
            f"({alive('pipedrive_api_tokens_limit')}))", "{{company_name}}")],
          [(60, ORANGE), (90, RED)], description="By all tools with a token of the company."),
    Panel("Tokens that runs have spent", "stat", "short",
          [(grown("pipedrive_api_token_cost_total", "state_id"), "{{state_id}}")]),
    Panel("Circuit breaker: openings", "stat", "short",
          [(grown("pipedrive_api_breaker_open_total", "state_id"), "{{state_id}}")], [(1, ORANGE), (5, RED)]),
    Panel("Requests by endpoint", "bars", "short",
          [(grown("pipedrive_api_call_total", "endpoint", ENDPOINT), "{{endpoint}}")], width=8),
    Panel("Tokens by endpoint", "bars", "short",
          [(grown("pipedrive_api_token_cost_total", "endpoint", BOTH), "{{endpoint}}")], width=8),
    Panel("Pages by cursor", "bars", "short",
          [(grown("pipedrive_api_cursor_advance_total", "endpoint", ENDPOINT), "{{endpoint}}")], width=8),
    Panel("Duration of requests, mean", "bars", "s",
          [(mean("pipedrive_api_request_duration_seconds", "endpoint", ENDPOINT), "{{endpoint}}")],
          [(2, ORANGE), (5, RED)], width=8),
    Panel("Duration of requests, P50 and P95", "lines", "s",
          [(quantile(0.5, "pipedrive_api_request_duration_seconds", ENDPOINT), "P50"),
           (quantile(0.95, "pipedrive_api_request_duration_seconds", ENDPOINT), "P95")], width=8),
    Panel("Burst window when it was fullest", "table", "short",
          [(alive("pipedrive_api_rate_limit_remaining"), "requests left"),
           (alive("pipedrive_api_rate_limit"), "requests allowed"),
           (alive("pipedrive_api_rate_limit_reset_seconds"), "seconds until empty")], width=8),
    Panel("Answers that were no success", "lines", "short",
          [(grown("pipedrive_api_call_total", "endpoint, status_code", f'{ENDPOINT}, status_code!="200"', "1h"),
            "{{status_code}} {{endpoint}}")], width=8, description="Status 0: without an answer."),
    Panel("Requests sent again, and given up", "lines", "short",
          [(grown("pipedrive_api_retries_total", "endpoint", ENDPOINT, "1h"), "again {{endpoint}}"),
           (grown("pipedrive_api_retry_failures_total", "endpoint", ENDPOINT, "1h"), "given up {{endpoint}}")],
          width=8),
    Panel("Lists that were kept, and asked for", "bars", "short",
          [(grown("pipedrive_api_cache_hit_total", "source", ENDPOINT), "kept in {{source}}"),
           (grown("pipedrive_api_cache_miss_total", "source", ENDPOINT), "asked for, {{source}}")], width=8),
]  # fmt: skip

RUNS = [
    Panel("Last run", "stat", "bool", [(alive("etl_last_run_success"), "{{state_id}}")], [(1, GREEN)], RED),
    Panel("Time since the last good run", "table", "s",
          [(f"time() - max by (state_id) ({of('etl_last_successful_run_timestamp')})", "{{state_id}}")],
          [(5 * 3600, ORANGE), (9 * 3600, RED)]),
    Panel("Time since the last sign of life", "table", "s",
          [(f"time() - max by (state_id) ({of('etl_heartbeat')})", "{{state_id}}")],
          [(5 * 3600, ORANGE), (9 * 3600, RED)]),
    Panel("At work", "stat", "bool", [(alive("etl_run_in_progress"), "{{state_id}}")]),
    Panel("Runs", "bars", "short", [(grown("pipedrive_etl_runs_total", "state_id"), "{{state_id}}")]),
    Panel("Duration of runs, mean", "stat", "s",
          [(mean("pipedrive_etl_duration_seconds", "state_id"), "{{state_id}}")]),
    Panel("History: parents to ask about", "stat", "short",
          [(alive("pipedrive_backfill_deals_remaining_estimated"), "{{stream}}")], [(1, ORANGE), (1000, RED)]),
    Panel("History: tokens that takes", "stat", "short",
          [(alive("pipedrive_backfill_tokens_remaining_estimated"), "{{stream}}")]),
]  # fmt: skip

STREAMS = [
    Panel("Failed runs", "lines", "short",
          [(grown("pipedrive_etl_failures_total", "state_id", during="1h"), "{{state_id}}")], [(1, RED)], width=8),
    Panel("What failed: tap, target, dbt", "lines", "short",
          [(grown("etl_extract_failures_total", "state_id", during="1h"), "tap {{state_id}}"),
           (grown("etl_load_failures_total", "state_id", during="1h"), "target {{state_id}}"),
           (grown("etl_transform_failures_total", "state_id", during="1h"), "dbt {{state_id}}")], width=8),
    Panel("Rows written", "bars", "short",
          [(grown("pipedrive_etl_records_processed_total", "stream", STREAM), "{{stream}}")], width=8),
    Panel("Duration of batches, mean", "stat", "s",
          [(mean("pipedrive_etl_batch_duration_seconds", "stream", STREAM), "{{stream}}")],
          [(10, ORANGE), (30, RED)], width=8),
    Panel("Rows per batch, last run", "stat", "short",
          [(alive("pipedrive_etl_batch_size", STREAM), "{{stream}}")], width=8),
    Panel("Rows written per second, last run", "stat", "cps",
          [(alive("pipedrive_etl_throughput_rows_per_second", STREAM), "{{stream}}")], width=8),
    Panel("Duration of reading, mean", "bars", "s",
          [(mean("etl_extract_seconds", "stream", STREAM), "{{stream}}")], width=8),
    Panel("Rows with values that do not fit", "bars", "short",
          [(grown("pipedrive_etl_batch_validation_errors_total", "stream", STREAM), "{{stream}}")], [(1, ORANGE)],
          width=8),
    Panel("Rows of history saved", "stat", "short",
          [(grown("pipedrive_etl_records_processed_total", "stream", 'stream=~".*_changes"'), "{{stream}}")],
          width=8),
]  # fmt: skip

PROCESSES = [
    Panel("Memory, most in the last run", "gauge", "bytes",
          [(alive("pipedrive_etl_process_memory_bytes"), "{{process}}")], [(500e6, ORANGE), (1e9, RED)]),
    Panel("CPU, share of a run", "gauge", "percent",
          [(f"100 * {grown('pipedrive_etl_process_cpu_seconds_total', 'process')} / on () group_left () "
            f"(sum (increase({of('pipedrive_etl_duration_seconds_sum')}[$__range])) > 0)", "{{process}}")],
          [(65, ORANGE), (85, RED)], description="Of one core, of the processes of the runs alone."),
    Panel("Threads, most in the last run", "stat", "short", [(alive("etl_thread_count"), "{{process}}")]),
    Panel("Life of processes, last run", "bars", "s",
          [(alive("pipedrive_etl_process_duration_seconds"), "{{process}}")]),
]  # fmt: skip

SERVICES = [
    Panel("Connections of Postgres by state", "bars", "short",
          [("sum by (state) (pg_stat_activity_count)", "{{state}}"),
           ("min (pg_settings_max_connections)", "allowed")]),
    Panel("Slowest models of the last build", "bars", "s",
          [(f"topk(10, {alive('dbt_model_duration_seconds')})", "{{model}}")], width=12),
    Panel("Services that answer", "stat", "bool", [("up", "{{job}}")], [(1, GREEN)], RED),
]  # fmt: skip

COMPLETENESS = [
    Panel("Tables that are complete", "gauge", "percentunit",
          [(f"avg by (company_name) ({alive('pipedrive_load_complete')})", "{{company_name}}")],
          [(0.9, ORANGE), (1, GREEN)], RED),
    Panel("Verdict on each table", "table", "short",
          [(alive("pipedrive_load_verdict", STREAM), "{{stream}}: {{verdict}}")], width=10),
    Panel("Tables by verdict", "bars", "short",
          [(f"count by (verdict) ({alive('pipedrive_load_verdict')})", "{{verdict}}")], width=8),
    Panel("Time since a table was complete", "bars", "s",
          [(f"time() - {alive('pipedrive_load_complete_as_of_timestamp_seconds', STREAM)}", "{{stream}}")],
          [(5 * 3600, ORANGE), (12 * 3600, RED)], width=12),
    Panel("Left undone", "bars", "short",
          [(alive("pipedrive_load_undone", STREAM), "{{stream}}: {{reason}}")], [(1, ORANGE)], width=12),
    Panel("Pipedrive's counters disagree", "stat", "bool",
          [(f"max by (stream) ({alive('pipedrive_load_differences', STREAM)})", "{{stream}}")],
          [(1, RED)], width=8),
    Panel("Parents that Pipedrive does not answer for", "stat", "short",
          [(alive("pipedrive_unread_parents", STREAM), "{{stream}}")], [(1, ORANGE)], width=8),
    Panel("Rows with values that do not fit, last run", "stat", "short",
          [(alive("etl_last_run_rejected_rows", STREAM), "{{stream}}")], [(1, ORANGE)], width=8),
    Panel("Complete passes that were not believed", "stat", "bool",
          [(alive("pipedrive_reconcile_refused", STREAM), "{{stream}}")], [(1, RED)], width=8),
    Panel("Last build: models and tests", "bars", "short",
          [(f"sum by (resource_type, status) ({alive('dbt_results')})", "{{resource_type}} {{status}}")], width=8),
    Panel("Tests that complain: rows", "table", "short",
          [(alive("dbt_test_failures"), "{{status}} {{test}}")], [(1, ORANGE)], width=8),
]  # fmt: skip

COSTS = [
    Panel("Tokens a day by stream", "lines", "short",
          [(grown("pipedrive_api_token_cost_total", "stream", BOTH, "1d"), "{{stream}}")], width=16),
    Panel("Tokens a day that the plan has", "stat", "short",
          [(f"max by (company_name) ({alive('pipedrive_api_tokens_limit')})", "{{company_name}}")], width=8),
    Panel("Tokens of all tools by midnight, at this pace", "lines", "short",
          [("pipedrive:api_tokens_used:per_day", "{{company_name}}"),
           (f"max by (company_name) ({alive('pipedrive_api_tokens_limit')})", "plan {{company_name}}")], width=16,
          description="By Pipedrive's own header, since midnight UTC."),
    Panel("Share of the plan that runs take in a day", "gauge", "percent",
          [(f"100 * {grown('pipedrive_api_token_cost_total', 'company_name', during='1d')} / "
            f"max by (company_name) ({alive('pipedrive_api_tokens_limit')})", "{{company_name}}")],
          [(50, ORANGE), (80, RED)], width=8),
    Panel("Tokens by endpoint", "bars", "short",
          [(grown("pipedrive_api_token_cost_total", "endpoint", BOTH), "{{endpoint}}")], width=12),
    Panel("Tokens per run", "stat", "short",
          [(f"{grown('pipedrive_api_token_cost_total', 'state_id')} / "
            f"({grown('pipedrive_etl_runs_total', 'state_id')} > 0)", "{{state_id}}")]),
    Panel("Tokens per 1,000 rows", "bars", "short",
          [(f"1000 * {grown('pipedrive_api_token_cost_total', 'stream', STREAM)} / "
            f"({grown('pipedrive_etl_records_processed_total', 'stream', STREAM)} > 0)", "{{stream}}")]),
    Panel("Tokens a day, against the week before", "lines", "short",
          [("pipedrive:api_tokens:increase1d", "{{state_id}}")], width=12),
    Panel("History: tokens to go", "stat", "short",
          [(alive("pipedrive_backfill_tokens_remaining_estimated"), "{{stream}}")], width=12),
]  # fmt: skip

DASHBOARDS = {
    "operations": ("Operations", "6h", {
        "The API": API, "Runs": RUNS, "Streams": STREAMS, "Processes": PROCESSES,
        "Database and services": SERVICES,
    }),
    "completeness": ("Completeness", "24h", {"Completeness": COMPLETENESS}),
    "costs": ("Costs", "7d", {"API tokens": COSTS}),
}  # fmt: skip
"""By file name: title, time range, rows of panels."""

VARIABLES = {
    "state_id": "label_values(etl_heartbeat, state_id)",
    "stream": "label_values(etl_extract_seconds_count, stream)",
    "endpoint": "label_values(pipedrive_api_call_total, endpoint)",
}


def built(panel: Panel, number: int) -> Any:
    """Return a panel in the format of Grafana's builder."""
    found = BUILDERS[panel.kind].Panel().id(number).title(panel.title).unit(panel.unit).datasource(SOURCE)
    found = found.span(panel.width).height(8).description(panel.description)
    steps = [Threshold(value, colour) for value, colour in ((None, panel.base), *panel.steps)]
    found = found.thresholds(dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps))
    if panel.kind == "bars":
        found = found.orientation(VizOrientation.HORIZONTAL)
    if panel.kind in ("bars", "stat", "gauge"):
        found = found.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    if panel.kind == "lines":
        found = found.tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
    if panel.kind == "table":
        found = found.show_header(True).with_transformation(DataTransformerConfig("merge", options={}))
    for position, (expression, legend) in enumerate(panel.queries):
        query = prometheus.Dataquery().expr(expression).legend_format(legend).ref_id("ABC"[position])
        query = query.range() if panel.kind == "lines" else query.instant()
        if panel.kind == "table":
            query = query.format(PromQueryFormat.TABLE)
        found = found.with_target(query.datasource(SOURCE))
    return found


def document(name: str) -> str:
    """Return a dashboard as JSON."""
    title, time_range, rows = DASHBOARDS[name]
    board = dashboard.Dashboard(f"Pipedrive warehouse: {title}").uid(f"pipedrive-{name}").tags(["pipedrive"])
    board = board.time(f"now-{time_range}", "now").refresh("1m").timezone("browser").readonly()
    board = board.tooltip(DashboardCursorSync.CROSSHAIR)
    for variable, query in VARIABLES.items():
        chosen = dashboard.QueryVariable(variable).label(variable).query(query).datasource(SOURCE)
        chosen = chosen.refresh(VariableRefresh.ON_TIME_RANGE_CHANGED).multi(True).include_all(True)
        chosen = chosen.all_value(".*").current(VariableOption(text="All", value="$__all"))
        board = board.with_variable(chosen)
    numbers = count(1)
    for row, panels in rows.items():
        board = board.with_row(dashboard.Row(row).id(next(numbers)))
        for panel in panels:
            board = board.with_panel(built(panel, next(numbers)))
    return JSONEncoder(sort_keys=True, indent=2).encode(board.build()) + "\n"


def outputs() -> dict[Path, str]:
    """Return the text of each generated file."""
    return {FOLDER / f"{name}.json": document(name) for name in DASHBOARDS}


if __name__ == "__main__":
    for path, text in outputs().items():
        path.write_text(text)
