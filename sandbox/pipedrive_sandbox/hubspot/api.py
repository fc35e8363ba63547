"""Answers of HubSpot's endpoints for companies, contacts and deals: CRM v3, and associations v4."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from multidict import MultiMapping

from pipedrive_sandbox.account.clock import parse
from pipedrive_sandbox.hubspot.calls import ONE, Call, Refused, batch, shown
from pipedrive_sandbox.hubspot.definitions import OWNERS, PIPELINES, SALES, STAGES, Json
from pipedrive_sandbox.hubspot.portal import Portal, Record, milliseconds
from pipedrive_sandbox.hubspot.search import search

LIST_PAGE, BATCH, ASSOCIATIONS_BATCH = 100, 100, 1000

OBJECTS_BY_ASSOCIATION = {3: "contacts", 5: "companies", 341: "companies", 1: "companies", 279: "companies"}
"""HubSpot's own types of associations, by the objects that they connect."""

ASSOCIATION_TYPES = {
    ("deals", "companies"): 341,
    ("deals", "contacts"): 3,
    ("companies", "deals"): 342,
    ("companies", "contacts"): 280,
    ("contacts", "deals"): 4,
    ("contacts", "companies"): 279,
}
PRIMARY_TYPES = {("deals", "companies"): 5, ("contacts", "companies"): 1}
"""https://developers.hubspot.com/docs/api-reference/latest/crm/associations/overview"""


# Records


def list_objects(call: Call) -> Json:
    """`GET /crm/v3/objects/{object}`: a page of records by id, either archived ones or the others."""
    (kind,) = call.path
    rows = call.portal.archived(kind) if call.flag("archived") else call.portal.listed(kind)
    limit, after = call.number("limit", 10, LIST_PAGE), call.number("after", 0, 10**18)
    behind = [record for record in rows if record.id > after]
    names, others = call.names("properties"), call.names("associations")
    page = behind[:limit]
    answer: Json = {"results": [shown(call.portal, kind, row, names, others) for row in page]}
    if len(behind) > limit:
        answer["paging"] = {"next": {"after": str(page[-1].id)}}
    return answer


def show_object(call: Call) -> Json:
    """`GET /crm/v3/objects/{object}/{id}`."""
    kind, record = call.found()
    return shown(call.portal, kind, record, call.names("properties"), call.names("associations"))


def read_objects(call: Call) -> Json:
    """`POST /crm/v3/objects/{object}/batch/read`; the id of a merged record returns the remaining one."""
    (kind,) = call.path
    is_archived = call.flag("archived")
    names = [str(name) for name in call.object_given().get("properties", [])]
    found: list[Json] = []
    lacking: list[str] = []
    for text in call.inputs(BATCH):
        record = call.portal.find(kind, int(text)) if text.isdecimal() else None
        if record and (record.archived_at is not None) == is_archived:
            found.append(shown(call.portal, kind, record, names))
        else:
            lacking.append(text)
    message = f"Could not get some {ONE[kind].upper()} objects, they may be deleted or not exist."
    return batch(found, [_not_found(message, {"ids": lacking})] if lacking else [])


def create_object(call: Call) -> Json:
    """`POST /crm/v3/objects/{object}`."""
    (kind,) = call.path
    values = _given(call, kind)
    others = {
        OBJECTS_BY_ASSOCIATION[each["types"][0]["associationTypeId"]]: [int(each["to"]["id"])]
        for each in call.body.get("associations", [])
    }
    return shown(call.portal, kind, call.portal.create(kind, values, others), [], others)


def update_object(call: Call) -> Json:
    """`PATCH /crm/v3/objects/{object}/{id}`."""
    kind, record = call.found()
    call.portal.update(kind, record, _given(call, kind))
    return shown(call.portal, kind, record, list(call.body["properties"]))


def archive_object(call: Call) -> None:
    """`DELETE /crm/v3/objects/{object}/{id}`."""
    call.portal.archive(*call.found())


def merge_objects(call: Call) -> Json:
    """`POST /crm/v3/objects/{object}/merge`."""
    (kind,) = call.path
    body = call.object_given()
    first, second = (_record(call, kind, body.get(name)) for name in ("primaryObjectId", "objectIdToMerge"))
    if first is second:
        raise Refused(400, "A record cannot be merged with itself")
    return shown(call.portal, kind, call.portal.merge(kind, first, second), [])


def _record(call: Call, kind: str, id_: Any) -> Record:
    return Call(call.portal, (kind, str(id_)), call.query).found()[1]


def _given(call: Call, kind: str) -> Json:
    """Return the properties in the body of a write. Raises Refused."""
    properties = call.object_given().get("properties")
    if not isinstance(properties, dict):
        raise Refused(400, "Invalid input JSON: properties are missing")
    if unknown := [name for name in properties if name not in call.portal.types[kind]]:
        raise Refused(400, f'Property values were not valid: "{unknown[0]}" does not exist')
    if properties.get("dealstage", SALES.stages[0].id) not in STAGES:
        raise Refused(400, f'Property values were not valid: "{properties["dealstage"]}" is no stage')
    return {name: _stored(call, kind, name, value) for name, value in properties.items()}


def _stored(call: Call, kind: str, name: str, value: Any) -> str | int:
    """Return a value as records store it; HubSpot accepts times in two forms."""
    text = "" if value is None else str(value)
    if call.portal.types[kind][name] != "datetime" or not text:
        return text
    return int(text) if text.isdecimal() else milliseconds(parse(text))


# Associations


def read_associations(call: Call) -> Json:
    """`POST /crm/v4/associations/{from}/{to}/batch/read`; a record without any is an error of the batch."""
    kind, other = call.path
    found: list[Json] = []
    errors: list[Json] = []
    for text in call.inputs(ASSOCIATIONS_BATCH):
        record = call.portal.records[kind].get(int(text)) if text.isdecimal() else None
        if record and (ids := record.associated.get(other)):
            to = [_association(kind, other, id_, is_primary=id_ == ids[0]) for id_ in sorted(ids)]
            found.append({"from": {"id": text}, "to": to})
        else:
            errors.append(
                _not_found(
                    f"No {ONE[other]} is associated with {ONE[kind]} {text}.",
                    {"fromObjectId": [text]},
                    subCategory="crm.associations.NO_ASSOCIATIONS_FOUND",
                )
            )
    return batch(found, errors)


def _association(kind: str, other: str, id_: int, *, is_primary: bool) -> Json:
    types = [{"category": "HUBSPOT_DEFINED", "typeId": ASSOCIATION_TYPES[kind, other], "label": None}]
    if is_primary and (primary := PRIMARY_TYPES.get((kind, other))):
        types.insert(0, {"category": "HUBSPOT_DEFINED", "typeId": primary, "label": "Primary"})
    return {"toObjectId": id_, "associationTypes": types}


def _not_found(message: str, context: Json, **more: str) -> Json:
    return {
        "status": "error",
        "category": "OBJECT_NOT_FOUND",
        "message": message,
        "context": context,
        **more,
    }


# Definitions of an account


def list_properties(call: Call) -> Json:
    """`GET /crm/v3/properties/{object}`."""
    return {"results": [each.shown() for each in call.portal.properties[call.path[0]]]}


def list_pipelines(call: Call) -> Json:
    """`GET /crm/v3/pipelines/deals`."""
    return {"results": [pipeline.shown(i) for i, pipeline in enumerate(PIPELINES)]}


def list_owners(call: Call) -> Json:
    """`GET /crm/v3/owners`."""
    is_archived = call.flag("archived")
    limit, after = call.number("limit", 100, 500), call.number("after", 0, 10**18)
    behind = [each for each in OWNERS if each.is_archived == is_archived and int(each.id) > after]
    answer: Json = {"results": [each.shown() for each in behind[:limit]]}
    if len(behind) > limit:
        answer["paging"] = {"next": {"after": behind[limit - 1].id}}
    return answer


OBJECT = "(companies|contacts|deals)"

ROUTES: tuple[tuple[str, re.Pattern[str], Callable[[Call], Any], tuple[str, ...]], ...] = tuple(
    (method, re.compile(path), answer, scopes)
    for method, path, answer, scopes in (
        ("GET", f"/crm/v3/objects/{OBJECT}", list_objects, ("crm.objects.{}.read",)),
        ("POST", f"/crm/v3/objects/{OBJECT}", create_object, ("crm.objects.{}.write",)),
        ("POST", f"/crm/v3/objects/{OBJECT}/search", search, ("crm.objects.{}.read",)),
        ("POST", f"/crm/v3/objects/{OBJECT}/batch/read", read_objects, ("crm.objects.{}.read",)),
        ("POST", f"/crm/v3/objects/{OBJECT}/merge", merge_objects, ("crm.objects.{}.write",)),
        ("GET", f"/crm/v3/objects/{OBJECT}/([^/]+)", show_object, ("crm.objects.{}.read",)),
        ("PATCH", f"/crm/v3/objects/{OBJECT}/([^/]+)", update_object, ("crm.objects.{}.write",)),
        ("DELETE", f"/crm/v3/objects/{OBJECT}/([^/]+)", archive_object, ("crm.objects.{}.write",)),
        (
            "POST",
            f"/crm/v4/associations/{OBJECT}/{OBJECT}/batch/read",
            read_associations,
            ("crm.objects.{}.read",),
        ),
        (
            "GET",
            f"/crm/v3/properties/{OBJECT}",
            list_properties,
            ("crm.schemas.{}.read", "crm.objects.{}.read"),
        ),
        (
            "GET",
            "/crm/v3/pipelines/deals",
            list_pipelines,
            ("crm.schemas.deals.read", "crm.objects.deals.read"),
        ),
        ("GET", "/crm/v3/owners/?", list_owners, ("crm.objects.owners.read",)),
    )
)
"""Method, path, function, and the scopes of which one is required; `{}` stands for each object in the path."""

SCOPES = (
    *(
        f"crm.{what}.{kind}.read"
        for what in ("objects", "schemas")
        for kind in ("companies", "contacts", "deals")
    ),
    *(f"crm.objects.{kind}.write" for kind in ("companies", "contacts", "deals")),
    "crm.objects.owners.read",
)


def answer(
    portal: Portal,
    method: str,
    path: str,
    query: MultiMapping[str],
    body: Any,
    *,
    granted: frozenset[str] = frozenset(SCOPES),
    search_lag: float = 0.0,
) -> Any:
    """Answer an authenticated request. Raises Refused."""
    for allowed, pattern, reply, scopes in ROUTES:
        if allowed == method and (found := pattern.fullmatch(path)):
            for kind in [each for each in found.groups() if each in ONE] or [""]:
                _check_scopes([scope.format(kind) for scope in scopes], granted)
            return reply(Call(portal, found.groups(), query, body, search_lag))
    raise Refused(404, f"Not found: {method} {path}", "OBJECT_NOT_FOUND")


def _check_scopes(wanted: list[str], granted: frozenset[str]) -> None:
    if granted.isdisjoint(wanted):
        raise Refused(
            403,
            "This app hasn't been granted all required scopes to make this call.",
            "MISSING_SCOPES",
            errors=[
                {
                    "message": "One or more of the following scopes are required.",
                    "context": {"requiredGranularScopes": wanted},
                }
            ],
        )
