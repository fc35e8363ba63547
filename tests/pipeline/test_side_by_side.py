"""Loads that run in parallel both succeed when both create the same object."""

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from .plugins import Plugins, record, schema, wait_until

MAKE_SCHEMA = b"create schema pipedrive"
MAKE_TABLE = b"create table pipedrive.people (id bigint primary key)"


@pytest.mark.parametrize(
    ("made", "catalog"),
    [
        ((), "pg_namespace"),
        ((MAKE_SCHEMA,), "pg_class"),
        ((MAKE_SCHEMA, MAKE_TABLE), "pg_attribute"),
    ],
    ids=["schema", "table", "columns"],
)
def test_an_object_that_two_loads_need_at_the_same_time_is_created_once(
    plugins: Plugins, database: str, made: tuple[bytes, ...], catalog: str
) -> None:
    """The catalog is locked until both have found the object missing and are about to create it."""
    waiting = (
        "select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    )
    with psycopg.connect(database, autocommit=True) as watcher, psycopg.connect(database) as holder:
        for statement in made:
            watcher.execute(statement)
        holder.execute(SQL("lock table pg_catalog.{} in share mode").format(Identifier(catalog)))
        programs = [plugins.load(schema(), record(id=i, name="A", age=i)) for i in (1, 2)]
        wait_until(lambda: watcher.execute(waiting).rowcount == 2, lambda: programs[0].output)
        holder.commit()
        assert [program.end() for program in programs] == [0, 0], [program.output for program in programs]
        rows = watcher.execute("select id, name, age from pipedrive.people order by id").fetchall()
    assert rows == [(1, "A", 1), (2, "A", 2)]
