"""Locks and signals: nobody waits long or without a message, and no program keeps running unnoticed."""

from __future__ import annotations

import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from .plugins import COLUMNS, Plugins, record, schema, wait_until

NEW_COLUMN = COLUMNS | {"city": {"type": ["string", "null"]}}


@contextmanager
def reader(database: str, table: str) -> Iterator[list[float]]:
    """Read a table repeatedly, with a statement timeout of five seconds; yields the seconds of each reading."""
    seconds: list[float] = []
    problems: list[Exception] = []
    over = threading.Event()

    def read() -> None:
        with psycopg.connect(database, autocommit=True, options="-c statement_timeout=5s") as connection:
            while not over.wait(0.02):
                began = time.monotonic()
                try:
                    connection.execute(sql.SQL("select count(*) from {}").format(sql.SQL(table)))
                except psycopg.Error as error:
                    problems.append(error)
                seconds.append(time.monotonic() - began)

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield seconds
    finally:
        over.set()
        thread.join()
    assert not problems
    assert max(seconds) > 1, "the reader never had to wait, so that this test has proved nothing"


@contextmanager
def busy(database: str, table: str) -> Iterator[psycopg.Connection]:
    """A BI client that has read a table and keeps its transaction open."""
    with psycopg.connect(database, application_name="Metabase") as connection:
        connection.execute(sql.SQL("select name from {}").format(sql.SQL(table)))
        yield connection


def columns(database: str) -> set[str]:
    with psycopg.connect(database) as connection:
        description = connection.execute("select * from pipedrive.people").description
        return {column.name for column in description or ()}


def test_the_target_waits_for_a_reader_and_lets_others_read(loaded: Plugins, database: str) -> None:
    with busy(database, "pipedrive.people") as client, reader(database, "pipedrive.people"):
        program = loaded.load(schema(NEW_COLUMN), record(id=2, name="Ana", city="Recife"))
        program.wait_for(f"process {client.info.backend_pid}, user pipedrive, application Metabase")
        assert "city" not in columns(database)
        client.commit()
        assert program.end() == 0, program.output
    assert "city" in columns(database)
    (sentence,) = re.findall(r"“(ALTER TABLE .*)", program.output)
    assert "last statement SELECT" in sentence


def test_a_target_that_gets_no_lock_gives_up_with_one_sentence(loaded: Plugins, database: str) -> None:
    with busy(database, "pipedrive.people") as client:
        program = loaded.load(schema(NEW_COLUMN), record(id=2), LOCK_WAIT_SECONDS="6")
        assert program.end() == 1
        last = program.output.splitlines()[-1]
        assert "did not get its lock within 6 seconds" in last
        assert f"select pg_terminate_backend({client.info.backend_pid})" in last
        assert "Traceback" not in program.output


def test_a_lock_timeout_that_is_not_a_number_is_reported(tiny: Plugins) -> None:
    for program in (
        tiny.load(schema(), LOCK_WAIT_SECONDS="long"),
        tiny.dbt("run", LOCK_WAIT_SECONDS="long"),
    ):
        assert program.end() == 1
        assert "LOCK_WAIT_SECONDS is not a number of seconds: long." in program.output.splitlines()[-1]


def test_inserting_rows_waits_for_a_lock(loaded: Plugins, database: str) -> None:
    """An index creation can hold such a lock, for example."""
    with psycopg.connect(database, application_name="DBA") as client:
        client.execute("lock table pipedrive.people in share mode")
        program = loaded.load(schema(), record(id=1, name="Ana"), record(id=2, name="Bia"))
        program.wait_for("application DBA")
        client.commit()
        assert program.end() == 0, program.output
        names = client.execute("select name from pipedrive.people order by id").fetchall()
    assert names == [("Ana",), ("Bia",)]


@pytest.fixture
def modelled(tiny: Plugins) -> Plugins:
    """The same, with the mart built."""
    program = tiny.dbt("run")
    assert program.end() == 0, program.output
    return tiny


def test_dbt_waits_for_a_reader_and_for_another_dbt(modelled: Plugins, database: str) -> None:
    with busy(database, "marts.mart") as client, reader(database, "marts.mart"):
        first = modelled.dbt("run")
        first.wait_for(f"process {client.info.backend_pid}, user pipedrive, application Metabase")
        second = modelled.dbt("run")
        second.wait_for("Another dbt writes to this database")
        assert "application pipedrive-warehouse dbt queue" in second.output
        assert "START" not in second.output
        assert "OK created" not in first.output
        client.commit()
        assert first.end() == 0, first.output
        assert second.end() == 0, second.output
    assert len(re.findall("waits for a lock", first.output)) == 1

    with busy(database, "marts.mart") as client:
        program = modelled.dbt("run", LOCK_WAIT_SECONDS="6")
        assert program.end() == 1
        words = f"did not get its lock within 6 seconds.*pg_terminate_backend\\({client.info.backend_pid}\\)"
        assert re.search(words, program.output)


STUCK = """
import os, signal, time
import target_end

def never_ends(number, frame):
    while True:
        time.sleep(1)

signal.signal(signal.SIGTERM, never_ends)
target_end.GRACE = 1
target_end.end_in_time()
os.kill(os.getpid(), signal.SIGTERM)
"""


def test_a_target_that_does_not_react_to_sigterm_is_ended(target: Path) -> None:
    done = subprocess.run([target.with_name("python"), "-c", STUCK], check=False)
    assert done.returncode == -signal.SIGALRM


def test_a_killed_dbt_releases_the_queue(modelled: Plugins, database: str) -> None:
    with busy(database, "marts.mart") as client:
        killed = modelled.dbt("run")
        killed.wait_for("application Metabase")
        killed.process.kill()
        killed.end()
        client.commit()
        program = modelled.dbt("run")
        assert program.end() == 0, program.output


# Ending dbt


SLOW = "select pg_sleep(600)"


def dbt_sessions(database: str, condition: str = "true") -> int:
    with psycopg.connect(database) as connection:
        query = (
            "select count(*) from pg_stat_activity where datname = current_database() "
            f"and application_name like 'pipedrive-warehouse dbt%%' and {condition}"
        )
        (number,) = connection.execute(sql.SQL(query)).fetchone() or (0,)
    return int(number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_a_dbt_that_is_stopped_cancels_its_queries(
    tiny: Plugins, database: str, number: signal.Signals
) -> None:
    before = signal.signal(number, signal.default_int_handler)  # background processes ignore Ctrl-C
    program = tiny.dbt("show", "--inline", SLOW)
    signal.signal(number, before)
    wait_until(lambda: dbt_sessions(database, "wait_event = 'PgSleep'"), lambda: program.output)
    program.process.send_signal(number)
    assert program.end() != 0
    wait_until(lambda: not dbt_sessions(database))
    assert "dbt was stopped" in program.output
    assert "Traceback" not in program.output


def test_dbt_ends_when_its_parent_process_ends(tiny: Plugins, database: str) -> None:
    """Meltano ends like this after kill -9, for example."""
    tiny.dbt_command_prefix = ["sh", "-c", '"$@" & wait', "sh"]
    program = tiny.dbt("show", "--inline", SLOW)
    wait_until(lambda: dbt_sessions(database, "wait_event = 'PgSleep'"), lambda: program.output)
    program.process.kill()
    program.end()
    wait_until(lambda: not dbt_sessions(database))
