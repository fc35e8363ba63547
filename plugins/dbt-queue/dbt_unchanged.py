"""Decides whether a build can be skipped because its result would equal that of the last one.

A successful build records its input in the table `intermediate.builds`: a digest of each raw table's rows,
and one of the dbt project, its settings and the command. For the digest of a table, Postgres reads each row
once; a build reads it several times. Columns of the load itself are left out, because each run loads some
unchanged rows again. Models that depend on the present day become outdated, so there is at least one build
per day.
"""

import hashlib
import json
import os
import re
import sys
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from postgres_sessions import SettingsError
from psycopg2 import sql

TABLE = sql.Identifier("intermediate", "builds")

LOADED_BY = (
    "_sdc_batched_at",
    "_sdc_extracted_at",
    "_sdc_received_at",
    "_sdc_sequence",
    "_sdc_sync_started_at",
)
"""Columns about when and how a row was loaded, which are not part of its content."""

LOADED_WITH = "_sdc_table_version"
"""The column with the version of a complete pass, which changes with each pass."""

RAW_COLUMNS = """
    select nspname, relname, array_agg(attname::text order by attname)
    from pg_catalog.pg_class
    join pg_catalog.pg_namespace on pg_namespace.oid = relnamespace
    join pg_catalog.pg_attribute on attrelid = pg_class.oid and attnum > 0 and not attisdropped
    where nspname = any(%s) and relkind in ('r', 'p') and attname <> all(%s)
    group by 1, 2
    order by 1, 2
"""

STATEMENTS = ("run_statements", "source_counts", "source_samples")
"""Tables that each run writes about itself; if nothing else has changed, only the models of these are built."""

READ = re.compile(rb"env_var\(\s*['\"](\w+)")
"""A pattern of the project's reads of variables."""

INDIFFERENT = ("DBT_THREADS", "DBT_POSTGRES_", "DBT_TARGET_PATH", "DBT_LOG_PATH", "TARGET_POSTGRES_")
"""Prefixes of variables that do not affect the models."""


def schemas() -> list[str]:
    """Return the schemas of the raw tables."""
    return [
        os.environ.get("TARGET_POSTGRES_DEFAULT_TARGET_SCHEMA") or "pipedrive",
        os.environ.get("TARGET_POSTGRES_HUBSPOT_DEFAULT_TARGET_SCHEMA") or "hubspot",
    ]


def ingredients(connection: Any) -> dict[str, str]:
    """Return the input of a build: digests by the name of each raw table, one of the project, and the day."""
    found = {"project": _project(), "day": f"{_today():%Y-%m-%d}"}
    with connection.cursor() as cursor:
        cursor.execute(RAW_COLUMNS, [schemas(), [*LOADED_BY, LOADED_WITH]])
        for schema, table, columns in cursor.fetchall():
            row = sql.SQL(", ").join(map(sql.Identifier, columns))
            cursor.execute(
                sql.SQL("select count(*), sum(hashtextextended(row({})::text, 0)) from {}").format(
                    row, sql.Identifier(schema, table)
                )
            )
            found[f"{schema}.{table}"] = " ".join(map(str, [*cursor.fetchone(), *columns]))
    return found


def last(connection: Any) -> tuple[dict[str, str], datetime] | None:
    """Return the input of the last successful build, and when it ended; None if there is none."""
    with connection.cursor() as cursor:
        cursor.execute("select to_regclass('intermediate.builds')")
        if cursor.fetchone()[0] is None:
            return None
        cursor.execute(sql.SQL("select made_of, ended_at from {}").format(TABLE))
        row = cursor.fetchone()
    return (row[0], row[1]) if row else None


def selection(before: dict[str, str], now: dict[str, str]) -> list[str] | None:
    """Return the arguments that restrict dbt to the models to build; None if there are none."""
    changed = {name for name in before.keys() | now.keys() if before.get(name) != now.get(name)}
    if not changed:
        return None
    if all(name.partition(".")[2] in STATEMENTS for name in changed):
        return ["--select", *(f"source:pipedrive.{name.partition('.')[2]}+" for name in sorted(changed))]
    return []


def forget(connection: Any) -> None:
    """Forget the last successful build, because the build that begins may update only some of the models."""
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL("delete from {}").format(TABLE))


def write_down(connection: Any, made_of: dict[str, str]) -> None:
    """Record a successful build, if the schema for that exists."""
    with connection.cursor() as cursor:
        cursor.execute("select to_regnamespace('intermediate')")
        if cursor.fetchone()[0] is None:
            return
        cursor.execute(
            sql.SQL(
                "create table if not exists {} (made_of jsonb not null, ended_at timestamptz not null)"
            ).format(TABLE)
        )
        cursor.execute(sql.SQL("insert into {} values (%s, now())").format(TABLE), [json.dumps(made_of)])


def _project() -> str:
    """Return a digest of the dbt project's files, the variables that it and dbt read, and the command."""
    digest = hashlib.sha256(repr(sys.argv[1:]).encode())
    names = {name for name in os.environ if name.startswith("DBT_")}
    folder = Path(os.environ.get("DBT_PROJECT_DIR", "."))
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".sql", ".yml", ".csv", ".md") and "target" not in path.relative_to(folder).parts:
            content = path.read_bytes()
            digest.update(content)
            names.update(name.decode() for name in READ.findall(content))
    for name in sorted(names):
        if not name.startswith(INDIFFERENT):
            digest.update(f"{name}={os.environ.get(name)}\n".encode())
    return digest.hexdigest()


def _today() -> datetime:
    zone = os.environ.get("REPORTING_TIMEZONE") or "UTC"
    try:
        return datetime.now(ZoneInfo(zone))
    except (ValueError, OSError, ZoneInfoNotFoundError):
        raise SettingsError(
            f"REPORTING_TIMEZONE is {zone}, which is not a time zone: take a name such as America/Sao_Paulo."
        ) from None
