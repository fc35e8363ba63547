"""`POST /crm/v3/objects/{object}/search`: filters, one sort, pages, and their limits.

https://developers.hubspot.com/docs/api-reference/2026-03/crm/search-the-crm
"""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Iterable
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from pipedrive_sandbox.account.clock import parse
from pipedrive_sandbox.hubspot.calls import Call, Refused, shown
from pipedrive_sandbox.hubspot.definitions import MODIFIED_BY, Json
from pipedrive_sandbox.hubspot.portal import Portal, Record, milliseconds

MOST_RESULTS = 10_000
PAGE = 200
MOST_CHARACTERS = 3_000
GROUPS, FILTERS = 5, 6

COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "EQ": operator.eq,
    "NEQ": operator.ne,
    "LT": operator.lt,
    "LTE": operator.le,
    "GT": operator.gt,
    "GTE": operator.ge,
}


def search(call: Call) -> Json:
    """Return a page of matching records; a change is found only after some time."""
    (kind,) = call.path
    body = call.object_given()
    if len(json.dumps(body)) > MOST_CHARACTERS:
        raise Refused(400, f"The request body has more than {MOST_CHARACTERS} characters")
    limit, after = _count(body, "limit", 10), _count(body, "after", 0)
    if not 0 <= limit <= PAGE:
        raise Refused(400, f"limit must be at most {PAGE}")
    if after + limit > MOST_RESULTS:
        raise Refused(400, f"Paging beyond {MOST_RESULTS} results is not supported")
    latest = call.portal.clock.now() - timedelta(seconds=call.search_lag)
    records = [
        record
        for record in call.portal.listed(kind)
        if record.values[MODIFIED_BY[kind]] <= milliseconds(latest)
        and _fits(call.portal, kind, record, body.get("filterGroups", []))
    ]
    for rule in _sorts(call.portal, kind, body):
        records.sort(
            key=lambda record: _key(call.portal, kind, record, rule["propertyName"]),
            reverse=rule.get("direction") == "DESCENDING",
        )
    page = records[after : after + limit]
    names = [str(name) for name in body.get("properties", [])]
    answer: Json = {
        "total": len(records),
        "results": [shown(call.portal, kind, record, names) for record in page],
    }
    if after + limit < len(records):
        answer["paging"] = {"next": {"after": str(after + limit)}}
    return answer


def _count(body: Json, name: str, default: int) -> int:
    text = str(body.get(name, default))
    if not text.isdecimal():
        raise Refused(400, f"Invalid value for {name}: {text}")
    return int(text)


def _sorts(portal: Portal, kind: str, body: Json) -> list[Json]:
    rules: list[Json] = body.get("sorts", [])
    if len(rules) > 1:
        raise Refused(400, "Only one sort is supported")
    for rule in rules:
        _check(portal, kind, rule.get("propertyName"))
    return rules


def _check(portal: Portal, kind: str, name: Any) -> None:
    if name not in portal.types[kind]:
        raise Refused(400, f'There was a problem with the request: property "{name}" does not exist')


def _fits(portal: Portal, kind: str, record: Record, groups: list[Json]) -> bool:
    if len(groups) > GROUPS or any(len(group["filters"]) > FILTERS for group in groups):
        raise Refused(400, f"At most {GROUPS} groups of {FILTERS} filters are supported")
    return not groups or any(
        all(_passes(portal, kind, record, each) for each in group["filters"]) for group in groups
    )


def _passes(portal: Portal, kind: str, record: Record, rule: Json) -> bool:
    name, how = rule.get("propertyName", ""), rule.get("operator")
    _check(portal, kind, name)
    own = _comparable(portal.types[kind][name], record.values.get(name))
    if how in ("HAS_PROPERTY", "NOT_HAS_PROPERTY"):
        return bool((own is None) == (how == "NOT_HAS_PROPERTY"))
    if how in ("IN", "NOT_IN"):
        wanted: Iterable[Any] = (_comparable(portal.types[kind][name], each) for each in rule["values"])
        return bool((own in set(wanted)) == (how == "IN"))
    if how == "BETWEEN":
        low, high = (_comparable(portal.types[kind][name], rule[end]) for end in ("value", "highValue"))
        return own is not None and bool(low <= own <= high)
    if how not in COMPARISONS:
        raise Refused(400, f"Unknown operator {how}")
    other = _comparable(portal.types[kind][name], rule.get("value"))
    return own is not None and COMPARISONS[how](own, other)


def _comparable(kind: str, value: Any) -> Any:
    """Return a value for comparison in filters: times as milliseconds, numbers as numbers, all else as text."""
    if value is None or value == "":
        return None
    if kind == "datetime":
        return int(value) if str(value).isdecimal() else milliseconds(parse(str(value)))
    if kind == "number":
        try:
            return Decimal(str(value))
        except InvalidOperation:
            return None
    return str(value)


def _key(portal: Portal, kind: str, record: Record, name: str) -> Any:
    value = _comparable(portal.types[kind][name], record.values.get(name))
    return (value is not None, value if value is not None else 0)
