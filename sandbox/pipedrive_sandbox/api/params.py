"""Query parameters: their valid values, and the rows that they select."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from pipedrive_sandbox.api.endpoint import Call
from pipedrive_sandbox.api.paging import DEFAULT_LIMIT
from pipedrive_sandbox.records.model import GOAL_TYPES, Record, Test
from pipedrive_sandbox.records.refusals import invalid, not_found

MAX_IDS = 100
MAX_CUSTOM_FIELDS = 15
STATUSES = {
    "deals": ("open", "won", "lost", "deleted"),
    "projects": ("open", "completed", "canceled", "deleted"),
}
"""Statuses by entity; deleted rows are listed only if `status` names them."""
FILTER_TYPES = {
    "deals": "deals",
    "persons": "people",
    "organizations": "org",
    "products": "products",
    "activities": "activity",
    "leads": "leads",
    "projects": "projects",
}
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)")


def integer(name: str, text: str) -> int:
    """Read a whole number."""
    if not re.fullmatch(r"-?\d{1,18}", text, re.ASCII):
        raise invalid(f"{name} is not an integer")
    return int(text)


def natural(name: str, text: str) -> int:
    """Read an offset."""
    number = integer(name, text)
    if number < 0:
        raise invalid(f"{name} must not be negative")
    return number


def id_list(name: str, text: str) -> frozenset[int]:
    """Read up to 100 comma-separated ids."""
    numbers = frozenset(integer(name, part) for part in text.split(","))
    if len(numbers) > MAX_IDS:
        raise invalid(f"{name} accepts at most {MAX_IDS} ids")
    return numbers


def boolean(name: str, text: str) -> bool:
    """Read `true` or `false`; nothing else is a boolean."""
    if text not in ("true", "false"):
        raise invalid(f"{name} must be true or false")
    return text == "true"


def flag(name: str, text: str) -> bool:
    """Read v1's 0 or 1."""
    if text not in ("0", "1"):
        raise invalid(f"{name} must be 0 or 1")
    return text == "1"


def moment(name: str, text: str) -> str:
    """Parse an RFC 3339 time of whole seconds, and return it in UTC without zone for comparisons."""
    try:
        if not MOMENT.fullmatch(text):
            raise ValueError(text)
        return datetime.fromisoformat(text).astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds")
    except (ValueError, OverflowError):
        raise invalid(f"{name} is not a valid datetime") from None


def date(name: str, text: str) -> str:
    """Read a date `YYYY-MM-DD`."""
    try:
        return datetime.strptime(text, "%Y-%m-%d").date().isoformat()  # noqa: DTZ007
    except ValueError:
        raise invalid(f"{name} is not a valid date") from None


def words(name: str, text: str) -> frozenset[str]:
    """Read a comma-separated list."""
    found = frozenset(text.split(","))
    if "" in found:
        raise invalid(f"{name} is not allowed to be empty")
    return found


def one_of(*allowed: str) -> Callable[[str, str], str]:
    """Return a check for one of the allowed words."""

    def check(name: str, text: str) -> str:
        if text not in allowed:
            raise invalid(f"{name} must be one of {', '.join(allowed)}")
        return text

    return check


def some_of(*allowed: str) -> Callable[[str, str], frozenset[str]]:
    """Return a check for a comma-separated list of allowed words."""

    def check(name: str, text: str) -> frozenset[str]:
        found = words(name, text)
        if not found <= frozenset(allowed):
            raise invalid(f"{name} accepts only {', '.join(allowed)}")
        return found

    return check


def custom_field_keys(name: str, text: str) -> frozenset[str]:
    """Read up to 15 keys of custom fields."""
    found = words(name, text)
    if len(found) > MAX_CUSTOM_FIELDS:
        raise invalid(f"{name} accepts at most {MAX_CUSTOM_FIELDS} keys")
    return found


def text_of(name: str, text: str) -> str:
    """Accept any text that is not empty."""
    if not text:
        raise invalid(f"{name} is not allowed to be empty")
    return text


def null_or_integer(name: str, text: str) -> int | None:
    """Read an id, or `null` for none."""
    return None if text == "null" else integer(name, text)


CHECKS: dict[str, Callable[[str, str], Any]] = {
    "cursor": text_of,
    "start": natural,
    "sort_direction": one_of("asc", "desc"),
    "custom_fields": custom_field_keys,
    "include_option_labels": boolean,
    "include_labels": boolean,
    "filter_id": integer,
    "ids": id_list,
    "deal_ids": id_list,
    "owner_id": integer,
    "user_id": integer,
    "person_id": integer,
    "org_id": integer,
    "organization_id": integer,
    "deal_id": integer,
    "lead_id": text_of,
    "project_id": integer,
    "task_id": integer,
    "pipeline_id": integer,
    "stage_id": integer,
    "board_id": integer,
    "phase_id": integer,
    "assignee_id": integer,
    "parent_task_id": null_or_integer,
    "is_done": boolean,
    "is_milestone": boolean,
    "include_field_code": boolean,
    "folder": one_of("inbox", "drafts", "sent", "archive"),
    "app": text_of,
    "items": words,
    "all_changes": flag,
    "title": text_of,
    "type.name": one_of(*GOAL_TYPES),
    "assignee.id": integer,
    "assignee.type": one_of("person", "company", "team"),
    "is_active": boolean,
    "period.start": date,
    "period.end": date,
    "done": boolean,
    "updated_since": moment,
    "updated_until": moment,
    "start_date": date,
    "end_date": date,
    "term": text_of,
    "type": one_of(*FILTER_TYPES.values()),
}


def _limit(most: int) -> Callable[[str, str], int]:
    """Return a check for a page size."""

    def check(name: str, text: str) -> int:
        number = integer(name, text)
        if not 1 <= number <= most:
            raise invalid(f"{name} must be between 1 and {most}")
        return number

    return check


def _check_of(call: Call, name: str) -> Callable[[str, str], Any]:
    if name == "sort_by":
        return one_of(*call.endpoint.sort)
    if name == "include_fields":
        return some_of(*call.endpoint.include)
    if name == "status":
        return some_of(*STATUSES[call.endpoint.entity])
    if name == "limit":
        return _limit(call.endpoint.most)
    return flag if name.startswith("pinned_to_") else CHECKS[name]


def accepted(call: Call) -> set[str]:
    """Return the names of the parameters that the endpoint accepts."""
    names = set(call.endpoint.params)
    if call.endpoint.paging == "cursor":
        names |= {"cursor", "limit"}
        if call.endpoint.sort:
            names |= {"sort_by", "sort_direction"}
    elif call.endpoint.paging != "none":
        names |= {"start", "limit"}
        if call.endpoint.sort:
            names.add("sort")
    if call.endpoint.include:
        names.add("include_fields")
    return names


def read(call: Call) -> Record:
    """Return the checked values of the parameters, always with `limit`. Raises Refusal (400)."""
    names = accepted(call)
    given = set(call.query) - {"api_token"}
    if call.endpoint.strict and (unknown := sorted(given - names)):
        raise invalid(f"{unknown[0]} is not allowed")
    if missing := [name for name in call.endpoint.required if name not in given]:
        raise invalid(f"{missing[0]} is required")
    values = {
        name: _check_of(call, name)(name, call.query[name]) for name in sorted(given & names - {"sort"})
    }
    if "sort" in given & names:
        values["sort"] = _sort(call, call.query["sort"])
    return {"limit": min(DEFAULT_LIMIT, call.endpoint.most)} | values


def _sort(call: Call, text: str) -> list[tuple[str, bool]]:
    """Read v1's `field_a ASC, field_b DESC` as (field, descending) pairs."""
    order = []
    for part in text.split(","):
        field, _, direction = part.strip().partition(" ")
        if field not in call.endpoint.sort or direction.upper() not in ("", "ASC", "DESC"):
            raise invalid(f"sort accepts only {', '.join(call.endpoint.sort)}, each ASC or DESC")
        order.append((field, direction.upper() == "DESC"))
    return order


def _updated_since(since: str) -> Test:
    return lambda row: row["update_time"] is not None and row["update_time"] >= since


def _updated_until(until: str) -> Test:
    return lambda row: row["update_time"] is not None and row["update_time"] < until


def _term(term: str) -> Test:
    return lambda row: term.lower() in f"{row['name']} {row['code']}".lower()


SELECTS: dict[str, Callable[[Any], Test]] = {
    "ids": lambda ids: lambda row: row["id"] in ids,
    "deal_ids": lambda ids: lambda row: row["deal_id"] in ids,
    "status": lambda statuses: lambda row: row["status"] in statuses,
    "updated_since": _updated_since,
    "updated_until": _updated_until,
    "start_date": lambda start: lambda row: row["add_time"][:10] >= start,
    "end_date": lambda end: lambda row: row["add_time"][:10] <= end,
    "term": _term,
    "folder": lambda folder: lambda row: folder in row["folders"],
    "assignee_id": lambda user: lambda row: user in row["assignee_ids"],
    "projects deal_id": lambda deal: lambda row: deal in row["deal_ids"],
    "projects person_id": lambda person: lambda row: person in row["person_ids"],
    "projects org_id": lambda org: lambda row: org in row["org_ids"],
}
"""Parameters (of one entity) that select otherwise than by equality with the key of their name."""

SHAPING = {
    *("cursor", "limit", "start", "sort", "sort_by", "sort_direction", "filter_id"),
    *("include_fields", "custom_fields", "include_option_labels", "include_labels"),
    "include_field_code",
}
"""Parameters that select no rows."""


def selection(call: Call, values: Record) -> list[Test]:
    """Return the conditions on rows of the endpoint, the token and the filters.

    The conditions of a stored filter are not evaluated: `filter_id` must name a filter of the right type, and
    then disables the quick filters, as in Pipedrive.
    """
    entity, where = call.endpoint.entity, call.endpoint.where
    tests: list[Test] = [where] if where else []
    if call.endpoint.own:
        tests.append(lambda row: bool(row["user_id"] == call.viewer.user_id))
    if not call.viewer.sees_everything:
        tests.append(lambda row: call.viewer.sees(entity, row))
    chosen = {name: value for name, value in values.items() if name not in SHAPING}
    if "filter_id" in values:
        _demand_filter(call, values["filter_id"])
        chosen = {name: chosen[name] for name in chosen if name.startswith("updated_")}
    if entity in STATUSES and "status" not in chosen:
        tests.append(lambda row: bool(row["status"] != "deleted"))
    for name, value in chosen.items():
        if name == "deal_id" and entity == "persons":
            tests.append(_people_of_deal(call, value))
        elif select := SELECTS.get(f"{entity} {name}", SELECTS.get(name)):
            tests.append(select(value))
        else:
            tests.append(_equals(name, value))
    return tests


def _equals(name: str, value: Any) -> Test:
    return lambda row: bool(row[name] == value)


def _people_of_deal(call: Call, deal_id: int) -> Test:
    deal = call.account.table("deals").get(deal_id)
    people = {row["person_id"] for row in call.account.table("deal_participants").having("deal_id", deal_id)}
    return lambda row: row["id"] in people or bool(deal and row["id"] == deal["person_id"])


def _demand_filter(call: Call, filter_id: int) -> None:
    found = call.account.table("filters").get(filter_id)
    if found is None or found["type"] != FILTER_TYPES[call.endpoint.entity]:
        raise not_found("Filter was not found")
