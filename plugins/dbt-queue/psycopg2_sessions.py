"""Connections of psycopg2 for dbt, by the rules of `postgres_sessions`."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import psycopg2
import psycopg2.extensions
from postgres_sessions import ENCODING, IN_TRANSACTION, patiently, prepare, without_data

TRANSACTION_ENDS = ("COMMIT", "ROLLBACK")

KEEP_ALIVE = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 6}
"""Keepalive settings in seconds, and a count, so that no router drops a connection that waits for hours."""

_stock_connect = psycopg2.connect


class Cursor(psycopg2.extensions.cursor):
    """A cursor whose statements retry on locks, and whose errors contain no data."""

    def execute(self, query: Any, vars: Any = None) -> None:
        """Run a statement, retrying until it gets its locks."""
        statement = query if isinstance(query, str) else ""
        run = super().execute
        if statement.strip().rstrip(";").upper() in TRANSACTION_ENDS:
            with discreet():
                run(query, vars)
            return
        with discreet():
            patiently(
                self.connection,
                statement,
                lambda: run(query, vars),
                plainly=psycopg2.extensions.cursor(self.connection).execute,
                needs_savepoint=self.connection.info.transaction_status == IN_TRANSACTION,
                connect=lambda: _stock_connect(self.connection.dsn, password=self.connection.info.password),
                say=say,
            )


def connect(dsn: str | None = None, **options: Any) -> Any:
    """Open a connection as psycopg2 does, with the settings and cursors of this project."""
    with discreet():
        connection = _stock_connect(
            dsn, **{**KEEP_ALIVE, "client_encoding": ENCODING, "connect_timeout": 10, **options}
        )
        prepare(connection)
    connection.cursor_factory = Cursor
    return connection


@contextmanager
def discreet() -> Iterator[None]:
    """Remove the content of rows from psycopg2's errors."""
    try:
        yield
    except psycopg2.Error as error:
        without_data(error)
        raise


def say(sentence: str) -> None:
    """Print a sentence between the lines of dbt, with the time at its beginning as they have."""
    print(f"{datetime.now(UTC):%H:%M:%S}  {sentence}", file=sys.stderr, flush=True)  # noqa: T201 (a command line)
