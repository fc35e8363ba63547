"""The HubSpot sandbox: answers of its endpoints, authentication and limits."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from pipedrive_sandbox.hubspot.definitions import LONG, MODIFIED_BY, OWNERS, PIPELINES, PROPERTIES
from pipedrive_sandbox.hubspot.generate import generate
from pipedrive_sandbox.hubspot.server import App, Limits
from pipedrive_sandbox.hubspot.testing import HubspotSandbox
from pipedrive_sandbox.testing import NOW

KINDS = list(PROPERTIES)


@pytest.fixture(scope="module")
def hubspot() -> Iterator[HubspotSandbox]:
    """An account that no test changes."""
    with HubspotSandbox(deals=230) as sandbox:
        yield sandbox


@pytest.fixture
def own() -> Iterator[HubspotSandbox]:
    """An account that belongs to one test only."""
    with HubspotSandbox(deals=60) as sandbox:
        yield sandbox


def pages(sandbox: HubspotSandbox, kind: str, **params: Any) -> list[list[dict[str, Any]]]:
    """Return all pages of a list."""
    found: list[list[dict[str, Any]]] = []
    after: dict[str, str] = {}
    while True:
        page = sandbox.get(f"/crm/v3/objects/{kind}", **params, **after)
        found.append(page["results"])
        if "paging" not in page:
            return found
        after = {"after": page["paging"]["next"]["after"]}


# Lists


@pytest.mark.parametrize("kind", KINDS)
def test_pages_contain_every_record_once(hubspot: HubspotSandbox, kind: str) -> None:
    found = pages(hubspot, kind, limit=9)
    rows = [row["id"] for page in found for row in page]
    assert rows == [row["id"] for row in hubspot.truth(kind)]
    assert {len(page) for page in found[:-1]} == {9}


def test_a_list_whose_last_page_is_full_ends_there(hubspot: HubspotSandbox) -> None:
    count = len(hubspot.truth("companies"))
    assert "paging" not in hubspot.get("/crm/v3/objects/companies", limit=count)
    assert "paging" in hubspot.get("/crm/v3/objects/companies", limit=count - 1)


@pytest.mark.parametrize("limit", ["101", "-1", "ten"])
def test_the_page_size_is_limited(hubspot: HubspotSandbox, limit: str) -> None:
    reply = hubspot.send("GET", f"/crm/v3/objects/contacts?limit={limit}")
    assert (reply.status, reply.json()["category"]) == (400, "VALIDATION_ERROR")


def test_a_record_has_the_requested_properties_and_three_more(hubspot: HubspotSandbox) -> None:
    row = hubspot.get("/crm/v3/objects/contacts", limit=1, properties="email,city,no_such")["results"][0]
    truth = hubspot.truth("contacts")[0]["properties"]
    expected = ("email", "city", "createdate", "lastmodifieddate", "hs_object_id")
    assert row["properties"] == {name: truth[name] for name in expected}
    assert (row["createdAt"], row["updatedAt"]) == (truth["createdate"], truth["lastmodifieddate"])
    assert row["archived"] is False
    assert "associations" not in row


def test_a_record_has_the_requested_associations(hubspot: HubspotSandbox) -> None:
    row = hubspot.get("/crm/v3/objects/contacts", limit=1, associations="tickets,companies,deals")["results"][
        0
    ]
    truth = hubspot.truth("contacts")[0]["associations"]
    assert row["associations"] == {
        "companies": {"results": [{"id": id_, "type": "contact_to_company"} for id_ in truth["companies"]]},
        "deals": {"results": [{"id": id_, "type": "contact_to_deal"} for id_ in truth["deals"]]},
    }


@pytest.mark.parametrize("kind", KINDS)
def test_the_definitions_include_every_property_of_the_records(hubspot: HubspotSandbox, kind: str) -> None:
    defined = {each["name"]: each["type"] for each in hubspot.get(f"/crm/v3/properties/{kind}")["results"]}
    assert defined.keys() == hubspot.truth(kind)[0]["properties"].keys()
    assert defined["createdate"] == defined[MODIFIED_BY[kind]] == "datetime"


def test_an_account_has_the_requested_number_of_properties() -> None:
    portal, _ = generate(20, 1, NOW, properties=1650)
    for kind in KINDS:
        assert len(portal.properties[kind]) == len(portal.types[kind]) == 1650
        filled = [
            sum(value is not None for value in row["properties"].values()) for row in portal.truth(kind)
        ]
        assert all(60 < count < 200 for count in filled)
    assert len(LONG.name) == 55
    assert LONG.name in portal.types["contacts"]


def test_an_emptied_property_is_an_empty_text_and_an_unset_one_is_null(hubspot: HubspotSandbox) -> None:
    spoilt = hubspot.manifest["troubles"]
    deals = hubspot.truth("deals")
    emptied = {int(row["id"]) for row in deals if row["properties"]["amount"] == ""}
    assert emptied == set(spoilt["emptied_amounts"]["ids"]["deals"])
    no_company = {int(row["id"]) for row in deals if row["properties"]["company_domain"] is None}
    assert no_company == set(spoilt["deals_without_company"]["ids"]["deals"])


def test_pipelines_define_which_stages_are_won_or_lost(hubspot: HubspotSandbox) -> None:
    pipelines = hubspot.get("/crm/v3/pipelines/deals")["results"]
    assert [each["id"] for each in pipelines] == [each.id for each in PIPELINES]
    stages = {stage["id"]: stage["metadata"] for each in pipelines for stage in each["stages"]}
    won = {id_ for id_, each in stages.items() if each == {"isClosed": "true", "probability": "1.0"}}
    assert won == {"closedwon", "1047102"}
    assert {id_ for id_, each in stages.items() if each["isClosed"] == "true"} - won == {
        "closedlost",
        "1047103",
    }


def test_present_and_former_owners_are_listed_separately(hubspot: HubspotSandbox) -> None:
    there = hubspot.get("/crm/v3/owners", limit=2)
    rest = hubspot.get("/crm/v3/owners", after=there["paging"]["next"]["after"])
    gone = hubspot.get("/crm/v3/owners", archived="true")
    assert [each["id"] for page in (there, rest, gone) for each in page["results"]] == [
        each.id for each in OWNERS
    ]
    assert [each["archived"] for each in gone["results"]] == [True]
    owned = {row["properties"]["hubspot_owner_id"] for row in hubspot.truth("deals")}
    assert owned == {None, *(each.id for each in OWNERS)}


# Authentication, limits and faults


def test_a_wrong_token_is_refused(hubspot: HubspotSandbox) -> None:
    reply = hubspot.send("GET", "/crm/v3/objects/contacts", token="pat-wrong")
    assert (reply.status, reply.json()["category"]) == (401, "INVALID_AUTHENTICATION")


@pytest.mark.parametrize(
    ("path", "scope"),
    [
        ("/crm/v3/objects/contacts", "crm.objects.contacts.read"),
        ("/crm/v3/owners", "crm.objects.owners.read"),
    ],
)
def test_a_missing_scope_is_refused_by_name(path: str, scope: str) -> None:
    with HubspotSandbox(deals=10, without_scopes=[scope]) as sandbox:
        reply = sandbox.send("GET", path)
        assert (reply.status, reply.json()["category"]) == (403, "MISSING_SCOPES")
        assert reply.json()["errors"][0]["context"] == {"requiredGranularScopes": [scope]}
        assert sandbox.send("GET", "/crm/v3/objects/deals").status == 200


def test_associations_need_the_scopes_of_both_sides() -> None:
    with HubspotSandbox(deals=10, without_scopes=["crm.objects.contacts.read"]) as sandbox:
        for other, status in (("contacts", 403), ("companies", 207)):
            path = f"/crm/v4/associations/deals/{other}/batch/read"
            assert sandbox.send("POST", path, {"inputs": [{"id": "1"}]}).status == status


@pytest.mark.parametrize(
    "path", ["/crm/v3/objects/quotes", "/deals/v1/pipelines", "/crm-pipelines/v1/pipelines/deals"]
)
def test_an_unknown_path_is_refused(hubspot: HubspotSandbox, path: str) -> None:
    assert hubspot.send("GET", path).status == 404


def test_an_address_of_more_than_8_kb_is_refused(hubspot: HubspotSandbox) -> None:
    names = ",".join(f"{'x' * 20}{i}" for i in range(400))
    assert hubspot.send("GET", f"/crm/v3/objects/deals?properties={names}").status == 400


def test_an_oauth_token_is_valid_for_half_an_hour(own: HubspotSandbox) -> None:
    form = "&".join(
        f"{name}={value}" for name, value in {"grant_type": "refresh_token", **vars(App())}.items()
    )
    grant = own.form("/oauth/v3/token", form).granted()
    assert (grant["expires_in"], grant["token_type"]) == (1800, "bearer")
    assert own.send("GET", "/crm/v3/owners", token=grant["access_token"]).status == 200
    own.state.access_tokens[grant["access_token"]] = 0.0
    reply = own.send("GET", "/crm/v3/owners", token=grant["access_token"])
    assert (reply.status, reply.json()["category"]) == (401, "EXPIRED_AUTHENTICATION")
    assert own.form("/oauth/v3/token", form.replace("refresh-token", "other")).status == 400


@pytest.mark.parametrize(
    ("limits", "path", "let_in", "policy"),
    [
        (Limits(burst=3, searches=0), "/crm/v3/owners", 3, "TEN_SECONDLY_ROLLING"),
        (Limits(burst=0, searches=0, daily=2), "/crm/v3/owners", 2, "DAILY"),
    ],
)
def test_requests_beyond_a_limit_are_refused(limits: Limits, path: str, let_in: int, policy: str) -> None:
    with HubspotSandbox(deals=10, limits=limits) as sandbox:
        replies = [sandbox.send("GET", path) for _ in range(let_in + 1)]
        assert [reply.status for reply in replies] == [200] * let_in + [429]
        assert replies[-1].json()["policyName"] == policy


def test_searches_have_their_own_limit(own: HubspotSandbox) -> None:
    own.state.limits = Limits(burst=0, searches=5)
    own.state.times["SECONDLY"] = deque(
        [time.monotonic() + 60] * 5
    )  # five within a second, however slow the machine
    reply = own.send("POST", "/crm/v3/objects/deals/search", {})
    assert (reply.status, reply.json()["policyName"]) == (429, "SECONDLY")
    assert own.send("GET", "/crm/v3/objects/deals").status == 200


def test_a_fault_occurs_when_requested(own: HubspotSandbox) -> None:
    own.trouble(kind="burst429", path="/pipelines/", at=[2])
    own.trouble(kind="daily429", path="/owners", times=1)
    own.trouble(kind="status", status=502, path="/properties/", times=1)
    own.trouble(kind="null", path="/objects/", times=1)
    assert [own.send("GET", "/crm/v3/pipelines/deals").status for _ in range(3)] == [200, 429, 200]
    assert [own.send("GET", "/crm/v3/owners").status for _ in range(2)] == [429, 200]
    assert [own.send("GET", "/crm/v3/properties/deals").status for _ in range(2)] == [502, 200]
    assert own.send("GET", "/crm/v3/objects/deals").text == "null"
    assert [seen.status for seen in own.requests("/pipelines/")] == [200, 429, 200]


# Changes


def test_a_change_has_a_later_timestamp(own: HubspotSandbox) -> None:
    before = own.truth("deals")[0]
    path = f"/crm/v3/objects/deals/{before['id']}"
    own.send("PATCH", path, {"properties": {"dealstage": "1047102", "closedate": "2026-11-20T00:00:00Z"}})
    after = own.truth("deals")[0]["properties"]
    assert (after["hs_is_closed"], after["hs_is_closed_won"]) == ("true", "true")
    assert after["closedate"] == "2026-11-20T00:00:00.000Z"
    assert after["hs_lastmodifieddate"] > before["properties"]["hs_lastmodifieddate"]
    assert after["createdate"] == before["properties"]["createdate"]


def test_a_new_deal_is_associated_with_its_company_in_both_directions(own: HubspotSandbox) -> None:
    company = own.truth("companies")[0]
    to_company = {"to": {"id": company["id"]}, "types": [{"associationTypeId": 5}]}
    body = {"properties": {"dealname": "Retorno", "dealstage": "closedwon"}, "associations": [to_company]}
    reply = own.send("POST", "/crm/v3/objects/deals", body)
    assert reply.status == 201
    deal = own.truth("deals")[-1]
    assert deal["id"] == reply.json()["id"]
    assert deal["associations"] == {"companies": [company["id"]]}
    assert own.truth("companies")[0]["associations"]["deals"][-1] == deal["id"]


def test_a_deleted_record_is_in_no_list_and_no_association(own: HubspotSandbox) -> None:
    contact = next(row for row in own.truth("contacts") if row["associations"].get("deals"))
    path = f"/crm/v3/objects/contacts/{contact['id']}"
    assert own.send("DELETE", path).status == 204
    assert contact["id"] not in {row["id"] for page in pages(own, "contacts", limit=100) for row in page}
    for deal in own.truth("deals"):
        assert contact["id"] not in deal["associations"].get("contacts", [])
    assert own.send("PATCH", path, {"properties": {"city": "Recife"}}).status == 404
    (gone,) = own.get("/crm/v3/objects/contacts", archived="true")["results"]
    assert (gone["id"], gone["archived"]) == (contact["id"], True)
    assert gone["archivedAt"] > gone["updatedAt"]


@pytest.mark.parametrize(("kind", "is_new"), [("companies", True), ("contacts", False), ("deals", True)])
def test_a_merge_leaves_one_record_with_the_values_of_both(
    own: HubspotSandbox, kind: str, is_new: bool
) -> None:
    first, second = (row for row in own.truth(kind)[:2])
    body = {"primaryObjectId": first["id"], "objectIdToMerge": second["id"]}
    kept = own.post(f"/crm/v3/objects/{kind}/merge", body)["id"]
    assert (kept != first["id"]) == is_new
    rows = {row["id"]: row for row in own.truth(kind)}
    assert second["id"] not in rows
    gone = f"{first['id']};{second['id']}" if is_new else second["id"]
    assert rows[kept]["properties"]["hs_merged_object_ids"] == gone
    for name, value in first["properties"].items():
        if value and name not in {MODIFIED_BY[kind], "hs_object_id", "createdate"}:
            assert rows[kept]["properties"][name] == value
    both = {
        (other, id_) for row in (first, second) for other, ids in row["associations"].items() for id_ in ids
    }
    found = {(other, id_) for other, ids in rows[kept]["associations"].items() for id_ in ids}
    assert found == both
    assert own.get(f"/crm/v3/objects/{kind}/{second['id']}")["id"] == kept
    assert not own.get(f"/crm/v3/objects/{kind}", archived="true")["results"]
    assert own.send("POST", f"/crm/v3/objects/{kind}/merge", {**body, "objectIdToMerge": "1"}).status == 404


@pytest.mark.parametrize(
    "body", [None, [], {}, {"properties": {"no_such": "x"}}, {"properties": {"dealstage": "won"}}]
)
def test_an_invalid_change_is_refused(own: HubspotSandbox, body: Any) -> None:
    path = f"/crm/v3/objects/deals/{own.truth('deals')[0]['id']}"
    assert own.send("PATCH", path, body).status == 400


# The command


def command(*words: str) -> list[str]:
    return [
        str(Path(sys.executable).with_name("hubspot-sandbox")),
        *words,
        "--deals",
        "60",
        "--now",
        NOW.isoformat(),
    ]


def test_the_command_serves_the_requested_account(tmp_path: Path) -> None:
    words = command(
        "serve", "--port", "0", "--properties", "40", "--without-scope", "crm.objects.owners.read"
    )
    words += ["--ready-file", f"{tmp_path}/ready.json"]
    words += ["--manifest", f"{tmp_path}/manifest.json", "--figures", f"{tmp_path}/figures"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            assert "HubSpot sandbox at http://127.0.0.1:" in process.stdout.readline()
            ready = json.loads((tmp_path / "ready.json").read_text())
            with urlopen(f"{ready['url']}/sandbox/truth/deals") as answer:
                deals = json.loads(answer.read())
        finally:
            process.terminate()
    assert process.returncode == 0
    portal, manifest = generate(60, 1, NOW, properties=40)
    assert json.loads((tmp_path / "manifest.json").read_text()) == manifest
    assert deals == portal.truth("deals")
    assert len(list((tmp_path / "figures").glob("*.csv"))) == 3


def test_the_command_writes_files_for_hubspots_importer(tmp_path: Path) -> None:
    subprocess.run(command("csv", str(tmp_path / "new")), check=True, capture_output=True)
    portal, manifest = generate(60, 1, NOW)
    stages = {stage.id: stage.label for pipeline in PIPELINES for stage in pipeline.stages}
    labels = {"pipeline": {each.id: each.label for each in PIPELINES}, "dealstage": stages}
    wanted_columns = {
        "companies": {"name", "domain", "especialidade_medica"},
        "contacts": {"firstname", "lastname", "email"},
        "deals": {"dealname", "amount", "pipeline", "dealstage", "contact_email", "company_domain"},
    }
    for kind, columns in wanted_columns.items():
        with (tmp_path / "new" / f"import_{kind}.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        assert columns <= rows[0].keys()
        assert rows == [
            {
                name: labels.get(name, {}).get(row["properties"][name], row["properties"][name] or "")
                for name in rows[0]
            }
            for row in portal.truth(kind)
        ]
        if kind == "contacts":
            assert sum(not row["lastname"] for row in rows) == len(
                manifest["troubles"]["missing_last_names"]["ids"]["contacts"]
            )
