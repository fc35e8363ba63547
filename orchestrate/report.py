"""The output at the end of a run: what was loaded, and the headline figures."""

import shlex
from collections.abc import Mapping
from datetime import datetime

import psycopg
from psycopg.errors import InsufficientPrivilege, UndefinedTable
from psycopg.sql import SQL, Identifier

from orchestrate.crms import CRMS, Crm
from orchestrate.output import say


def show_tables(connection: psycopg.Connection, schema: str, since: datetime) -> None:
    """Print the rows of each raw table, and how many of them were written since a moment."""
    say()
    say(f"{'table of schema ' + schema:<28}{'rows':>10}{'written now':>14}")
    tables = connection.execute("select tablename from pg_tables where schemaname = %s order by 1", [schema])
    for (table,) in tables.fetchall():
        counted = SQL("select count(*), count(*) filter (where _sdc_batched_at >= {}) from {}").format(
            since.replace(tzinfo=None), Identifier(schema, table)
        )
        rows, written = connection.execute(counted).fetchone() or (0, 0)
        say(f"{table:<28}{rows:>10,}{written:>14,}")


def show_figures(connection: psycopg.Connection, mart: str) -> None:
    """Print the headline figures."""
    say()
    figures = connection.execute(
        SQL("select figure, currency, value, detail from marts.{} order by position, currency").format(
            Identifier(mart)
        )
    )
    for figure, currency, value, detail in figures.fetchall():
        number = "nothing yet" if value is None else f"{value:,.2f}".removesuffix(".00")
        say(f"{figure:<28}{number:>20} {currency or '':<4} {detail}")
    say()


def completeness(connection: psycopg.Connection, model: str) -> str:
    """Return in words how complete the tables are; empty if that model has never been built."""
    try:
        row = connection.execute(SQL("select sentence from marts.{}").format(Identifier(model))).fetchone()
    except (UndefinedTable, InsufficientPrivilege):
        return ""
    return str(row[0]) if row else ""


def show_next_steps(environment: Mapping[str, str], crm: Crm, *, is_embedded: bool) -> None:
    """Print commands that can be copied."""
    query = f"select * from marts.{crm.example} limit 5"
    say("See the dashboards:  .run/report/index.html, or: make open")
    if is_embedded:
        say(f'Look at the tables:  .venv/bin/warehouse psql -c "{query}"')
        say("Stop the database:   make stop      Remove everything: make clean")
    else:
        host, port, user, database = (
            shlex.quote(environment.get(f"TARGET_POSTGRES_{name}", default))
            for name, default in (("HOST", ""), ("PORT", "5432"), ("USER", ""), ("DATABASE", ""))
        )
        say(f'Look at the tables:  psql -h {host} -p {port} -U {user} -d {database} -c "{query}"')
    again = "make run" if crm is CRMS["pipedrive"] else f"make run CRM={crm.name.lower()}"
    say(f"Run it again:        {again:<21} How things stand: make status")
