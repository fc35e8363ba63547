"""The account in memory: its rows, their order, its fields, its tokens and its clock."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from itertools import chain, count
from typing import TYPE_CHECKING, Any, TypeAlias

from pipedrive_sandbox.account.clock import Clock, stamp
from pipedrive_sandbox.records.changelog import LOGGED, PARTICIPANTS
from pipedrive_sandbox.records.model import PARENTS, Id, Record, Row
from pipedrive_sandbox.records.refusals import not_found
from pipedrive_sandbox.records.viewer import Viewer

if TYPE_CHECKING:
    from pipedrive_sandbox.data.generate import Dataset

Key: TypeAlias = tuple[bool, Any, Any]
"""The place of a row in a sort order: null values first, equal values by id."""

FIELDS_OF = {
    "deals": "deal",
    "leads": "deal",
    "persons": "person",
    "organizations": "organization",
    "products": "product",
    "projects": "project",
}
"""The entity whose field definitions apply; leads have those of deals."""

TOMBSTONED = ("deals", "persons", "organizations", "activities", "products")
"""Entities whose deleted rows stay flagged for 30 days. Only deleted deals can be listed meanwhile."""

GRACE = timedelta(days=30)

GO_WITH = (
    *((child, parent, key) for child, (parent, key) in PARENTS.items()),
    ("deal_participants", "persons", "person_id"),
    ("organization_relationships", "organizations", "rel_owner_org_id"),
    ("organization_relationships", "organizations", "rel_linked_org_id"),
)
"""Rows that are purged with their parent: the entity, its parent, and the key of the parent."""

LISTED_ALIVE = (*TOMBSTONED[1:], "notes", "note_comments", "files")
"""Entities whose deleted rows no list contains."""


class Table:
    """The rows of one entity by id.

    A row is replaced and never changed in place. Therefore a row once read is a snapshot, and accounts can
    share the rows of a data set.
    """

    def __init__(self, rows: Iterable[Record]) -> None:
        self._rows: dict[Id, Record] = {row["id"]: row for row in rows}
        self._orders: dict[str, list[Key]] = {}
        self._groups: dict[str, dict[Any, list[Record]]] = {}
        self._ids = count(max((id_ for id_ in self._rows if isinstance(id_, int)), default=0) + 1)

    def __iter__(self) -> Iterator[Record]:
        return iter(self._rows.values())

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, id_: Id) -> Record | None:
        """Return the row, or None."""
        return self._rows.get(id_)

    def put(self, row: Record) -> None:
        """Add the row, or replace the one with its id."""
        self._rows[row["id"]] = row
        self._forget_indexes()

    def remove(self, id_: Id) -> None:
        """Remove the row."""
        del self._rows[id_]
        self._forget_indexes()

    def _forget_indexes(self) -> None:
        self._orders.clear()
        self._groups.clear()

    def next_number(self) -> int:
        """Return a number that no row of this table has had."""
        return next(self._ids)

    def having(self, key: str, value: Any) -> list[Record]:
        """Return the rows with that value, in the order of their insertion."""
        if key not in self._groups:
            groups = self._groups[key] = {}
            for row in self:
                groups.setdefault(row[key], []).append(row)
        return self._groups[key].get(value, [])

    def order(self, field: str) -> list[Key]:
        """Return the places of all rows in ascending order of a field."""
        if field not in self._orders:
            self._orders[field] = sorted(place(row, field) for row in self)
        return self._orders[field]

    def walk(self, field: str, *, descending: bool, start: Key | None = None) -> Iterator[Record]:
        """Yield rows in the order of a field, beginning at the place `start` (inclusive)."""
        keys = self.order(field)
        if descending:
            upto = len(keys) if start is None else bisect_right(keys, start)
            return (self._rows[keys[i][2]] for i in range(upto - 1, -1, -1))
        since = 0 if start is None else bisect_left(keys, start)
        return (self._rows[keys[i][2]] for i in range(since, len(keys)))


def place(row: Record, field: str) -> Key:
    """Return the place of the row in the order of a field."""
    value = row[field]
    return value is not None, 0 if value is None else value, row["id"]


def _highest_option_id(fields: dict[str, list[Record]]) -> int:
    options = chain.from_iterable(
        definition["options"] or () for definition in chain.from_iterable(fields.values())
    )
    return max((option["id"] for option in options if isinstance(option["id"], int)), default=0)


def lives(row: Row) -> bool:
    """Return whether lists include the row if they are not asked for deleted ones."""
    return not row.get("is_deleted") and row.get("active_flag") is not False


def is_admin(user: Row) -> bool:
    """Return whether a user administers some part of the account."""
    return any(entry["admin"] for entry in user["access"])


class Account:
    """A Pipedrive company: tables by entity, field definitions, change logs, tokens, a clock."""

    def __init__(self, dataset: Dataset, clock: Clock, tokens: Sequence[str]) -> None:
        self.clock = clock
        self.manifest = dataset.manifest
        self.tables = {entity: Table(rows) for entity, rows in dataset.records.items()}
        self.fields: dict[str, list[Record]] = {
            entity: list(fields) for entity, fields in dataset.fields.items()
        }
        self.field_numbers = count()
        """Numbers from which new custom fields get their keys."""
        self.option_ids = count(_highest_option_id(self.fields) + 1000)
        """Ids for new options, which are above those that only rows still contain."""
        self.changes: dict[str, dict[Id, tuple[Record, ...]]] = {
            entity: {id_: tuple(rows) for id_, rows in dataset.changes.get(entity, {}).items()}
            for entity in LOGGED
        }
        """Change logs by entity and id, oldest line first."""
        self.viewers: dict[str, Viewer] = {}
        self._let_in(tokens, self._active_users())
        self.purge()

    def let_in_limited(self, tokens: Sequence[str], share: float) -> None:
        """Accept tokens of users who are not administrators and see only a share of the rows."""
        self._let_in(tokens, [user for user in self._active_users() if not is_admin(user)], share)

    def _let_in(self, tokens: Sequence[str], users: Sequence[Row], share: float = 1.0) -> None:
        for i, token in enumerate(tokens):
            user = users[i % len(users)]
            self.viewers[token] = Viewer(token, user["id"], is_admin(user), share)

    def _active_users(self) -> list[Record]:
        return [row for row in self.tables["users"].walk("id", descending=False) if row["active_flag"]]

    def table(self, entity: str) -> Table:
        """Return the rows of an entity; an unknown entity is refused with 404."""
        if entity not in self.tables:
            raise not_found(f"unknown entity {entity!r}; known: {', '.join(self.tables)}")
        return self.tables[entity]

    def get(self, entity: str, id_: Id) -> Record:
        """Return one row, or refuse with 404."""
        row = self.table(entity).get(id_)
        if row is None:
            raise not_found()
        return row

    def fields_of(self, entity: str) -> list[Record]:
        """Return the field definitions of an entity's rows, or [] if it has none."""
        return self.fields.get(FIELDS_OF.get(entity, ""), [])

    def listable(self, entity: str) -> list[Record]:
        """Return by id every row that a user with all rights could list somewhere."""
        rows = self.table(entity).walk("id", descending=False)
        if entity in LISTED_ALIVE:
            rows = filter(lives, rows)
        if entity in PARENTS and PARENTS[entity][0] in LISTED_ALIVE:
            parents = self.table(PARENTS[entity][0])
            key = PARENTS[entity][1]
            return [row for row in rows if (parent := parents.get(row[key])) and lives(parent)]
        return list(rows)

    def purge(self) -> None:
        """Remove everything that was deleted more than 30 days ago; line items lose a purged product."""
        deadline = stamp(self.clock.now() - GRACE)
        for entity in TOMBSTONED:
            table = self.tables[entity]
            for row in list(table):
                if row["is_deleted"] and row["update_time"] and row["update_time"] < deadline:
                    table.remove(row["id"])
                    self._forget(entity, row["id"])

    def forget_logs(self, entity: str, id_: Id) -> None:
        """Remove the log of a record that is gone."""
        for log in (entity, PARTICIPANTS) if entity == "deals" else (entity,):
            self.changes.get(log, {}).pop(id_, None)

    def _forget(self, entity: str, id_: int) -> None:
        self.forget_logs(entity, id_)
        for child, parent, key in GO_WITH:
            if parent == entity and child in self.tables:
                for row in list(self.tables[child].having(key, id_)):
                    self.tables[child].remove(row["id"])
        if entity == "products":
            nothing = {"product_id": None, "product_variation_id": None, "name": None}
            lines = self.tables["deal_products"]
            for line in list(lines.having("product_id", id_)):
                lines.put(line | nothing)
