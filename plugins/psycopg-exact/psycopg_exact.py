"""The dialect `postgresql+psycopg_exact`, which lets target-postgres load numbers with COPY as they are.

For its COPY, target-postgres asks the generic column types how to write a value, and SQLAlchemy's generic
decimal goes through a float, so that of 17 digits the last ones change, unless the dialect takes decimals
itself. psycopg does; SQLAlchemy's own dialect only says so in its PostgreSQL types, which COPY does not ask.

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

# Before any record: the target asks for the dialect when it has read the first schema.
be_discreet()
end_in_time()


class ExactDialect(PGDialect_psycopg):
    """SQLAlchemy's psycopg dialect, saying that it takes decimals."""

    supports_native_decimal = True
    supports_statement_cache = True  # SQLAlchemy does not inherit it

    poolclass = NullPool
    """Each engine asks `pool` for every connection that it needs, and gives it back."""

    def create_connect_args(self, url: URL) -> tuple[Any, dict[str, Any]]:
        """Take from TARGET_POSTGRES_* what the URL leaves out: a URL would need their characters escaped."""
        positional, named = super().create_connect_args(url)
        try:
            return positional, {**connection_arguments(os.environ), **named}
        except SettingsError as error:
            raise LoadError(str(error)) from None

    def connect(self, *positional: Any, **named: Any) -> Connection:
        """Return a connection that asks for what it needs, does not block others, and is discreet."""
        return pool.take(*positional, **named)

    def do_close(self, dbapi_connection: Any) -> None:
        """Keep the connection for the next that needs one."""
        pool.give_back(dbapi_connection)

    @classmethod
    def engine_created(cls, engine: Engine) -> None:
        """Let every error end the program with one sentence."""
        event.listen(engine, "handle_error", explain)
