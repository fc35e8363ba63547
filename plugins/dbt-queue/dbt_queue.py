"""`dbt-queue`: dbt, with all its arguments, in a database that others use at the same time.

A command that writes waits until no other dbt of this project writes to the same database, wherever it was
started. dbt's connections are those of `psycopg2_sessions`. SIGTERM, Ctrl-C and the end of the parent process
cancel dbt's queries and then end dbt.
"""

import ctypes
import os
import signal
import sys
import zlib
from contextlib import suppress
from types import FrameType
from typing import Any

import dbt_unchanged
import psycopg2
import psycopg2_sessions
from dbt.cli.main import cli
from dbt_common.exceptions import DbtBaseException
from postgres_sessions import (
    PROJECT,
    SettingsError,
    as_transformer,
    connection_arguments,
    describe,
    stopping,
)
from psycopg2_sessions import say

WRITING = ("build", "clone", "retry", "run", "run-operation", "seed", "snapshot", "test")
"""Commands that wait: those that write, and `test`, whose tables must not be replaced while it reads them."""

KEY = (zlib.crc32(PROJECT.encode()) - 2**31, zlib.crc32(b"dbt") - 2**31)
"""The advisory lock of this project's dbt runs. Postgres has such locks for each database separately."""

HOLDER = """
    select pid, usename, application_name, host(client_addr),
        to_char(backend_start at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS')
    from pg_catalog.pg_locks
    join pg_catalog.pg_stat_activity using (pid)
    where locktype = 'advisory' and granted and objsubid = 2
        and pg_locks.database = (select oid from pg_catalog.pg_database where datname = current_database())
        and (classid::bigint, objid::bigint) = (%s, %s)
"""

ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that end dbt."""

IF_CHANGED = "--if-changed"
"""An additional argument: build only if rows, models or settings have changed, or on a new day."""

REMINDER = 60
"""Seconds after which a waiting run repeats its message."""

GRACE = 20
"""Seconds that dbt may take to end by itself."""

PR_SET_PDEATHSIG = 1
"""The number of this operation of prctl(2)."""


class Stopped(KeyboardInterrupt, DbtBaseException):
    """Ends dbt as Ctrl-C does, but with a sentence instead of a traceback."""


def main() -> None:
    """Run dbt; the exit code is dbt's."""
    end_with_parent()
    for number in ENDINGS:
        if signal.getsignal(number) != signal.SIG_IGN:  # under nohup, or in a background process of a shell
            signal.signal(number, interrupt)
    is_build_needed_only = IF_CHANGED in sys.argv
    sys.argv = [word for word in sys.argv if word != IF_CHANGED]
    command = next((word for word in sys.argv[1:] if word in cli.commands), "")
    try:
        os.environ.update(as_transformer(os.environ))
        arguments = connection_arguments(os.environ)
        os.environ.update(as_variables(arguments))
        psycopg2.connect = psycopg2_sessions.connect
        if command in WRITING and "host" in arguments:
            turn = wait_for_turn(arguments)  # the connection holds the lock as long as this process lives
            if is_build_needed_only:
                build_if_changed(turn)
                return
        cli()
    except (SettingsError, psycopg2.Error) as error:
        sys.exit(f"dbt cannot begin: {' '.join(describe(error).split())}")
    except Stopped as stopped:
        sys.exit(str(stopped))


def build_if_changed(connection: Any) -> None:
    """Run dbt unless the last successful build had the same input; record the input of this build.

    Raises:
        SystemExit: dbt has run; the exit code is dbt's.
    """
    made_of = dbt_unchanged.ingredients(connection)
    if before := dbt_unchanged.last(connection):
        restriction = dbt_unchanged.selection(before[0], made_of)
        if restriction is None:
            say(f"Nothing has changed since the build of {before[1]:%Y-%m-%d %H:%M} UTC: the models stay.")
            return
        sys.argv += restriction
        dbt_unchanged.forget(connection)
    try:
        cli()
    except SystemExit as end:
        if not end.code:
            dbt_unchanged.write_down(connection, made_of)
        raise


def end_with_parent() -> None:
    """Ask Linux to send SIGTERM when the parent process ends, even by kill -9."""
    parent = os.getppid()
    with suppress(OSError, AttributeError):  # other systems have no prctl
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit("The process that started dbt has ended.")


def interrupt(number: int, frame: FrameType | None) -> None:
    """Stop as after Ctrl-C: dbt cancels its queries. If it hangs after that, the alarm ends it."""
    for each in ENDINGS:
        signal.signal(each, signal.SIG_IGN)
    signal.alarm(GRACE)
    stopping.set()
    raise Stopped("dbt was stopped. What it had finished stays; everything else is as it was before.")


def as_variables(arguments: dict[str, str]) -> dict[str, str]:
    """Return the variables that profiles.yml reads, with paths that libpq can use."""
    names = {
        "SSL_MODE": "sslmode",
        "SSL_CERTIFICATE_AUTHORITY": "sslrootcert",
        "SSL_CLIENT_CERTIFICATE": "sslcert",
        "SSL_CLIENT_PRIVATE_KEY": "sslkey",
    }
    return {f"TARGET_POSTGRES_{name}": arguments.get(keyword, "") for name, keyword in names.items()}


def wait_for_turn(arguments: dict[str, str]) -> Any:
    """Return a connection that holds the lock, once no other session has it.

    It asks repeatedly instead of waiting within Postgres, which would keep a snapshot open for hours.
    """
    connection: Any = psycopg2_sessions.connect(**arguments, application_name=f"{PROJECT} dbt queue")
    connection.autocommit = True
    seconds = 0
    with connection.cursor() as cursor:
        while True:
            cursor.execute("select pg_try_advisory_lock(%s, %s)", KEY)
            if cursor.fetchone()[0]:
                return connection
            if seconds % REMINDER == 0:
                cursor.execute(HOLDER, [number % 2**32 for number in KEY])
                say(f"Another dbt writes to this database{holder(cursor.fetchone())}: this one waits for it.")
            stopping.wait(1)
            seconds += 1


def holder(session: tuple[Any, ...] | None) -> str:
    """Describe the session that holds the lock; empty if it was released meanwhile."""
    if not session:
        return ""
    parts = ["process {}", "user {}", "application {}", "address {}", "since {} UTC"]
    return f" ({', '.join(part.format(value) for part, value in zip(parts, session, strict=True) if value)})"
