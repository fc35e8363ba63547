"""Connections of psycopg for the target, by the rules of `postgres_sessions`; an error ends it with a
sentence.

Several targets may load into one database at a time, and share some tables. An object that one target finds
missing may be about to be created by another. Therefore they create schemas, tables and columns one at a
time, if missing.
"""

import atexit
import logging
import re
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Self, TypeVar

import click
import psycopg
from postgres_sessions import ENCODING, IDLE, IN_TRANSACTION, PROJECT, patiently, prepare, without_data
from sqlalchemy import ExceptionContext

logger = logging.getLogger("target-postgres")

MAKING = re.compile(r"\s*(?:CREATE SCHEMA|CREATE TABLE|ALTER TABLE .*?ADD COLUMN)\b", re.DOTALL)
"""A pattern of statements that create objects that other targets may need as well."""

KEY = (zlib.crc32(PROJECT.encode()) - 2**31, zlib.crc32(b"target") - 2**31)
"""The advisory lock of transactions that create objects."""

T = TypeVar("T")


class LoadError(click.ClickException):
    """The reason why loading ends, in one sentence; the command line prints it and exits with 1."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()).rstrip(".") + ".")


class Cursor(psycopg.Cursor[Any]):
    """A cursor whose statements retry on locks, and whose errors contain no data."""

    connection: "Connection"

    def execute(self, query: Any, params: Any = None, **options: Any) -> Self:
        """Run a statement, retrying until it gets its locks."""
        statement = query if isinstance(query, str) else ""
        making = MAKING.match(statement)
        if making:
            query = f"{making[0]} IF NOT EXISTS{statement[making.end() :]}"

        def run() -> Self:
            if making:
                super(Cursor, self).execute("select pg_catalog.pg_advisory_xact_lock(%s, %s)", KEY)
            return super(Cursor, self).execute(query, params, **options)

        with _discreet():
            return self.connection.patiently(statement, run)

    def executemany(self, query: Any, params_seq: Any, **options: Any) -> None:
        """Run a statement for each row; the target uses this only for its own temporary tables."""
        with _discreet():
            super().executemany(query, params_seq, **options)

    @contextmanager
    def copy(self, statement: Any, params: Any = None, **options: Any) -> Iterator[psycopg.Copy]:
        """Copy rows; SQLAlchemy does not see errors of COPY, so they end the program here."""
        try:
            with _discreet(), super().copy(statement, params, **options) as copy:
                yield copy
        except psycopg.Error as error:
            raise LoadError(f"The database refuses rows: {error}") from error


class Connection(psycopg.Connection[Any]):
    """A connection with the settings of this project."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.cursor_factory = Cursor
        self.has_written = False
        """Whether the transaction has made changes."""
        self.thread = 0
        """The thread that uses the connection."""

    @classmethod
    def connect(cls, conninfo: str = "", **options: Any) -> Self:
        """Open a connection, and apply the settings."""
        options.setdefault("application_name", f"{PROJECT} target")
        options.setdefault("client_encoding", ENCODING)
        options.setdefault("connect_timeout", 10)
        with _discreet():
            connection = super().connect(conninfo, **options)
            connection.open_another = lambda: psycopg.connect(conninfo, **{**options, "context": None})
            prepare(connection)
        return connection

    open_another: Callable[[], psycopg.Connection[Any]]

    def commit(self) -> None:
        """End the transaction."""
        with _discreet():
            super().commit()
        self.has_written = False

    def rollback(self) -> None:
        """Roll back the transaction."""
        super().rollback()
        self.has_written = False

    def patiently(self, statement: str, run: Callable[[], T]) -> T:
        """Run a statement by the rules of `postgres_sessions.patiently`."""
        in_transaction = self.info.transaction_status == IN_TRANSACTION
        done = patiently(
            self,
            statement,
            run,
            plainly=psycopg.Cursor(self).execute,
            needs_savepoint=in_transaction and self.has_written,
            connect=self.open_another,
            say=logger.warning,
        )
        self.has_written = self.has_written or not statement.lstrip()[:6].upper().startswith(
            ("SELECT", "SHOW")
        )
        return done


class Pool:
    """The connections of all of the target's engines: it has one engine per stream, and up to eight threads.

    A thread of the target needs one connection, and a second one for a short time. As many connections may be
    open as `THREADS` threads need; further threads wait.
    """

    THREADS = 2

    def __init__(self) -> None:
        self._unused: list[Connection] = []
        self._slots = threading.BoundedSemaphore(self.THREADS)
        self._held: Counter[int] = Counter()
        self._lock = threading.Lock()

    def take(self, *arguments: Any, **options: Any) -> Connection:
        """Return an unused connection that still works, or a new one."""
        thread = threading.get_ident()
        if not self._held[thread]:
            self._slots.acquire()
        self._count(thread, 1)
        try:
            connection = self._living() or Connection.connect(*arguments, **options)
        except BaseException:
            self._count(thread, -1)
            raise
        connection.thread = thread
        return connection

    def give_back(self, connection: Connection) -> None:
        """Keep a connection for `take`, if it can be reused."""
        if connection.closed or connection.info.transaction_status != IDLE:
            connection.close()
        else:
            self._unused.append(connection)
        self._count(connection.thread, -1)

    def close(self) -> None:
        """Close unused connections."""
        while self._unused:
            self._unused.pop().close()

    def _living(self) -> Connection | None:
        with suppress(IndexError):
            while True:
                connection = self._unused.pop()
                try:
                    connection.execute("")
                    connection.rollback()
                except psycopg.Error:
                    connection.close()
                else:
                    return connection
        return None

    def _count(self, thread: int, change: int) -> None:
        with self._lock:
            self._held[thread] += change
            if not self._held[thread]:
                del self._held[thread]
                self._slots.release()


pool = Pool()
atexit.register(pool.close)


def explain(context: ExceptionContext) -> None:
    """End the program with the database's error, but let SQLAlchemy's pool check whether a connection works.

    Raises:
        LoadError: the text of the error.
    """
    if not context.is_pre_ping and isinstance(context.original_exception, psycopg.Error):
        raise LoadError(f"The database says: {context.original_exception}")


@contextmanager
def _discreet() -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        without_data(error)
        raise
