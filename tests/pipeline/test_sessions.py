"""A shared database: settings of roles, number of connections, and errors that show no row."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from embedded_postgres.warehouse import Warehouse
from pipedrive_sandbox.testing import Sandbox
from psycopg import sql

from .expected import expected
from .pipe import Pipe, connection_variables
from .plugins import COLUMNS, SECRET, Plugins, record, schema
from .raw import differences

# Settings of roles


ODD = {
    "client_encoding": "LATIN1",
    "standard_conforming_strings": "off",
    "statement_timeout": "2s",
    "lock_timeout": "10ms",
    "idle_in_transaction_session_timeout": "2s",
    "DateStyle": "German, DMY",
    "IntervalStyle": "sql_standard",
    "TimeZone": "America/Sao_Paulo",
    "search_path": "nowhere",
    "default_transaction_isolation": "serializable",
}


MOST_CONNECTIONS = {"target": 4, "dbt": 6}
"""The connections of a run with four dbt threads, as documented in the README."""


@contextmanager
def connections(database: str) -> Iterator[Counter[str]]:
    """Count the connections of target and dbt; yields the highest number seen at once."""
    most, over = Counter[str](), threading.Event()

    def count() -> None:
        with psycopg.connect(database, autocommit=True) as connection:
            while not over.wait(0.02):
                found = connection.execute(
                    "select split_part(application_name, ' ', 2), count(*) from pg_stat_activity "
                    "where datname = current_database() and application_name like 'pipedrive-warehouse %' "
                    "group by 1"
                )
                for name, number in found.fetchall():
                    most[name] = max(most[name], number)

    thread = threading.Thread(target=count)
    thread.start()
    try:
        yield most
    finally:
        over.set()
        thread.join()


def test_a_role_with_unusual_settings_loads_and_models_the_same_with_few_connections(
    pipe: Pipe, sandbox: Sandbox, plugins: Plugins, database: str
) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        place = sql.SQL("alter role {} in database {}").format(
            *map(sql.Identifier, (connection.info.user, connection.info.dbname))
        )
        for name, value in ODD.items():
            connection.execute(
                place + sql.SQL(" set {} = {}").format(sql.Identifier(name), sql.Literal(value))
            )
        with connections(database) as most:
            pipe.run().succeeded()
            program = plugins.dbt("build", "--exclude-resource-type", "unit_test")
            assert program.end() == 0, program.output[-3000:]
        connection.execute(place + sql.SQL(" reset all"))
    assert differences(database, expected(sandbox)) == []
    for name, number in MOST_CONNECTIONS.items():
        assert 0 < most[name] <= number


def test_a_database_with_another_encoding_is_reported(
    new_plugins: Callable[[str], Plugins], warehouse: Warehouse, database: str
) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("drop database if exists latin")
        connection.execute(
            "create database latin encoding LATIN1 locale 'C' template template0 locale_provider libc"
        )
    plugins = new_plugins(database.rpartition("/")[0] + "/latin")
    program = plugins.load(schema(), record(id=1, name="São Paulo"))
    assert program.end() == 0, program.output
    program = plugins.load(schema(), record(id=2, name=f"{SECRET} 🎉"))
    assert program.end() == 1
    last = program.output.splitlines()[-1]
    assert 'has no equivalent in encoding "LATIN1": load into a database whose encoding is UTF8' in last
    assert SECRET not in program.output
    warehouse.drop_database("latin")


def test_a_statement_may_take_longer_than_the_roles_timeout(loaded: Plugins, database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "create function slow() returns trigger language plpgsql as "
            "$$ begin perform pg_sleep(2.5); return new; end $$"
        )
        connection.execute(
            "create trigger slow before insert on pipedrive.people for each row execute function slow()"
        )
        name = sql.Identifier(connection.info.dbname)
        connection.execute(sql.SQL("alter database {} set statement_timeout = '2s'").format(name))
    program = loaded.load(schema(), record(id=2))
    assert program.end() == 0, program.output


# Errors


REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "CHECK": (
        "alter table pipedrive.people add check (age < 100)",
        {"age": 300},
        "violates check constraint",
    ),
    "UNIQUE": ("create unique index on pipedrive.people (name)", {}, "violates unique constraint"),
    "NOT NULL": ("alter table pipedrive.people alter age set not null", {}, 'null value in column "age"'),
    "TYPE": ("alter table pipedrive.people alter age type smallint", {"age": 300_000}, "column age"),
    "TRIGGER": (
        "create function refuse() returns trigger language plpgsql as "
        "$$ begin raise exception 'not %', new.name; end $$; "
        "create trigger refuse before insert on pipedrive.people for each row execute function refuse()",
        {},
        "SQLSTATE P0001",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_refused_row_is_not_shown(loaded: Plugins, database: str, case: str) -> None:
    statements, row, words = REFUSED[case]
    with psycopg.connect(database) as connection:
        connection.execute(statements.encode())
    program = loaded.load(schema(), record(id=2, name=SECRET, **row))
    assert program.end() == 1
    assert words in program.output.splitlines()[-1]
    assert SECRET not in program.output
    assert "300" not in program.output.splitlines()[-1].replace("22003", "")
    assert "Traceback" not in program.output


BAD_LINES = {
    "half a line": (record(id=2, name=SECRET)[:-9], "A line of the input is not JSON"),
    "no date": (record(id=2, day=SECRET), "A value of the field 'day' is not a date"),
}


@pytest.mark.parametrize("case", BAD_LINES)
def test_an_unreadable_line_is_not_shown(plugins: Plugins, case: str) -> None:
    line, words = BAD_LINES[case]
    program = plugins.load(schema(COLUMNS | {"day": {"type": ["string", "null"], "format": "date"}}), line)
    assert program.end() == 1
    assert words in program.output
    assert SECRET not in program.output


def test_dbt_does_not_show_a_value_that_cannot_be_cast(loaded: Plugins, tiny: Plugins) -> None:
    query = "select name::integer from pipedrive.people"
    program = tiny.dbt("--log-level", "debug", "show", "--inline", query)
    assert program.end() != 0
    assert 'invalid input syntax for type integer: "…" (SQLSTATE 22P02)' in program.output
    assert SECRET not in program.output
    assert SECRET not in (tiny.folder / "dbt" / "logs" / "dbt.log").read_text()


# Connections


def test_too_many_connections_are_reported_in_one_sentence(tiny: Plugins, database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("drop role if exists crowded")
        connection.execute("create role crowded login password 'crowded' connection limit 0")
        tiny.connection |= {"user": "crowded", "password": "crowded"}
        programs = [tiny.load(schema()), tiny.dbt("run")]
        for program in programs:
            assert program.end() == 1
            words = (
                'too many connections for role "crowded". The README says how many connections a run holds'
            )
            assert words in program.output.splitlines()[-1]
            assert "Traceback" not in program.output
        connection.execute("drop role crowded")


def test_a_password_is_optional(tiny: Plugins) -> None:
    """A server may accept a user without one, by certificate for example; the tests' server requires one."""
    tiny.connection["password"] = ""
    for program in (tiny.load(schema()), tiny.dbt("run")):
        assert program.end() == 1
        assert "no password supplied" in program.output
        assert "Traceback" not in program.output
    assert "TARGET_POSTGRES_PASSWORD" in connection_variables(tiny.connection)
