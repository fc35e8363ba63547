"""Rules for target and dbt in a Postgres that they share with others, for both psycopg and psycopg2.

Their connections read the same variables (`connection_arguments`), use the same server settings (`SETTINGS`),
never wait long for a lock while others wait behind them (`patiently`), and show no content of a row in a
message (`describe`).
"""

import os
import re
import textwrap
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import chain, repeat
from pathlib import Path
from typing import Any, TypeVar

PROJECT = "pipedrive-warehouse"
"""The prefix of application names, which identifies the sessions of this project in pg_stat_activity."""

LOCK_TIMEOUT = 4
"""Seconds that a statement waits for a lock; later sessions, even readers, wait behind it."""

LOCK_WAIT = 300
"""Seconds for which a statement is retried until it gets its lock, if LOCK_WAIT_SECONDS is not set."""

PAUSES = (1, 2, 4, 8, 15)
"""Seconds between two attempts, in which waiting sessions get their turn; the last value repeats."""

ENCODING = "UTF8"
"""Settings at the start of a connection, because psycopg2 reads them only then."""

SETTINGS = {
    "standard_conforming_strings": "on",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "default_transaction_isolation": "read committed",
    "statement_timeout": "0",
    "transaction_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    "lock_timeout": f"{LOCK_TIMEOUT}s",
    "jit": "off",
    "client_connection_check_interval": "5s",
}
"""What a session needs, whatever the role or the database has as its own default.

With just-in-time compilation, builds took about a quarter more CPU of Postgres. The last one has the server cancel
what a killed process was running. A statement makes them, as PgBouncer refuses a start with most of them.
"""

SET = """
    select set_config(name, wanted, false)
    from unnest(%s::text[], %s::text[]) as asked (name, wanted)
    join pg_catalog.pg_settings using (name)
"""
"""A statement that makes settings, given names and values, if this version of Postgres knows them."""

CHECKS_CLIENT = "client_connection_check_interval"
"""A setting that some systems lack; therefore it is made in a separate statement."""

BLOCKERS = """
    select pid, usename, application_name, host(client_addr),
        to_char(coalesce(xact_start, backend_start) at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS'),
        upper(substring(query from '^\\s*([[:alpha:]]+)'))
    from unnest(pg_catalog.pg_blocking_pids(%s)) as blocking (pid)
    left join pg_catalog.pg_stat_activity using (pid)
    order by wait_event_type is not distinct from 'Lock', coalesce(xact_start, backend_start)
    limit 1
"""
"""A query for the sessions that block a process, beginning with those that do not wait themselves."""

SAFE_CLASSES = ("08", "0A", "25", "28", "2B", "3D", "3F", "42", "53", "55", "57", "58")
"""Classes of SQLSTATE whose messages are about objects, rights and the server, never a row's content."""

DATA_CLASSES = ("22", "23")
"""Classes whose first line is safe except for quoted values (22), or without the lines after it (23)."""

QUOTED = re.compile(r"[\"“„«»].*[\"”“»«]", re.DOTALL)
"""A pattern from the first quotation mark to the last, in the languages of Postgres' messages."""

COPY_COLUMN = re.compile(r"^COPY .*?, line \d+, column (\w+)", re.MULTILINE)

UNTRANSLATABLE = "22P05"
"""The SQLSTATE of a character that the database's encoding lacks; Postgres shows only its bytes."""

TOO_MANY = re.compile(r"too many (?:connections|clients)|remaining connection slots")

NO_SERVER = re.compile(r"\s*Is the server running .*", re.DOTALL)
"""libpq's question after an attempt to reach a server, with the attempts at further addresses."""

IDLE, IN_TRANSACTION, IN_ERROR = 0, 2, 3
"""Values of `info.transaction_status` in both drivers."""

stopping = threading.Event()
"""Set when this process has to end; then no statement is retried."""

T = TypeVar("T")


TARGET_DEFAULTS = {
    "SSL_CERTIFICATE_AUTHORITY": "~/.postgresql/root.crl",
    "SSL_CLIENT_CERTIFICATE": "~/.postgresql/postgresql.crt",
    "SSL_CLIENT_PRIVATE_KEY": "~/.postgresql/postgresql.key",
}
"""Defaults of target-postgres, which Meltano sets for unset variables; the first is a mistake, and ignored."""


class SettingsError(Exception):
    """An invalid value of a variable, in one sentence."""


def connection_arguments(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the connection settings of TARGET_POSTGRES_* by libpq's keywords.

    TLS is used if the server offers it. With SSL_ENABLE or a certificate authority, the server's certificate
    is verified unless SSL_MODE says otherwise. Paths may begin with ~, and are otherwise relative to the
    project.

    Raises:
        SettingsError: a file does not exist, or LOCK_WAIT_SECONDS is not a number.
    """
    lock_wait(environment)

    def value(name: str) -> str:
        return environment.get(f"TARGET_POSTGRES_{name}") or TARGET_DEFAULTS.get(name, "")

    def file(name: str) -> str:
        path = Path(environment.get("MELTANO_PROJECT_ROOT", ".")) / Path(value(name)).expanduser()
        if not path.is_file():
            raise SettingsError(f"TARGET_POSTGRES_{name} names a file that does not exist: {value(name)}.")
        return str(path.resolve())

    tls = {}
    if value("SSL_CERTIFICATE_AUTHORITY") == "system":
        tls["sslrootcert"] = "system"
    elif value("SSL_CERTIFICATE_AUTHORITY") != TARGET_DEFAULTS["SSL_CERTIFICATE_AUTHORITY"]:
        tls["sslrootcert"] = file("SSL_CERTIFICATE_AUTHORITY")
    is_insisted_on = bool(tls) or is_true(value("SSL_ENABLE"))
    tls["sslmode"] = value("SSL_MODE") or ("verify-full" if is_insisted_on else "prefer")
    if is_true(value("SSL_CLIENT_CERTIFICATE_ENABLE")):
        tls["sslcert"] = file("SSL_CLIENT_CERTIFICATE")
        tls["sslkey"] = file("SSL_CLIENT_PRIVATE_KEY")
    place = {"host": "HOST", "port": "PORT", "user": "USER", "password": "PASSWORD", "dbname": "DATABASE"}
    return tls | {keyword: value(name) for keyword, name in place.items() if value(name)}


def as_transformer(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables with the role that builds the models instead of the one that loads.

    It is DBT_POSTGRES_USER with DBT_POSTGRES_PASSWORD; if that is not set, one role does both.
    """
    user = environment.get("DBT_POSTGRES_USER")
    if not user:
        return dict(environment)
    password = environment.get("DBT_POSTGRES_PASSWORD", "")
    return {**environment, "TARGET_POSTGRES_USER": user, "TARGET_POSTGRES_PASSWORD": password}


def lock_wait(environment: Mapping[str, str]) -> float:
    """Return the seconds for which a statement is retried until it gets its lock.

    Raises:
        SettingsError: LOCK_WAIT_SECONDS is not a number.
    """
    said = environment.get("LOCK_WAIT_SECONDS") or str(LOCK_WAIT)
    try:
        return float(said)
    except ValueError:
        raise SettingsError(f"LOCK_WAIT_SECONDS is not a number of seconds: {said}.") from None


def is_true(value: str) -> bool:
    """Return whether a variable means yes."""
    return value.strip().lower() in ("true", "1", "yes", "on")


def prepare(connection: Any) -> None:
    """Apply the settings to a new connection of psycopg or psycopg2, and commit them."""
    asked = {name: value for name, value in SETTINGS.items() if name != CHECKS_CLIENT}
    cursor = connection.cursor()
    cursor.execute(SET, (list(asked), list(asked.values())))
    connection.commit()
    try:
        cursor.execute(SET, ([CHECKS_CLIENT], [SETTINGS[CHECKS_CLIENT]]))
    except Exception:  # noqa: BLE001 (each driver has its own)
        connection.rollback()
    else:
        connection.commit()
    cursor.close()


def sqlstate(error: BaseException) -> str:
    """Return the SQLSTATE of an error; empty if the error is not the server's."""
    return getattr(error, "sqlstate", None) or getattr(error, "pgcode", None) or ""


def describe(error: BaseException) -> str:
    """Return the text of a driver's error without the content of any row.

    Postgres quotes values in the first line of some errors, and adds whole rows to others.
    """
    code = sqlstate(error)
    if TOO_MANY.search(str(error)):
        return (
            f"{_one_line(str(error))}. The README says how many connections a run holds: run fewer at once, or "
            "allow more (max_connections, alter role … connection limit)."
        )
    if NO_SERVER.search(str(error)):
        return (
            f"{NO_SERVER.sub('', str(error))}. Start the database, and check TARGET_POSTGRES_HOST and "
            "TARGET_POSTGRES_PORT."
        )
    if code == UNTRANSLATABLE:
        return f"{error.diag.message_primary}: load into a database whose encoding is UTF8"  # type: ignore[attr-defined]
    if not code or code.startswith(SAFE_CLASSES):
        return str(error).strip()
    details = error.diag  # type: ignore[attr-defined]
    said = "an error whose text is not repeated here, because it may contain a row's content"
    if code.startswith(DATA_CLASSES):
        said = (
            QUOTED.sub('"…"', details.message_primary) if code.startswith("22") else details.message_primary
        )
    copied = COPY_COLUMN.search(details.context or "")
    places = {
        "table": ".".join(filter(None, (details.schema_name, details.table_name))),
        "column": details.column_name or (copied[1] if copied else ""),
        "constraint": details.constraint_name,
    }
    where = "".join(f", {kind} {name}" for kind, name in places.items() if name)
    return f"{_one_line(said)} (SQLSTATE {code}{where})"


def without_data(error: BaseException) -> None:
    """Change a driver's error so that its text is the result of `describe`."""
    error.args = (describe(error),)


def patiently(
    connection: Any,
    statement: str,
    run: Callable[[], T],
    *,
    plainly: Callable[[str], object],
    needs_savepoint: bool,
    connect: Callable[[], Any],
    say: Callable[[str], object],
) -> T:
    """Run a statement; while other sessions hold a lock that it needs, report them, pause, and retry.

    Between two attempts the transaction holds no more locks than before the statement, so that others can
    continue.

    Args:
        connection: a connection of psycopg or psycopg2.
        statement: its text; messages show the beginning.
        run: runs the statement.
        plainly: runs a statement on the same connection without retries.
        needs_savepoint: whether the transaction has made changes that must be kept.
        connect: opens another connection for finding the session that holds the lock.
        say: receives a sentence for the user.

    Raises:
        The driver's error, with a sentence that names the session that held the lock, after
    LOCK_WAIT_SECONDS.
    """
    beginning = time.monotonic()
    patience = lock_wait(os.environ)
    watch: Watch | None = None
    for pause in chain(PAUSES, repeat(PAUSES[-1])):
        if needs_savepoint:
            plainly("savepoint lock_wait")
        try:
            result = run()
        except Exception as error:
            if sqlstate(error) != "55P03":
                raise
            if connection.info.transaction_status == IN_ERROR:
                if needs_savepoint:
                    plainly("rollback to savepoint lock_wait")
                else:
                    connection.rollback()
            is_over = watch is not None and time.monotonic() - beginning + pause > patience
            watch = watch or Watch(connection.info.backend_pid, connect, say, _shown(statement), patience)
            if is_over or stopping.is_set():
                error.args = (watch.last_words(),)
                raise
        else:
            if needs_savepoint:
                plainly("release savepoint lock_wait")
            return result
        finally:
            if watch:
                watch.pause()
        stopping.wait(pause)
        watch.look()
    raise AssertionError  # the loop has no end


class Watch:
    """While a statement waits for a lock, finds the sessions that hold it, and reports each of them once.

    Args:
        process: process id of the server that waits.
        connect: opens another connection.
        say: receives a sentence for the user.
        what: the beginning of the statement.
        patience: seconds for which it is retried.
    """

    def __init__(
        self,
        process: int,
        connect: Callable[[], Any],
        say: Callable[[str], object],
        what: str,
        patience: float,
    ) -> None:
        self._process = process
        self._connect = connect
        self._say = say
        self._what = what
        self._patience = patience
        self._blocker = "another session"
        self._pid = 0
        self._thread: threading.Thread | None = None
        self._over = threading.Event()

    def look(self) -> None:
        """Begin to watch."""
        self._over.clear()
        self._thread = threading.Thread(target=self._find, daemon=True)
        self._thread.start()

    def pause(self) -> None:
        """Stop watching."""
        self._over.set()
        if self._thread:
            self._thread.join()
            self._thread = None

    def last_words(self) -> str:
        """Return the sentence of the final error."""
        ending = f" (select pg_terminate_backend({self._pid}))" if self._pid else ""
        return (
            f"“{self._what}” did not get its lock within {self._patience:g} seconds, which {self._blocker} "
            f"of the same database holds: end that session{ending}, and run again."
        )

    def _find(self) -> None:
        # without another connection, or if that one breaks, the session stays unknown
        with suppress(Exception):
            connection = self._connect()
            try:
                self._ask(connection)
            finally:
                connection.close()

    def _ask(self, connection: Any) -> None:
        cursor = connection.cursor()
        while not self._over.is_set():
            cursor.execute(BLOCKERS, (self._process,))
            found = cursor.fetchone()
            connection.rollback()
            if found and found[0] != self._pid:
                self._pid, self._blocker = found[0], _session(*found)
                self._say(
                    f"“{self._what}” waits for a lock that {self._blocker} of the same database holds; "
                    f"it is tried again for up to {self._patience:g} seconds."
                )
            self._over.wait(0.2)


def _session(
    pid: int,
    user: str | None,
    application: str | None,
    address: str | None,
    since: str | None,
    word: str | None,
) -> str:
    """Describe a session; the server hides parts of it from users without pg_read_all_stats."""
    if not pid:
        return "a prepared transaction"
    parts = [f"process {pid}", f"user {user}", f"application {application}" if application else ""]
    parts += [f"address {address}" if address else "", f"since {since} UTC" if since else ""]
    parts += [f"last statement {word}" if word else ""]
    return f"a session ({', '.join(filter(None, parts))})"


def _shown(statement: str) -> str:
    """Return the first words of a statement, which name its object but contain no value."""
    bare = _one_line(re.sub(r"/\*.*?\*/|--[^\n]*", " ", statement, flags=re.DOTALL))
    return textwrap.shorten(re.split(r"['$(]", bare)[0], 80, placeholder=" …")


def _one_line(text: str) -> str:
    return " ".join(text.split())
