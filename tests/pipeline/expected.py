"""What the raw tables must hold, worked out from the account's truth and the documentation alone.

Nothing here comes from the tap: the columns are written down as a contract, the names of custom fields follow
the documented rules, and the values are what Pipedrive knows, in the types of the warehouse.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

from pipedrive_sandbox.testing import Sandbox

Row = dict[str, Any]
Key = tuple[Any, ...]

TIMESTAMP = "timestamp without time zone"
CLOCK = "HH:MM:SS"
"""A time of day or a duration, as text."""

COUNTS = (
    "activities_count done_activities_count undone_activities_count files_count notes_count followers_count"
    " email_messages_count next_activity_id last_activity_id"
)
DEAL_COUNTS = (
    "open_deals_count closed_deals_count won_deals_count lost_deals_count related_open_deals_count"
    " related_closed_deals_count related_won_deals_count related_lost_deals_count"
)

CONTRACT: dict[str, dict[str, str]] = {
    "users": {
        "bigint": "id lang role_id",
        "text": "name email phone default_currency locale timezone_name timezone_offset icon_url",
        "jsonb": "access",
        "boolean": "is_admin is_you is_deleted activated active_flag has_created_company",
        TIMESTAMP: "last_login created modified",
    },
    "pipelines": {
        "bigint": "id order_nr",
        "text": "name",
        "boolean": "is_deal_probability_enabled is_deleted",
        TIMESTAMP: "add_time update_time",
    },
    "stages": {
        "bigint": "id order_nr pipeline_id days_to_rotten",
        "text": "name",
        "numeric": "deal_probability",
        "boolean": "is_deal_rot_enabled is_deleted",
        TIMESTAMP: "add_time update_time",
    },
    "activity_types": {
        "bigint": "id order_nr",
        "text": "name key_string icon_key color",
        "boolean": "active_flag is_custom_flag",
        TIMESTAMP: "add_time update_time",
    },
    "currencies": {
        "bigint": "id decimal_points",
        "text": "code name symbol",
        "boolean": "active_flag is_custom_flag",
    },
    "lead_labels": {"text": "id name color", TIMESTAMP: "add_time update_time"},
    "fields": {
        "text": "entity field_code field_name field_type description column_name",
        "boolean": "is_custom_field is_optional_response_field",
        "jsonb": "subfields",
    },
    "field_options": {
        "text": "entity field_code option_id label color",
        TIMESTAMP: "add_time update_time",
    },
    "organizations": {
        "bigint": f"id owner_id industry employee_count visible_to people_count {COUNTS} {DEAL_COUNTS}",
        "text": "name website linkedin smart_bcc_email",
        "numeric": "annual_revenue",
        "jsonb": "address label_ids",
        "boolean": "is_deleted",
        TIMESTAMP: "add_time update_time",
    },
    "persons": {
        "bigint": f"id owner_id org_id picture_id visible_to {COUNTS} {DEAL_COUNTS}"
        " participant_open_deals_count participant_closed_deals_count",
        "text": "name first_name last_name primary_email primary_phone job_title notes smart_bcc_email",
        "jsonb": "emails phones im postal_address label_ids",
        "boolean": "is_deleted",
        "date": "birthday",
        TIMESTAMP: "add_time update_time last_incoming_mail_time last_outgoing_mail_time",
    },
    "products": {
        "bigint": "id owner_id visible_to billing_frequency_cycles",
        "text": "name code description unit category billing_frequency",
        "numeric": "tax",
        "boolean": "is_linkable is_deleted",
        "jsonb": "prices",
        TIMESTAMP: "add_time update_time",
    },
    "deals": {
        "bigint": "id owner_id creator_user_id person_id org_id pipeline_id stage_id lost_reason_id channel"
        f" visible_to products_count participants_count {COUNTS}",
        "text": "title status currency lost_reason origin origin_id channel_id source_lead_id smart_bcc_email",
        "numeric": "value probability arr mrr acv",
        "jsonb": "label_ids",
        "boolean": "is_archived is_deleted",
        "date": "expected_close_date local_won_date local_lost_date local_close_date",
        TIMESTAMP: "add_time update_time stage_change_time close_time won_time first_won_time lost_time"
        " archive_time last_incoming_mail_time last_outgoing_mail_time",
    },
    "leads": {
        "bigint": "owner_id creator_id person_id organization_id channel source_deal_id visible_to"
        " next_activity_id",
        "text": "id title currency source_name origin origin_id channel_id cc_email",
        "numeric": "value",
        "jsonb": "label_ids",
        "boolean": "is_archived was_seen",
        "date": "expected_close_date",
        TIMESTAMP: "add_time update_time",
    },
    "activities": {
        "bigint": "id owner_id creator_user_id deal_id person_id org_id project_id priority outcome",
        "text": "subject type lead_id note public_description conference_meeting_client"
        " conference_meeting_url conference_meeting_id",
        "boolean": "done busy is_deleted",
        "jsonb": "location participants attendees",
        "date": "due_date",
        CLOCK: "due_time duration",
        TIMESTAMP: "add_time update_time marked_as_done_time",
    },
    "notes": {
        "bigint": "id deal_id person_id org_id project_id task_id user_id last_update_user_id",
        "text": "content lead_id",
        "boolean": "active_flag pinned_to_deal_flag pinned_to_lead_flag pinned_to_person_flag"
        " pinned_to_organization_flag pinned_to_project_flag pinned_to_task_flag",
        TIMESTAMP: "add_time update_time",
    },
    "rejected_values": {"text": "stream record_id field value error", TIMESTAMP: "seen_at"},
}
"""Built-in columns of every raw table, by kind: the type in Postgres, or CLOCK."""

KEYS = {
    "fields": ("entity", "field_code"),
    "field_options": ("entity", "field_code", "option_id"),
    "rejected_values": ("stream", "record_id", "field"),
}
"""Primary keys other than `id`."""

NOT_LOADED = {
    "persons": {"marketing_status", "doi_status"},  # need an add-on
    "fields": {"options", "ui_visibility", "important_fields", "required_fields"},  # options: own table
    "field_options": {"id"},  # as text in option_id
}
"""Keys of the truth that have no column of their name."""

INCREMENTAL = ("organizations", "persons", "products", "deals", "leads", "activities", "notes")

FIELDS_OF = {
    "organizations": "organization",
    "persons": "person",
    "products": "product",
    "deals": "deal",
    "leads": "deal",
}

ADDRESS = (
    "street_number",
    "route",
    "sublocality",
    "subpremise",
    "locality",
    "admin_area_level_1",
    "admin_area_level_2",
    "country",
    "postal_code",
    "formatted_address",
)

CUSTOM: dict[str, dict[str, str]] = {
    "double": {"": "numeric"},
    "monetary": {"": "numeric", "_currency": "text"},
    "enum": {"": "text", "_id": "bigint"},
    "set": {"": "jsonb", "_ids": "jsonb"},
    "user": {"": "bigint"},
    "org": {"": "bigint"},
    "people": {"": "bigint"},
    "date": {"": "date"},
    "daterange": {"": "date", "_until": "date"},
    "time": {"": CLOCK, "_timezone": "text"},
    "timerange": {"": CLOCK, "_until": CLOCK, "_timezone": "text"},
    "address": {"": "text", **{f"_{part}": "text" for part in ADDRESS}},
    "varchar": {"": "text"},
    "varchar_auto": {"": "text"},
    "text": {"": "text"},
    "phone": {"": "text"},
}
"""Suffix and kind of the columns of a custom field, by its type."""


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


def expected(sandbox: Sandbox, before: Expected | None = None) -> Expected:
    """The tables as a load of everything makes them; fields known `before` keep their column names."""
    definitions: dict[str, list[Row]] = {}
    for definition in sandbox.truth("fields"):
        if definition["is_custom_field"]:
            definitions.setdefault(definition["entity"], []).append(definition)
    names = {
        table: name_columns(
            definitions.get(entity, []), set(built_in(table)), before.names[table] if before else {}
        )
        for table, entity in FIELDS_OF.items()
    }
    tables = {}
    for table in CONTRACT:
        fields = definitions.get(FIELDS_OF.get(table, ""), [])
        columns = built_in(table)
        if table in FIELDS_OF:
            columns |= custom_columns(fields, names[table]) | {"custom_fields_overflow": "jsonb"}
        rows = {}
        for record in records(sandbox, table, names):
            left_out = record.keys() - columns.keys() - NOT_LOADED.get(table, set()) - {"custom_fields"}
            assert not left_out, f"{table}: keys without a column: {left_out}"
            raw = dict(record)
            for field in fields:
                value = record["custom_fields"].get(field["field_code"])
                for suffix, cell in cells(field, value, is_v1=table == "leads").items():
                    raw[names[table][field["field_code"]] + suffix] = cell
            row = {name: CONVERT[kind](raw.get(name)) for name, kind in columns.items()}
            rows[tuple(row[part] for part in KEYS.get(table, ("id",)))] = row
        types = {name: "text" if kind == CLOCK else kind for name, kind in columns.items()}
        tables[table] = Table(types, rows)
    return Expected(tables, names)


def after_run(before: Expected, now: Expected, since: datetime) -> Expected:
    """The tables after an incremental run that asks for what changed since a moment (UTC, without zone).

    Small tables are read whole. Rows that no listing shows any more stay as they were, and so do the columns of
    deleted fields, and rows that changed without a new `update_time`.
    """
    tables = {}
    for name, table in now.tables.items():
        columns = before[name].columns | table.columns
        empty = dict.fromkeys(columns)
        rows = {key: empty | row for key, row in before[name].rows.items()}
        for key, row in table.rows.items():
            if name not in INCREMENTAL or (row["update_time"] is not None and row["update_time"] >= since):
                rows[key] = rows.get(key, empty) | row
        tables[name] = Table(columns, rows)
    return Expected(tables, {name: before.names[name] | now.names[name] for name in now.names})


def built_in(table: str) -> dict[str, str]:
    """Kind by built-in column."""
    return {name: kind for kind, listed in CONTRACT[table].items() for name in listed.split()}


def custom_columns(fields: Iterable[Row], names: Mapping[str, str]) -> dict[str, str]:
    """Kind by column of some custom fields."""
    return {
        names[field["field_code"]] + suffix: kind
        for field in fields
        for suffix, kind in CUSTOM[field["field_type"]].items()
    }


def records(sandbox: Sandbox, table: str, names: Mapping[str, Mapping[str, str]]) -> Iterable[Row]:
    """The truth about a table's rows, with what its columns hold beside the API's keys."""
    if table == "rejected_values":
        return
    me = sandbox.api("/api/v1/users/me").granted()["data"]["id"] if table == "users" else None
    tables = {entity: table for table, entity in FIELDS_OF.items() if table != "leads"}
    for record in sandbox.truth(table):
        match table:
            case "users":
                yield record | {"is_you": record["id"] == me}
            case "fields":
                columns = names.get(tables.get(record["entity"], ""), {})
                yield record | {"column_name": columns.get(record["field_code"])}
            case "field_options":
                yield record | {"option_id": record["id"]}
            case "persons":
                mail, phone = primary(record["emails"]), primary(record["phones"])
                yield record | {"primary_email": mail, "primary_phone": phone}
            case "deals" if isinstance(record["lost_reason"], dict):
                reason = record["lost_reason"]
                yield record | {"lost_reason": reason["label"], "lost_reason_id": reason["id"]}
            case "leads":
                money = record["value"] or {"amount": None, "currency": None}
                yield record | {"value": money["amount"], "currency": money["currency"]}
            case _:
                yield record


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
    taken = taken | {"custom_fields", "custom_fields_overflow"}
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
    folded = unicodedata.normalize("NFKD", field["field_name"]).encode("ascii", "ignore").decode().lower()
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
    """A truth value."""
    assert value is None or isinstance(value, bool)
    return value


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
