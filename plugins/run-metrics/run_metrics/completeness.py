"""Reads the completeness of the warehouse from the mart `load_completeness`."""

from collections.abc import Mapping
from typing import Any

import psycopg
from postgres_sessions import PROJECT, SettingsError, as_transformer, connection_arguments

from run_metrics.series import COMPANY, Additions

COMPLETE = "complete"
"""The only good verdict."""

QUERY = """
    select
        stream, verdict, extract(epoch from complete_as_of),
        extract(epoch from greatest(complete_as_of, next_reading_due_at)), undone_reason, undone_count,
        differences is not null, company_id, company_name
    from marts.load_completeness
"""

FAMILIES = (
    "pipedrive_load_complete",
    "pipedrive_load_verdict",
    "pipedrive_load_complete_as_of_timestamp_seconds",
    "pipedrive_load_due_timestamp_seconds",
    "pipedrive_load_undone",
    "pipedrive_load_differences",
)

TIMEOUT = 10
"""Seconds that the database may take for the connection, and for the query."""


def read_completeness(environment: Mapping[str, str], additions: Additions) -> None:
    """Read the mart, if it exists.

    Args:
        environment: the variables TARGET_POSTGRES_*; nothing is read if they name no server.
        additions: receives the values.

    Raises:
        psycopg.Error: the database cannot be read.
    """
    for stream, verdict, as_of, due, reason, undone, is_different, *company in _rows(environment, additions):
        if not additions.company and company[0]:  # a run of dbt alone does not know the company
            additions.company = dict(zip(COMPANY, map(str, company), strict=True))
        additions.put("pipedrive_load_complete", verdict == COMPLETE, stream=stream)
        additions.put("pipedrive_load_verdict", 1, stream=stream, verdict=verdict)
        if as_of is not None:
            additions.put("pipedrive_load_complete_as_of_timestamp_seconds", float(as_of), stream=stream)
            additions.put("pipedrive_load_due_timestamp_seconds", float(due), stream=stream)
        if reason:
            additions.put("pipedrive_load_undone", float(undone or 1), stream=stream, reason=reason)
        additions.put("pipedrive_load_differences", is_different, stream=stream)


def _rows(environment: Mapping[str, str], additions: Additions) -> list[tuple[Any, ...]]:
    try:
        arguments: dict[str, Any] = connection_arguments(as_transformer(environment))
    except SettingsError:
        return []
    if "host" not in arguments:
        return []
    with psycopg.connect(
        **arguments,
        connect_timeout=TIMEOUT,
        application_name=f"{PROJECT} metrics",
        options=f"-c statement_timeout={TIMEOUT}s",
    ) as connection:
        if connection.execute("select to_regclass('marts.load_completeness')").fetchone() == (None,):
            return []
        for name in FAMILIES:
            additions.forget(name)
        return connection.execute(QUERY).fetchall()
