"""What the raw tables must hold, worked out from the account's truth and the documentation alone.

Nothing here comes from the tap: the columns are those of the contract, the names of custom fields follow the
documented rules, and the values are what Pipedrive knows, in the types of the warehouse.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

from anyascii import anyascii
from pipedrive_sandbox.testing import Sandbox

from .contract import (
    ADDRESS,
    CHILDREN,
    CLOCK,
    CONTRACT,
    CUSTOM,
    FIELDS_OF,
    HASHED,
    INCREMENTAL,
    KEYS,
    NOT_LOADED,
    OF_THE_RUN,
    OPTIONAL,
    RENAMED,
    TIMESTAMP,
)

FIELD = ("entity", "field_code", "field_name", "field_type")

Row = dict[str, Any]
Key = tuple[Any, ...]


@dataclass
class Table:
    """A raw table, without the loader's own columns."""

    columns: dict[str, str]
    rows: dict[Key, Row]


@dataclass
class Expected:
    """All raw tables, and the column name of each custom field by table and key."""

    tables: dict[str, Table]
    names: dict[str, dict[str, str]]

    def __getitem__(self, table: str) -> Table:
        return self.tables[table]


def expected(
    sandbox: Sandbox, before: Expected | None = None, *, everything: bool = False, history: str = "stage"
) -> Expected:
    """The tables as a first load makes them; fields known `before` keep their column names.

    `everything`: with the tables that are loaded only when they are selected.
    """
    contract = CONTRACT | OPTIONAL if everything else CONTRACT
    definitions: dict[str, list[Row]] = {}
    for definition in truth(sandbox, "fields", everything=everything):
        if definition["is_custom_field"]:
            definitions.setdefault(definition["entity"], []).append(definition)
    names = {
        table: name_columns(
            definitions.get(entity, []), set(built_in(table)), before.names[table] if before else {}
        )
        for table, entity in FIELDS_OF.items()
        if table in contract
    }
    moved = {deal["id"] for deal in sandbox.truth("deals") if deal["stage_change_time"] != deal["add_time"]}
    tables = {}
    for table in contract:
        fields = definitions.get(FIELDS_OF.get(table, ""), [])
        columns = built_in(table)
        if table in FIELDS_OF:
            columns |= custom_columns(fields, names[table]) | {"custom_fields_overflow": "jsonb"}
        rows = {}
        known = truth(sandbox, table, everything=everything)
        is_named = table == "field_columns"
        for record in column_records(names, known) if is_named else records(sandbox, table, names, known):
            if table == "deal_changes" and history == "stage" and not is_move(record, moved):
                continue
            left_out = record.keys() - columns.keys() - NOT_LOADED.get(table, set()) - {"custom_fields"}
            assert not left_out, f"{table}: keys without a column: {left_out}"
            raw = dict(record)
            for field in fields:
                value = record["custom_fields"].get(field["field_code"])
                for suffix, cell in cells(field, value, is_v1=table == "leads").items():
                    raw[names[table][field["field_code"]] + suffix] = cell
            row = {name: CONVERT[kind](raw.get(name)) for name, kind in columns.items() if name not in HASHED}
            rows[tuple(row[part] for part in KEYS.get(table, ("id",)))] = row
        types = {name: "text" if kind == CLOCK else kind for name, kind in columns.items()}
        tables[table] = Table(types, rows)
    return Expected(tables, names)


def after_run(before: Expected, now: Expected, since: datetime) -> Expected:
    """The tables after an incremental run that asks for what changed since a moment (UTC, without zone).

    Small tables are read whole; what hangs on a record comes again when the record has changed. Rows that no
    listing shows any more stay as they were, and so do the columns of deleted fields, and rows that changed
    without a new `update_time`.
    """

    def comes_again(table: str, row: Row) -> bool:
        changed: datetime | None
        if table in CHILDREN:
            parents, reference, time_of_change = CHILDREN[table]
            parent = now[parents].rows.get((row[reference],))  # None: it is listed no more
            changed = parent[time_of_change] if parent else None
        elif table in (*INCREMENTAL, "files"):
            changed = row["update_time"]
        else:
            return True
        return changed is not None and changed >= since

    tables = {}
    for name, table in now.tables.items():
        known = before.tables.get(name, Table({}, {}))
        columns = known.columns | table.columns
        empty = dict.fromkeys(columns.keys() - HASHED)
        rows = {key: empty | row for key, row in known.rows.items()}
        for key, row in table.rows.items():
            if comes_again(name, row):
                rows[key] = rows.get(key, empty) | row
        tables[name] = Table(columns, rows)
    return Expected(tables, {name: before.names[name] | now.names[name] for name in now.names})


def built_in(table: str) -> dict[str, str]:
    """Kind by built-in column."""
    return {name: kind for kind, listed in (CONTRACT | OPTIONAL)[table].items() for name in listed.split()}


def custom_columns(fields: Iterable[Row], names: Mapping[str, str]) -> dict[str, str]:
    """Kind by column of some custom fields."""
    return {
        names[field["field_code"]] + suffix: kind
        for field in fields
        for suffix, kind in CUSTOM[field["field_type"]].items()
    }


def truth(sandbox: Sandbox, table: str, *, everything: bool) -> list[Row]:
    """What Pipedrive knows and the token's user may read; fields of projects only where projects are read."""
    if table == "rejected_values" or table in OF_THE_RUN:
        return []
    if table == "field_columns":
        return [row for row in truth(sandbox, "fields", everything=everything) if row["is_custom_field"]]
    rows: list[Row] = sandbox.truth(table)
    if table in ("fields", "field_options") and everything:
        rows = rows + sandbox.truth(f"project_{table}")
    if table in ("call_logs", "mail_threads", "mail_messages"):
        rows = [row for row in rows if row["user_id"] == me(sandbox)]
    return rows


def me(sandbox: Sandbox) -> int:
    """Id of the token's user."""
    found: int = sandbox.api("/api/v1/users/me").granted()["data"]["id"]
    return found


def records(
    sandbox: Sandbox, table: str, names: Mapping[str, Mapping[str, str]], rows: Iterable[Row]
) -> Iterable[Row]:
    """The truth about a table's rows, with what its columns hold beside the API's keys."""
    tables = {entity: table for table, entity in FIELDS_OF.items() if table != "leads"}
    if table.endswith("_changes") and table not in OF_THE_RUN:
        rows = numbered(rows, "org_id" if table == "organization_changes" else CHILDREN[table][1])
    for record in rows:
        match table:
            case "users":
                yield record | {"is_you": record["id"] == me(sandbox)}
            case "fields":
                columns = names.get(tables.get(record["entity"], ""), {})
                yield record | {"column_name": columns.get(record["field_code"])}
            case "persons":
                mail, phone = primary(record["emails"]), primary(record["phones"])
                yield record | {"primary_email": mail, "primary_phone": phone}
            case "deals" if isinstance(record["lost_reason"], dict):
                reason = record["lost_reason"]
                yield record | {"lost_reason": reason["label"], "lost_reason_id": reason["id"]}
            case "leads":
                money = record["value"] or {"amount": None, "currency": None}
                yield record | {"value": money["amount"], "currency": money["currency"]}
            case "goals":
                nested = [(name, record[name]) for name in NOT_LOADED["goals"]]
                yield record | {
                    f"{name}_{part}": value for name, parts in nested for part, value in parts.items()
                }
            case "organization_relationships":
                yield record | {"active_flag": record["active_flag"] == "true"}
            case _:
                yield record | {column: record[key] for column, key in RENAMED.get(table, {}).items()}


def column_records(names: Mapping[str, Mapping[str, str]], fields: Iterable[Row]) -> Iterator[Row]:
    """The columns of custom fields, by table."""
    for field in fields:
        for table, columns in names.items():
            if FIELDS_OF[table] == field["entity"]:
                name = columns[field["field_code"]]
                own = [name + suffix for suffix in CUSTOM[field["field_type"]]]
                known = {part: field[part] for part in FIELD}
                yield {"stream": table, "column_name": name, "all_columns": own, **known, "is_current": True}


def is_move(change: Row, moved: Container[int]) -> bool:
    """Whether a change is one between stages, of a deal that was not moved in the second of its creation alone."""
    return change["field_key"] == "stage_id" and change["deal_id"] in moved


def numbered(changes: Iterable[Row], parent: str) -> Iterator[Row]:
    """Changes with their place in their record's history, from the oldest on."""
    places: Counter[int] = Counter()
    for change in sorted(changes, key=lambda change: change["time"]):
        places[change[parent]] += 1
        yield change | {"sequence": places[change[parent]]}


def primary(contacts: list[Row] | None) -> Any:
    """The primary e-mail address or phone number of a person, else the first."""
    filled = [contact for contact in contacts or () if contact["value"]]
    marked = [contact for contact in filled if contact["primary"]]
    return (marked or filled or [{"value": None}])[0]["value"]


def cells(field: Row, value: Any, *, is_v1: bool) -> Row:
    """The values of a custom field's columns, by suffix."""
    labels = {option["id"]: option["label"] for option in field["options"] or ()}
    found = {"": value}
    match field["field_type"]:
        case _ if value is None:
            pass
        case "monetary":
            found = {"": value["value"], "_currency": value["currency"]}
        case "enum":
            found = {"": labels.get(value), "_id": value}
        case "set":
            found = {"": [labels.get(option) for option in value], "_ids": value}
        case "daterange":
            found = {"": value["value"], "_until": value["until"]}
        case "time" | "timerange":
            zone = value["timezone_id" if is_v1 else "timezone_name"]  # v1 knows the number only
            found = {"": value["value"], "_until": value.get("until"), "_timezone": zone}
        case "address":
            found = {"": value["value"], **{f"_{part}": value.get(part) for part in ADDRESS}}
    return found


# Names of custom fields' columns


def name_columns(fields: list[Row], taken: set[str], pinned: Mapping[str, str]) -> dict[str, str]:
    """Column name by key: the one it had, else its slug; where that clashes, with six digits of the key.

    The whole name, suffix included, is at most 63 bytes.
    """
    taken = taken | {"custom_fields", "custom_fields_overflow", "version", "deletedate"}
    taken |= {"ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"}
    names = dict(pinned)
    types = {field["field_code"]: field["field_type"] for field in fields}
    for key, name in pinned.items():
        taken |= {name + suffix for suffix in CUSTOM.get(types.get(key, ""), {"": ""})}
    new = [field for field in fields if field["field_code"] not in names]
    slugs = {field["field_code"]: slug(field, 63) for field in new}
    wanted = Counter(
        name + suffix
        for field in new
        if (name := slugs[field["field_code"]])
        for suffix in CUSTOM[field["field_type"]]
    )
    for field in new:
        key, suffixes = field["field_code"], CUSTOM[field["field_type"]]
        name = slugs[key]
        if not name or any(wanted[name + suffix] > 1 or name + suffix in taken for suffix in suffixes):
            name = (slug(field, 63 - 7) or "field") + "_" + key[:6]
        names[key] = name
    return {key: names[key] for key in types}


def slug(field: Row, length: int) -> str:
    """A field's name in snake_case ASCII, short enough for its longest column; a digit may not come first."""
    folded = anyascii(unicodedata.normalize("NFC", field["field_name"])).lower()
    words = "_".join(re.findall("[a-z0-9]+", folded))
    longest = max(map(len, CUSTOM[field["field_type"]]))
    return ("_" + words if words[:1].isdigit() else words)[: length - longest].rstrip("_")


# Values


def text(value: Any) -> str | None:
    """Text; an empty one is nothing, and NUL, which Postgres cannot hold, becomes U+FFFD."""
    return None if value in (None, "") else str(value).replace("\x00", "\ufffd")


def whole(value: Any) -> int | None:
    """A whole number; v1 gives some as text."""
    return None if value in (None, "") else int(value)


def digits(value: Any) -> str | None:
    """A number, digit by digit."""
    return None if value in (None, "") else format(Decimal(str(value)), "f")


def flag(value: Any) -> bool | None:
    """A truth value; v1 gives some as a number."""
    assert value in (None, True, False)
    return None if value is None else bool(value)


def moment(value: str | None) -> datetime | None:
    """A moment in UTC, without its zone, as target-postgres stores it."""
    return datetime.fromisoformat(value).astimezone(UTC).replace(tzinfo=None) if value else None


def day(value: str | None) -> date | None:
    """A date; a zero date is nothing."""
    return date.fromisoformat(value) if value and not value.startswith("0000") else None


def clock(value: str | None) -> str | None:
    """Hours, minutes and seconds; the API leaves out the seconds at times."""
    return str(time.fromisoformat(value)) if value else None


def document(value: Any) -> str:
    """JSON in one canonical text, in which 1, 1.0, "1" and true differ; nothing is JSON's null, not SQL's."""
    return json.dumps(
        value, ensure_ascii=False, sort_keys=True, default=lambda number: {"number": digits(number)}
    )


CONVERT: dict[str, Callable[[Any], Any]] = {
    "text": text,
    "bigint": whole,
    "numeric": digits,
    "boolean": flag,
    "date": day,
    "jsonb": document,
    CLOCK: clock,
    TIMESTAMP: moment,
}
"""From a value of the API to that of a column, by the column's kind."""
