"""Rows in the format of API v1: older time format, stubs of related records, flat custom fields."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pipedrive_sandbox.api.endpoint import Call
from pipedrive_sandbox.records.flat import flatten
from pipedrive_sandbox.records.model import COMPANY_ID, IN_MILLISECONDS, Id, Record, Row

TIMES = ("add_time", "update_time", "last_used_time", "created", "modified", "last_login", "time")
_USER_KEYS = ("id", "name", "email", "active_flag")
_ORGANIZATION_KEYS = ("name", "people_count", "owner_id")
_PERSON_COUNTS = (
    *("open", "related_open", "closed", "related_closed", "participant_open", "participant_closed"),
    *("won", "related_won", "lost", "related_lost"),
)


def timed(row: Row) -> Record:
    """Return the row with its times as `YYYY-MM-DD HH:MM:SS`, still UTC."""
    times = {key: row[key] for key in TIMES if row.get(key)}
    return dict(row) | {key: time[:10] + " " + time[11:19] for key, time in times.items()}


def lead(call: Call, row: Row) -> Record:
    """Render a lead: times with milliseconds, custom fields at the root, unset ones left out."""
    flat = {key: value for key, value in row.items() if key != "custom_fields"}
    types = {field["field_code"]: field["field_type"] for field in call.account.fields_of("leads")}
    for key, value in row["custom_fields"].items():
        if value is not None:
            flat |= flatten(key, types[key], value)
    return flat


def note(call: Call, row: Row) -> Record:
    """Render a note with stubs of the records that it is attached to and of its author."""
    stubs = {
        "deal": ("deals", "deal_id", ("title",)),
        "person": ("persons", "person_id", ("name",)),
        "organization": ("organizations", "org_id", ("name",)),
        "user": ("users", "user_id", ("email", "icon_url", "name")),
    }
    shown = timed(row)
    for name, (entity, reference, keys) in stubs.items():
        other = call.account.table(entity).get(row[reference]) if row[reference] else None
        shown[name] = {key: other[key] for key in keys} if other else None
    if shown["user"]:
        shown["user"]["is_you"] = row["user_id"] == call.viewer.user_id
    return shown


def user(call: Call, row: Row) -> Record:
    """Render a user; `is_you` depends on the token."""
    return timed(row) | {"is_you": row["id"] == call.viewer.user_id}


def plain(_call: Call, row: Row) -> Record:
    """Render a row that is the same for every token."""
    return timed(row)


def verbatim(_call: Call, row: Row) -> Record:
    """Render a row whose times already have a zone."""
    return dict(row)


def file(call: Call, row: Row) -> Record:
    """Render a file with the names of the records it belongs to, or "" if there is none."""
    names = {
        "deal_name": ("deals", "deal_id", "title"),
        "person_name": ("persons", "person_id", "name"),
        "org_name": ("organizations", "org_id", "name"),
        "product_name": ("products", "product_id", "name"),
        "lead_name": ("leads", "lead_id", "title"),
        "project_name": ("projects", "project_id", "title"),
    }
    return timed(row) | {
        name: (_found(call, entity, row[reference]) or {}).get(key, "")
        for name, (entity, reference, key) in names.items()
    }


def comment(_call: Call, row: Row) -> Record:
    """Render a comment on a note; its key is called `uuid`."""
    kept = {key: value for key, value in row.items() if key not in ("id", "note_id")}
    about = {"object_id": str(row["note_id"]), "object_type": "note", "company_id": COMPANY_ID}
    return {"uuid": row["id"]} | kept | about


def call_log(_call: Call, row: Row) -> Record:
    """Render a call log; missing values are left out."""
    return {key: value for key, value in row.items() if value is not None} | {"company_id": COMPANY_ID}


def participant(call: Call, row: Row) -> Record:
    """Render a participant of a deal: the person twice, once as a stub and once nearly whole."""
    deal = call.account.get("deals", row["deal_id"])
    person = _found(call, "persons", row["person_id"])
    return {
        "id": row["id"],
        "person_id": person and person_stub(person) | {"value": person["id"]},
        "add_time": timed(row)["add_time"],
        "active_flag": row["active_flag"],
        "related_item_data": {"deal_id": deal["id"], "title": deal["title"]},
        "person": person and _person(call, person),
        "added_by_user_id": user_stub(call, row["added_by_user_id"]),
        "related_item_type": "deal",
        "related_item_id": deal["id"],
    }


def _found(call: Call, entity: str, id_: Id | None) -> Record | None:
    return None if id_ is None else call.account.table(entity).get(id_)


def user_stub(call: Call, id_: int) -> Record:
    """Return v1's stub of a user; `value` repeats the id."""
    found = call.account.get("users", id_)
    return {key: found[key] for key in _USER_KEYS} | {"has_pic": 0, "pic_hash": None, "value": id_}


def organization_stub(call: Call, id_: int) -> Record:
    """Return v1's stub of an organization; `value` is the id."""
    found = call.account.get("organizations", id_)
    return {
        **{key: found[key] for key in _ORGANIZATION_KEYS},
        "address": found["address"] and found["address"]["value"],
        "active_flag": not found["is_deleted"],
        "cc_email": found["smart_bcc_email"],
        "value": id_,
    }


def person_stub(row: Row) -> Record:
    """Return v1's stub of a person."""
    return {
        "active_flag": not row["is_deleted"],
        "name": row["name"],
        "email": row["emails"],
        "phone": row["phones"],
        "owner_id": row["owner_id"],
        "company_id": COMPANY_ID,
    }


def _person(call: Call, row: Row) -> Record:
    """Return a person nearly as the v1 list of persons returned it."""
    owner = user_stub(call, row["owner_id"])
    org = organization_stub(call, row["org_id"]) if _found(call, "organizations", row["org_id"]) else None
    counts = [f"{kind}_deals_count" for kind in _PERSON_COUNTS]
    kept = ("id", "name", "first_name", "last_name", "next_activity_id", "last_activity_id", "label_ids")
    counted = ("email_messages", "activities", "done_activities", "undone_activities", "files", "notes")
    return {
        **person_stub(row),
        **{key: row[key] for key in (*kept, *counts, "followers_count")},
        **{f"{name}_count": row[f"{name}_count"] for name in counted},
        **{key: timed(row)[key] for key in ("add_time", "update_time")},
        "owner_id": owner,
        "owner_name": owner["name"],
        "org_id": org,
        "org_name": org and org["name"],
        "first_char": row["name"][:1].lower(),
        "visible_to": str(row["visible_to"]),
        "picture_id": None,
        "label": row["label_ids"][0] if row["label_ids"] else None,
        "cc_email": row["smart_bcc_email"],
        "last_incoming_mail_time": None,
        "last_outgoing_mail_time": None,
    }


RENDERERS: dict[str, Callable[[Call, Row], Record]] = {
    **dict.fromkeys(IN_MILLISECONDS, verbatim),
    "leads": lead,
    "notes": note,
    "users": user,
    "files": file,
    "note_comments": comment,
    "call_logs": call_log,
    "deal_participants": participant,
}


def rendered(call: Call, rows: Iterable[Row]) -> list[Record] | None:
    """Return rows in the format of the endpoint; v1 returns null if there are none."""
    render, shows = RENDERERS.get(call.endpoint.entity, plain), call.endpoint.shows
    found = [render(call, row) for row in rows]
    return [{key: row[key] for key in shows} for row in found] if shows and found else found or None
