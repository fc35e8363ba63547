"""The dialect `postgresql+psycopg_exact`, with which target-postgres loads numbers exactly by COPY.

For its COPY, target-postgres asks the generic column types how to write a value. SQLAlchemy's generic decimal
converts to a float, which changes the last of 17 digits, unless the dialect accepts decimals itself. psycopg
does, but SQLAlchemy's own dialect declares that only in its PostgreSQL types, which COPY does not ask.

Its connections are those of `psycopg_sessions`.
"""

import os
from typing import Any

from postgres_sessions import SettingsError, connection_arguments
from psycopg_sessions import Connection, LoadError, explain, pool
from sqlalchemy import URL, Engine, NullPool, event
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from target_end import end_in_time
from target_log import be_discreet

# The target imports the dialect when it has read the first schema, before any record.
be_discreet()
end_in_time()


class ExactDialect(PGDialect_psycopg):
    """SQLAlchemy's psycopg dialect, which declares that it accepts decimals."""

    supports_native_decimal = True
    supports_statement_cache = True  # SQLAlchemy does not inherit this attribute

    poolclass = NullPool
    """Each engine takes every connection from `pool` and returns it."""

    def create_connect_args(self, url: URL) -> tuple[Any, dict[str, Any]]:
        """Read the settings that the URL lacks from TARGET_POSTGRES_*; in a URL their characters would need
        escaping.
        """
        positional, named = super().create_connect_args(url)
        try:
            return positional, {**connection_arguments(os.environ), **named}
        except SettingsError as error:
            raise LoadError(str(error)) from None

    def connect(self, *positional: Any, **named: Any) -> Connection:
        """Return a connection with the settings and rules of this project."""
        return pool.take(*positional, **named)

    def do_close(self, dbapi_connection: Any) -> None:
        """Keep the connection for the next use."""
        pool.give_back(dbapi_connection)

    @classmethod
    def engine_created(cls, engine: Engine) -> None:
        """Make every error end the program with one sentence."""
        event.listen(engine, "handle_error", explain)
