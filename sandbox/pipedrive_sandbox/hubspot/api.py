"""What HubSpot's endpoints for companies, contacts and deals answer, older and newer ones."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from multidict import MultiMapping

from ..clock import parse
from .definitions import MODIFIED_BY, PIPELINES, PROPERTIES, SALES, STAGES, Json
from .portal import PORTAL_ID, TYPES, Portal, Record, as_text, as_time, milliseconds


class Refused(Exception):
    """An error that HubSpot answers, in its form."""

    def __init__(self, status: int, message: str, category: str = "VALIDATION_ERROR") -> None:
        super().__init__(message)
        self.status = status
        self.body = {
            "status": "error",
            "message": message,
            "correlationId": "5a1d0b0c-0000-4000-8000-000000000000",
            "category": category,
        }


@dataclass(frozen=True)
class Call:
    """A request that was let in."""

    portal: Portal
    path: tuple[str, ...]
    """What stands in the path's variables."""
    query: MultiMapping[str]
    body: Any = None

    def number(self, name: str, default: int, highest: int) -> int:
        """Read a page size or the like from the query."""
        text = self.query.get(name, str(default))
        if not text.isdecimal() or not 0 <= int(text) <= highest:
            raise Refused(400, f"Invalid value for {name}: {text} is not between 0 and {highest}")
        return int(text)

    def names(self, name: str) -> list[str]:
        """Read a list from the query, in any of its two forms: repeated or with commas."""
        return [each for text in self.query.getall(name, []) for each in text.split(",") if each]

    def found(self) -> tuple[str, Record]:
        """Return the object and the record in the path."""
        kind, text = self.path[0], self.path[-1]
        record = self.portal.records[kind].get(int(text)) if text.isdecimal() else None
        if record is None or record.is_archived:
            raise Refused(404, f"resource not found: {text}", "OBJECT_NOT_FOUND")
        return kind, record


# Newer endpoints


def list_objects(call: Call) -> Json:
    """`GET /crm/v3/objects/{object}`: a page of records by id."""
    (kind,) = call.path
    limit = call.number("limit", 10, 100)
    rows, more = _page(call.portal.listed(kind), call.number("after", 0, 10**18), limit)
    names, others = call.names("properties"), call.names("associations")
    answer: Json = {"results": [_object(kind, row, names, others) for row in rows]}
    if more:
        answer["paging"] = {"next": {"after": str(rows[-1].id)}}
    return answer


def create_object(call: Call) -> Json:
    """`POST /crm/v3/objects/{object}`."""
    (kind,) = call.path
    others = {
        OBJECTS_BY_ASSOCIATION[each["types"][0]["associationTypeId"]]: [int(each["to"]["id"])]
        for each in call.body.get("associations", [])
    }
    return _object(kind, call.portal.create(kind, _given(kind, call.body), others), [], others)


def update_object(call: Call) -> Json:
    """`PATCH /crm/v3/objects/{object}/{id}`."""
    kind, record = call.found()
    call.portal.update(kind, record, _given(kind, call.body))
    return _object(kind, record, list(call.body["properties"]), [])


def archive_object(call: Call) -> None:
    """`DELETE /crm/v3/objects/{object}/{id}`."""
    call.portal.archive(*call.found())


def list_properties(call: Call) -> Json:
    """`GET /crm/v3/properties/{object}`."""
    return {"results": [each.shown() for each in PROPERTIES[call.path[0]]]}


def no_scope(call: Call) -> Json:
    """Refuse what the app's token was not given."""
    message = "This app hasn't been granted all required scopes to make this call."
    raise Refused(403, message, "MISSING_SCOPES")


def no_custom_objects(call: Call) -> Json:
    """`GET /crm/v3/schemas`: the account has no objects of its own."""
    return {"results": []}


OBJECTS_BY_ASSOCIATION = {3: "contacts", 5: "companies", 341: "companies", 1: "companies", 279: "companies"}
"""What HubSpot's own types of associations lead to."""

DEFAULT_NAMES = {
    "companies": ("name", "domain"),
    "contacts": ("firstname", "lastname", "email"),
    "deals": ("dealname", "amount", "closedate", "pipeline", "dealstage"),
}


def _object(kind: str, record: Record, names: Sequence[str], others: Collection[str]) -> Json:
    modified = MODIFIED_BY[kind]
    shown = dict.fromkeys([*(names or DEFAULT_NAMES[kind]), "createdate", modified, "hs_object_id"])
    answer = {
        "id": str(record.id),
        "properties": {n: as_text(kind, n, record.values.get(n)) for n in shown if n in TYPES[kind]},
        "createdAt": as_time(record.values["createdate"]),
        "updatedAt": as_time(record.values[modified]),
        "archived": False,
    }
    if found := {other: record.associated[other] for other in others if record.associated.get(other)}:
        answer["associations"] = {
            other: {"results": [{"id": str(id_), "type": f"{ONE[kind]}_to_{ONE[other]}"} for id_ in ids]}
            for other, ids in found.items()
        }
    return answer


ONE = {"companies": "company", "contacts": "contact", "deals": "deal"}


def _given(kind: str, body: Any) -> Json:
    """Return the properties that the body of a write has. Raises Refused."""
    properties = body.get("properties") if isinstance(body, dict) else None
    if not isinstance(properties, dict):
        raise Refused(400, "Invalid input JSON: properties are missing")
    if unknown := [name for name in properties if name not in TYPES[kind]]:
        raise Refused(400, f'Property values were not valid: "{unknown[0]}" does not exist')
    if properties.get("dealstage", SALES.stages[0].id) not in STAGES:
        raise Refused(400, f'Property values were not valid: "{properties["dealstage"]}" is no stage')
    return {name: _stored(kind, name, value) for name, value in properties.items()}


def _stored(kind: str, name: str, value: Any) -> str | int:
    """Return a value as records hold it; HubSpot takes times in either of its forms."""
    text = "" if value is None else str(value)
    if TYPES[kind][name] != "datetime" or not text:
        return text
    return int(text) if text.isdecimal() else milliseconds(parse(text))


# Older endpoints


def list_companies(call: Call) -> Json:
    """`GET /companies/v2/companies/paged`."""
    rows, more = _page(
        call.portal.listed("companies"), call.number("offset", 0, 10**18), call.number("limit", 100, 250)
    )
    names = call.names("properties")
    return {
        "companies": [_old_company(row, names) for row in rows],
        "has-more": more,
        "offset": rows[-1].id if rows else 0,
    }


def show_company(call: Call) -> Json:
    """`GET /companies/v2/companies/{id}`: every property, with its versions."""
    _, record = Call(call.portal, ("companies", *call.path), call.query).found()
    return _old_company(record, record.values)


def _old_company(record: Record, names: Collection[str]) -> Json:
    return {
        "portalId": PORTAL_ID,
        "companyId": record.id,
        "isDeleted": False,
        "properties": _old_properties(record, names),
        "additionalDomains": [],
        "stateChanges": [],
        "mergeAudits": [],
    }


def list_deals(call: Call) -> Json:
    """`GET /deals/v1/deal/paged`."""
    rows, more = _page(
        call.portal.listed("deals"), call.number("offset", 0, 10**18), call.number("limit", 100, 250)
    )
    everything = call.query.get("includeAllProperties", "").lower() == "true"
    associations = call.query.get("includeAssociations", "").lower() == "true"
    names = call.names("properties")
    return {
        "deals": [_old_deal(row, row.values if everything else names, associations) for row in rows],
        "hasMore": more,
        "offset": rows[-1].id if rows else 0,
    }


def _old_deal(record: Record, names: Collection[str], associations: bool) -> Json:
    shown = record.associated if associations else {}
    return {
        "portalId": PORTAL_ID,
        "dealId": record.id,
        "isDeleted": False,
        "associations": {
            "associatedVids": shown.get("contacts", []),
            "associatedCompanyIds": shown.get("companies", []),
            "associatedDealIds": [],
            "associatedTicketIds": [],
        },
        "properties": _old_properties(record, names),
        "imports": [],
        "stateChanges": [],
    }


def _old_properties(record: Record, names: Collection[str]) -> Json:
    """Properties that have a value or had one, each with when and by what it was set."""
    shown = {}
    for name in names:
        if name in record.values:
            value, moment = str(record.values[name]), record.set_at[name]
            version = {"name": name, "value": value, "timestamp": moment, "source": "API", "sourceVid": []}
            shown[name] = {
                "value": value,
                "timestamp": moment,
                "source": "API",
                "sourceId": None,
                "versions": [version],
            }
    return shown


def list_old_properties(kind: str) -> Callable[[Call], list[Json]]:
    """Answers `GET /companies/v2/properties` and `GET /properties/v1/deals/properties`."""
    return lambda call: [each.shown() for each in PROPERTIES[kind]]


def list_pipelines(call: Call) -> list[Json]:
    """`GET /deals/v1/pipelines`."""
    return [pipeline.shown(i) for i, pipeline in enumerate(PIPELINES)]


def _page(records: list[Record], after: int, limit: int) -> tuple[list[Record], bool]:
    """Return the records behind an id, and whether there are more."""
    behind = [record for record in records if record.id > after]
    return behind[:limit], len(behind) > limit


OBJECT = "(companies|contacts|deals)"

ROUTES: tuple[tuple[str, re.Pattern[str], Callable[[Call], Any]], ...] = tuple(
    (method, re.compile(path), answer)
    for method, path, answer in (
        ("GET", f"/crm/v3/objects/{OBJECT}", list_objects),
        ("POST", f"/crm/v3/objects/{OBJECT}", create_object),
        ("PATCH", f"/crm/v3/objects/{OBJECT}/([^/]+)", update_object),
        ("DELETE", f"/crm/v3/objects/{OBJECT}/([^/]+)", archive_object),
        ("GET", f"/crm/v3/properties/{OBJECT}", list_properties),
        ("GET", "/crm/v3/properties/tickets", no_scope),
        ("GET", "/crm/v3/schemas", no_custom_objects),
        ("GET", "/companies/v2/properties", list_old_properties("companies")),
        ("GET", "/companies/v2/companies/paged", list_companies),
        ("GET", "/companies/v2/companies/([^/]+)", show_company),
        ("GET", "/properties/v1/deals/properties", list_old_properties("deals")),
        ("GET", "/deals/v1/deal/paged", list_deals),
        ("GET", "/deals/v1/pipelines", list_pipelines),
    )
)


def answer(portal: Portal, method: str, path: str, query: MultiMapping[str], body: Any) -> Any:
    """Answer a request that was let in. Raises Refused."""
    for allowed, pattern, reply in ROUTES:
        if allowed == method and (found := pattern.fullmatch(path)):
            return reply(Call(portal, found.groups(), query, body))
    raise Refused(404, f"Not found: {method} {path}", "OBJECT_NOT_FOUND")
