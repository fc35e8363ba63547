"""What the warehouse may contain after a hard day: the account, except what no incremental run could know."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from pipedrive_sandbox.testing import Reply, Sandbox

from ..pipeline.contract import CHILDREN, CONTRACT, FIELDS_OF, INCREMENTAL, OF_THE_RUN, OPTIONAL
from ..pipeline.expected import Expected, Key, Row, expected
from ..pipeline.raw import LOADER_COLUMNS, read

KEPT = {"fields", "field_columns", "field_options", "rejected_values", *OF_THE_RUN} | {
    name for name in CHILDREN if name.endswith("_changes")
}
"""Tables whose rows stay unchanged and unmarked when Pipedrive no longer has them."""

Names = Mapping[str, Mapping[str, str]]
"""Columns of custom fields by table and key."""


class Moment:
    """A copy of the account at one moment, with the part of a sandbox's interface that `expected` reads."""

    def __init__(self, sandbox: Sandbox, *, everything: bool, history: str) -> None:
        self._options = {"everything": everything, "history": history}
        tables = (
            {*CONTRACT, *(OPTIONAL if everything else ())} - {"field_columns", "rejected_values"} - OF_THE_RUN
        )
        tables |= {"project_fields", "project_field_options"} if everything else set()
        self._rows = {table: sandbox.truth(table) for table in tables}
        self.clock = datetime.fromisoformat(sandbox.get("/sandbox/clock")["now"])
        """The time on Pipedrive's clock at that moment."""
        self._me = sandbox.api("/api/v1/users/me")
        self._made: dict[str, Expected] = {}

    @property
    def listed_deals(self) -> int:
        """Return the number of deals in Pipedrive's summary."""
        deals = self._rows["deals"]
        return sum(row["status"] in ("open", "won", "lost") and not row["is_archived"] for row in deals)

    def truth(self, table: str) -> list[Row]:
        """Return the rows of a table."""
        return self._rows[table]

    def api(self, _: str) -> Reply:
        """Return the token's user."""
        return self._me

    def tables(self, names: Names) -> Expected:
        """Return the tables of a load at that moment, if the columns had these names."""
        known = {table: dict(names.get(table, {})) for table in FIELDS_OF}
        kept = str(known)
        if kept not in self._made:
            named = Expected({}, known)
            self._made[kept] = expected(cast("Sandbox", self), named, **cast("Any", self._options))
        return self._made[kept]


def complaints(
    database: str,
    moments: Sequence[Moment],
    names: Names,
    *,
    reconciled: bool,
    former_columns: Iterable[tuple[str, str]],
) -> list[str]:
    """Describe the first 20 errors in the warehouse after a good run at the last of these moments.

    `names` are those that the state had before that run. `former_columns` are columns that earlier runs may
    have added, by table.
    """
    actual = read(database)
    *earlier, now = [moment.tables(names) for moment in moments]
    found = [f"table {name} is amiss" for name in actual.keys() ^ now.tables.keys()]
    former = set(former_columns)
    for name in actual.keys() & now.tables.keys():
        stored, wanted = actual[name], now[name].columns | LOADER_COLUMNS
        found += [
            f"{name}: column {column} is {stored.columns.get(column)}, not {wanted.get(column)}"
            for column in sorted(stored.columns.keys() | wanted.keys())
            if stored.columns.get(column) != wanted.get(column)
            and (name, column) not in former - {(name, known) for known in wanted}
        ]
        is_read_whole = name not in (*INCREMENTAL, *CHILDREN, "files") or (reconciled and name not in KEPT)
        before = [] if is_read_whole else earlier
        found += [f"{name}: row {key} {what}" for key, what in _wrong_rows(name, stored.rows, before, now)]
        for key in stored.rows.keys() - now[name].rows.keys():
            if reconciled and name not in KEPT and stored.rows[key]["_sdc_deleted_at"] is None:
                found.append(f"{name}: row {key} is gone, and not marked as deleted")
            is_former_name = name == "field_columns" and key in former
            if not is_former_name and not any(key in moment[name].rows for moment in earlier):
                found.append(f"{name}: row {key} never was")
    return found[:20]


def _wrong_rows(
    name: str, stored: Mapping[Key, Row], earlier: Sequence[Expected], now: Expected
) -> Iterator[tuple[Key, str]]:
    """Return rows that equal neither their present version nor one from when they or their parent last
    changed.
    """
    for key, row in now[name].rows.items():
        known = [
            moment[name].rows.get(key)
            for moment in earlier
            if changed_at(moment, name, row) == changed_at(now, name, row)
        ]
        for what in wrong_in_row(stored.get(key), row, known, may_lack=is_unasked(now, name, row)):
            yield key, what


def wrong_in_row(
    stored: Row | None, row: Row, known: Sequence[Row | None], *, may_lack: bool
) -> Iterator[str]:
    """Describe errors in a row of the warehouse, which may also equal a `known` version; None stands for a
    version without this row.
    """
    if stored is None:
        if None not in known and not may_lack:
            yield "is missing"
        return
    for column, value in row.items():
        there = stored[column]
        if there != value and all(version is None or version.get(column) != there for version in known):
            yield f"has {column} {there!r}, not {value!r}"
    if stored["_sdc_deleted_at"] is not None:
        yield "is marked as deleted"


def is_unasked(moment: Expected, name: str, row: Row) -> bool:
    """Return whether a row is not read, judging by the times of its parent in the lists."""
    if name not in CHILDREN:
        return False
    parents, reference, _ = CHILDREN[name]
    parent = moment[parents].rows.get((row[reference],))
    if parent is None:
        return True
    if name.endswith("_changes"):  # a record that changes within the second of its creation looks unchanged
        return bool(parent["add_time"] == row["time"])
    return name in ("deal_installments", "deal_discounts") and not parent["products_count"]


def changed_at(moment: Expected, name: str, row: Row) -> Any:
    """Return when a row, or its parent, had last changed at that moment."""
    key: Any
    if name in CHILDREN:
        name, reference, column = CHILDREN[name]
        key = (row[reference],)
    else:
        column, key = "update_time", (row["id"],)
    parent = moment[name].rows.get(key)
    return parent[column] if parent else "never"
