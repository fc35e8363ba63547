"""The sandbox's answers against the schemas in Pipedrive's own OpenAPI documents.

Real answers differ from them here and there, and so does the sandbox: DEVIATIONS says where, and how it is known.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from openapi_schema_validator import OAS30Validator
from pipedrive_sandbox.api.endpoint import Endpoint
from pipedrive_sandbox.api.endpoints import ENDPOINTS
from pipedrive_sandbox.api.params import STATUSES
from pipedrive_sandbox.records.model import PARENTS
from pipedrive_sandbox.testing import Sandbox

from ..api import documented
from ..api.documented import Schema, properties


class Finding(NamedTuple):
    """Something in an answer that the document does not foresee."""

    place: str
    """Path in the answer's data, without list positions, e.g. `location/country`."""
    what: str
    """`null`, `object` ...: a value of that kind where the schema has another; `new`: a new key."""


class Deviation(NamedTuple):
    """A difference that is meant, where it may occur, and the source."""

    endpoint: str
    places: str
    what: str
    source: str


KINDS = {type(None): "null", dict: "object"}

DEVIATIONS = [
    Deviation(
        "/api/v1/deals/summary",
        "values_total/[A-Z]{3}",
        "new",
        "example of GET /api/v1/deals/summary, which has an object for each currency",
    ),
    Deviation(
        "/api/v2/.*|/api/v1/.*/(participantsC|c)hangelog",
        "next_cursor",
        "null",
        "Pipedrive's page on pagination: null on the last page",
    ),
    Deviation(
        "/api/v2/.*",
        "update_time",
        "null",
        "example of GET /api/v2/stages; other taps' reports of rows without update_time",
    ),
    Deviation(
        "/api/v2/deals.*",
        "org_id|person_id|stage_change_time|won_time|lost_time|expected_close_date",
        "null",
        "unset links and times are null in v2 according to the v2 migration guide",
    ),
    Deviation(
        "/api/v2/deals.*",
        "creator_user_id|archive_time|local_(won|lost|close)_date",
        "new",
        "the example of GET /api/v2/deals has them, its schema does not",
    ),
    Deviation(
        "/api/v2/deals.*",
        "lost_reason",
        "object",
        "seen on a real account: an option {id, label} instead of its text",
    ),
    Deviation(
        "/api/v2/deals/products",
        "product_id|name",
        "null",
        "Pipedrive's changelog on permanent deletion: line items of a purged product",
    ),
    Deviation(
        "/api/v2/(deals|persons|organizations).*",
        "(.*_)?(open|closed|won|lost)_deals_count|.*_activit(y_id|ies_count)|activities_count"
        "|(files|notes|followers|products|participants|people|email_messages)_count|first_won_time"
        "|last_(incoming|outgoing)_mail_time|smart_bcc_email|marketing_status|doi_status",
        "new",
        "the parameter include_fields names them, the schema of the answer does not",
    ),
    Deviation(
        "/api/v2/persons.*",
        "last_name|org_id|picture_id|postal_address|notes|birthday|job_title",
        "null",
        "unset values are null in v2 according to the v2 migration guide",
    ),
    Deviation(
        "/api/v2/(persons|organizations|activities).*",
        "(postal_address|address|location)(/(sublocality|admin_area_level_2))?",
        "null",
        "addresses are unset as a whole or in part; real address objects carry nulls",
    ),
    Deviation(
        "/api/v2/(persons|organizations|activities).*",
        "(postal_address|address|location)/formatted_address",
        "new",
        "the example of GET /api/v2/activityFields lists it as a part of addresses",
    ),
    Deviation(
        "/api/v2/activities.*",
        "deal_id|lead_id|org_id|person_id|project_id|due_time|duration|marked_as_done_time|note"
        "|priority|public_description|conference_meeting_(client|url|id)|attendees/(user|person)_id",
        "null",
        "unset links, times and texts are null in v2 according to the v2 migration guide",
    ),
    Deviation(
        "/api/v2/activities.*",
        "outcome",
        "new",
        "the official client has the key since September 2026, newer than the document",
    ),
    Deviation("/api/v2/products.*", "description", "null", "unset texts are null in v2"),
    Deviation(
        "/api/v2/(person|organization|product|activity|project)Fields.*",
        "description",
        "new",
        "the examples of the field endpoints have it, only the schema of deal fields does",
    ),
    Deviation(
        "/api/v1/leadFields",
        "parent_id|id_suffix",
        "new",
        "subfields are rows of their own in v1, pointing at their field",
    ),
    Deviation(
        "/api/v1/notes(/{id})?",
        "deal|person|organization|(deal|lead|person|org|project|task|last_update_user)_id|user/icon_url",
        "null",
        "a note is attached to one thing; v1 gives null for the others",
    ),
    Deviation(
        "/api/v1/notes(/{id})?",
        "pinned_to_lead_flag",
        "new",
        "the example of GET /v1/notes has it, its schema does not",
    ),
    Deviation("/api/v2/projects.*", "end_date", "null", "unset dates are null in v2"),
    Deviation(
        "/api/v1/deals/{id}/participants",
        "added_by_user_id/.*|person/participant_(open|closed)_deals_count",
        "new",
        "the example has them; its schema nests an answer of GET /v1/users under added_by_user_id",
    ),
    Deviation(
        "/api/v1/organizationRelationships",
        "rel_(owner|linked)_org_id/active_flag",
        "new",
        "the example has it, the schema does not",
    ),
    Deviation("/api/v1/files", "file_type|log_id", "new", "the example has them, the schema does not"),
    Deviation(
        "/api/v1/files",
        "(activity|deal|lead|org|person|product|project)_id",
        "null",
        "a file belongs to one thing and what that belongs to; v1 gives null for the others",
    ),
    Deviation(
        "/api/v1/mailbox/mailThreads",
        "parties/(from|to)/linked_person_id",
        "null",
        "a party need not be a person of the account, as linked_organization_id in the example",
    ),
    Deviation(
        "/api/v1/mailbox/mailThreads/{id}/mailMessages",
        "(from|to)/linked_person_id",
        "null",
        "as in threads",
    ),
    Deviation(
        "/api/v1/mailbox/mailThreads/{id}/mailMessages",
        "draft_flag",
        "new",
        "the example has it, the schema does not",
    ),
    Deviation(
        "/api/v1/goals/find",
        "goals/type/params/pipeline_id",
        "null",
        "the parameter type.params.pipeline_id: null stands for all pipelines",
    ),
    Deviation(
        "/api/v1/goals/find",
        "goals/duration/end",
        "null",
        "POST /v1/goals takes null for a goal without an end",
    ),
]


@pytest.fixture(scope="module")
def findings(shared: Sandbox) -> dict[str, set[Finding]]:
    return {endpoint.path: set(compare(endpoint, sample(shared, endpoint))) for endpoint in ENDPOINTS}


def sample(sandbox: Sandbox, endpoint: Endpoint) -> Any:
    """Return an answer of the endpoint with as much in it as there can be."""
    params: dict[str, Any] = {}
    if endpoint.include:
        params["include_fields"] = ",".join(endpoint.include)
    if endpoint.paging != "none":
        params["limit"] = str(endpoint.most)
    if "status" in endpoint.params:
        params["status"] = ",".join(STATUSES[endpoint.entity])
    for name in endpoint.required:
        params[name] = REQUIRED[name](sandbox, endpoint)
    params |= FURTHER.get(endpoint.path, {})
    path = endpoint.path
    if "{id}" in path:
        path = path.replace("{id}", str(fullest(sandbox, endpoint)))
    if "{field_code}" in path:
        truth = "project_fields" if endpoint.entity == "project" else "fields"
        fields = [row for row in sandbox.truth(truth) if row["entity"] == endpoint.entity]
        path = path.replace("{field_code}", fields[-1]["field_code"])
    reply = sandbox.api(path, **params)
    assert reply.status == 200, reply.text
    body = json.loads(reply.text)
    assert body["data"]
    return body


REQUIRED: dict[str, Callable[[Sandbox, Endpoint], Any]] = {
    "deal_ids": lambda sandbox, endpoint: ",".join(
        map(str, sorted({row["deal_id"] for row in sandbox.truth(endpoint.entity)})[-100:])
    ),
    "board_id": lambda sandbox, endpoint: 1,
    "folder": lambda sandbox, endpoint: "inbox",
    "org_id": lambda sandbox, endpoint: sandbox.truth(endpoint.entity)[0]["rel_owner_org_id"],
}
FURTHER = {
    "/api/v1/goals/find": {"type.name": "activities_added"},
    "/api/v1/deals/{id}/flow": {"all_changes": "1"},
    "/api/v1/filters/{id}": {"include_field_code": "true"},
}


def fullest(sandbox: Sandbox, endpoint: Endpoint) -> Any:
    """Return the id of the record with the most to say."""
    if endpoint.path.endswith("participantsChangelog"):
        rows, key = sandbox.truth("deal_participant_changes"), "deal_id"
    elif endpoint.path.endswith(("changelog", "flow")):
        rows = sandbox.truth(f"{endpoint.entity.removesuffix('s')}_changes")
        key = "org_id" if endpoint.entity == "organizations" else f"{endpoint.entity.removesuffix('s')}_id"
    elif endpoint.entity == "permission_sets":
        rows, key = sandbox.truth("permission_set_assignments"), "permission_set_id"
    elif endpoint.entity in PARENTS:
        rows, key = sandbox.truth(endpoint.entity), PARENTS[endpoint.entity][1]
        if endpoint.own:
            me = sandbox.api("/v1/users/me").granted()["data"]["id"]
            rows = [row for row in rows if row["user_id"] == me]
    elif endpoint.entity == "leads":
        return sandbox.truth("leads")[0]["id"]
    else:
        return 1
    return Counter(row[key] for row in rows).most_common(1)[0][0]


def compare(endpoint: Endpoint, body: Any) -> Iterator[Finding]:
    """Yield what the document does not foresee in an answer."""
    schema = documented.ENDPOINTS[endpoint.path]["answer"]
    for error in OAS30Validator(schema).iter_errors(body):
        place = "/".join(part for part in error.absolute_path if isinstance(part, str))
        what = KINDS.get(type(error.instance), error.message) if error.validator == "type" else error.message
        yield Finding(re.sub("^(data|additional_data)/", "", place), what)
    foreseen = properties(schema)["data"]
    rows = body["data"] if isinstance(body["data"], list) else [body["data"]]
    yield from unforeseen_keys(foreseen.get("items", foreseen), rows)


def unforeseen_keys(schema: Schema, rows: list[Any], above: str = "") -> Iterator[Finding]:
    """Yield the keys of rows, and of objects in them, that the schema lacks."""
    known = properties(schema)
    for row in rows:
        for key, value in row.items():
            if re.match("[0-9a-f]{40}", key):
                continue  # a custom field of a lead
            if key not in known:
                yield Finding(above + key, "new")
                continue
            inner = known[key]
            if isinstance(value, dict) and properties(inner):
                yield from unforeseen_keys(inner, [value], f"{above}{key}/")
            elif isinstance(value, list) and "items" in inner and properties(inner["items"]):
                yield from unforeseen_keys(inner["items"], value, f"{above}{key}/")


def excuses(deviation: Deviation, path: str, finding: Finding) -> bool:
    return bool(
        re.fullmatch(deviation.endpoint, path)
        and re.fullmatch(deviation.places, finding.place)
        and deviation.what == finding.what
    )


@pytest.mark.parametrize("path", [endpoint.path for endpoint in ENDPOINTS])
def test_answers_fit_the_document(findings: dict[str, set[Finding]], path: str) -> None:
    unexcused = [
        finding
        for finding in sorted(findings[path])
        if not any(excuses(deviation, path, finding) for deviation in DEVIATIONS)
    ]
    assert not unexcused


@pytest.mark.parametrize("deviation", DEVIATIONS, ids=lambda deviation: deviation.places[:40])
def test_every_deviation_listed_is_one(findings: dict[str, set[Finding]], deviation: Deviation) -> None:
    assert any(excuses(deviation, path, finding) for path in findings for finding in findings[path])
