"""The tables of one schema, with changes of their rows that remove a person."""

from collections import Counter
from collections.abc import Iterable, Sequence

import psycopg
from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

from orchestrate.erasing.person import columns_of

ERASED = "(erased)"

TEXTS = ("text", "character varying", "jsonb", "json")
"""Types of columns that can contain words."""

SCRUBBED = """
create or replace function pg_temp.scrubbed(document jsonb, pattern text) returns jsonb
language plpgsql as $function$
begin
    return case jsonb_typeof(document)
        when 'string' then to_jsonb(regexp_replace(document #>> '{}', pattern, '(erased)', 'gi'))
        when 'number'
            then case when document::text ~* pattern then to_jsonb('(erased)'::text) else document end
        when 'array' then (
            select coalesce(jsonb_agg(pg_temp.scrubbed(item, pattern) order by place), '[]')
            from jsonb_array_elements(document) with ordinality as items (item, place)
        )
        when 'object' then (
            select coalesce(jsonb_object_agg(name, pg_temp.scrubbed(item, pattern)), '{}')
            from jsonb_each(document) as items (name, item)
        )
        else document
    end;
end
$function$
"""
"""An expression that replaces text within a JSON document, which stays valid."""


EVERYWHERE = SQL("true")


class Tables:
    """The tables of a schema that a connection may change. The alias of rows in conditions and changes is t."""

    def __init__(self, connection: psycopg.Connection, schema: str) -> None:
        self.connection = connection
        self.schema = schema
        self.changed: Counter[str] = Counter()
        """The number of changed or deleted rows by table."""
        found = connection.execute(
            "select relname from pg_class inner join pg_namespace on pg_namespace.oid = relnamespace "
            "where nspname = %s and relkind in ('r', 'p') order by relname",
            [schema],
        )
        self.columns = {name: columns_of(connection, schema, name) for (name,) in found.fetchall()}
        """Columns with their types by table."""
        connection.execute(SCRUBBED)

    def texts(self, table: str) -> list[str]:
        """Return the columns of a table that can contain words."""
        return [name for name, kind in self.columns[table].items() if kind in TEXTS]

    def name(self, table: str) -> Identifier:
        """Return a table's name for use in statements."""
        return Identifier(self.schema, table)

    def update(self, table: str, changes: Sequence[Composable], condition: Composable) -> None:
        """Change rows, unless there is nothing to change."""
        if changes:
            self._count(
                table,
                SQL("update {} as t set {} where {}").format(
                    self.name(table), SQL(", ").join(changes), condition
                ),
            )

    def update_by(
        self,
        table: str,
        changes: Sequence[Composable],
        ids: str,
        value: Composable,
        condition: Composable = EVERYWHERE,
    ) -> None:
        """Change the rows in which a value is an `old_id` in a table of ids; changes may use its `new_id`."""
        self._count(
            table,
            SQL("update {} as t set {} from {} where ({})::text = old_id::text and {}").format(
                self.name(table), SQL(", ").join(changes), Identifier(ids), value, condition
            ),
        )

    def update_list(self, table: str, column: str, ids: str, key: str | None) -> None:
        """Change the ids in a column that is a list of ids, or of objects that have one under a key."""
        found: Composable = SQL("item #>> '{{}}'").format()
        new: Composable = SQL("to_jsonb(new_id)")
        if key:
            found = SQL("item ->> {}").format(Literal(key))
            new = SQL("jsonb_set(item, array[{}], to_jsonb(new_id))").format(Literal(key))
        parts = {
            "items": SQL(
                "jsonb_array_elements(case jsonb_typeof(t.{0}) when 'array' then t.{0} else '[]' end) "
                "with ordinality as items (item, place)"
            ).format(Identifier(column)),
            "column": Identifier(column),
            "ids": Identifier(ids),
            "found": found,
            "new": new,
        }
        changed = SQL(
            "{column} = (select jsonb_agg(coalesce({new}, item) order by place) from {items} "
            "left join {ids} on {found} = old_id::text)"
        ).format(**parts)
        condition = SQL("exists (select from {items} inner join {ids} on {found} = old_id::text)")
        self.update(table, [changed], condition.format(**parts))

    def delete(self, table: str, condition: Composable) -> None:
        """Delete rows."""
        self._count(table, SQL("delete from {} as t where {}").format(self.name(table), condition))

    def _count(self, table: str, statement: Composed) -> None:
        done = self.connection.execute(statement).rowcount
        if done:
            self.changed[f"{self.schema}.{table}"] += done

    def scrubbing(self, table: str, columns: Iterable[str], pattern: str | None) -> list[Composable]:
        """Return the changes that replace all matches of a pattern."""
        if not pattern:
            return []
        changes: list[Composable] = []
        for name in columns:
            kind = self.columns[table][name]
            new = "regexp_replace({0}, {1}, {2}, 'gi')"
            if kind.startswith("json"):
                new = "pg_temp.scrubbed({0}::jsonb, {1})::" + kind
            change = f"{{0}} = case when {{0}}::text ~* {{1}} then {new} else {{0}} end"
            parts = Identifier(name), Literal(pattern), Literal(ERASED)
            changes.append(SQL(change).format(*parts))
        return changes

    def scrub(self, pattern: str | None) -> None:
        """Replace all matches of a pattern in all tables."""
        for table in self.columns if pattern else ():
            whole = SQL("t::text ~* {}").format(Literal(pattern))
            self.update(table, self.scrubbing(table, self.texts(table), pattern), whole)
