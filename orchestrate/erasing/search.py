"""A search of the whole database for a person, in every column of every table and in Postgres' statistics."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import psycopg
from psycopg.sql import SQL, Composable, Identifier, Literal

from orchestrate.erasing.person import Forgotten, columns_of
from orchestrate.erasing.pipedrive import ids_in_documents


@dataclass
class Search:
    """What a search has looked at, and what it has found."""

    tables: int = 0
    rows: int = 0
    found: dict[str, int] = field(default_factory=dict)
    """The number of rows by schema, table and column."""
    unread: list[str] = field(default_factory=list)
    """Tables that the role may not read."""


def search(connection: psycopg.Connection, person: Forgotten) -> Search:
    """Search all tables of the database for a person; views are made from these.

    Args:
        connection: A connection that may read as much as possible.
        person: The person's ids, and what belongs to this person only.
    """
    result = Search()
    for schema, table, may_read in _tables(connection):
        if not may_read:
            result.unread.append(f"{schema}.{table}")
            continue
        name, columns = Identifier(schema, table), columns_of(connection, schema, table)
        condition = _condition(person, columns, SQL("t::text"))
        query = SQL("select count(*), count(*) filter (where {}) from {} as t")
        rows, hits = connection.execute(query.format(condition, name)).fetchone() or (0, 0)
        result.tables += 1
        result.rows += rows
        result.found |= _places(connection, person, (schema, table), columns) if hits else {}
    result.found |= dict(_statistics(connection, person))
    return result


def _places(
    connection: psycopg.Connection, person: Forgotten, table: tuple[str, str], columns: dict[str, str]
) -> dict[str, int]:
    """Return how many rows of a table match, by column."""
    found = {}
    for name, kind in columns.items():
        condition = _condition(person, {name: kind}, SQL("t.{}::text").format(Identifier(name)))
        query = SQL("select count(*) from {} as t where {}").format(Identifier(*table), condition)
        (count,) = connection.execute(query).fetchone() or (0,)
        if count:
            found[".".join((*table, name))] = count
    return found or {".".join((*table, "record_id")): 1}


def _tables(connection: psycopg.Connection) -> Iterator[tuple[str, str, bool]]:
    yield from connection.execute(
        "select nspname, relname, "
        "has_table_privilege(pg_class.oid, 'select') and has_schema_privilege(nspname, 'usage') "
        "from pg_class inner join pg_namespace on pg_namespace.oid = relnamespace "
        "where relkind in ('r', 'm', 'p') and not relispartition and nspname !~ '^pg_' "
        "and nspname <> 'information_schema' order by 1, 2"
    ).fetchall()


def _condition(person: Forgotten, columns: dict[str, str], text: Composable) -> Composable:
    """Return the condition for rows that contain anything of the person."""
    patterns = [ids_in_documents(person.ids)] if person.ids else []
    patterns += [person.own_pattern] if person.own_pattern else []
    conditions: list[Composable] = (
        [SQL("{} ~* {}").format(text, Literal("|".join(patterns)))] if patterns else []
    )
    ids = Literal(list(map(str, person.ids)))
    conditions += [
        SQL("t.{}::text = any({})").format(Identifier(name), ids)
        for name in columns
        if name == "person_id" or name.endswith("_person_id")
    ]
    if {"entity", "record_id"} <= columns.keys():
        conditions.append(SQL("(t.entity = 'persons' and t.record_id::text = any({}))").format(ids))
    if {"stream", "record_id"} <= columns.keys():
        conditions.append(SQL("(t.stream = 'persons' and t.record_id::text = any({}))").format(ids))
    return SQL("({})").format(SQL(" or ").join(conditions)) if conditions else SQL("false")


def _statistics(connection: psycopg.Connection, person: Forgotten) -> Iterator[tuple[str, int]]:
    """Search the sampled values that Postgres keeps for planning statements."""
    if person.own_pattern:
        for place in connection.execute(
            "select distinct format('%%s.%%s.%%s (statistics)', schemaname, tablename, attname) from pg_stats "
            "where concat_ws(' ', most_common_vals::text, histogram_bounds::text, most_common_elems::text) ~* %s",
            [person.own_pattern],
        ).fetchall():
            yield place[0], 1
