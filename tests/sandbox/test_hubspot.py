"""The HubSpot side: what its endpoints answer, who is let in, and how."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from pipedrive_sandbox.hubspot.definitions import MODIFIED_BY, PROPERTIES
from pipedrive_sandbox.hubspot.generate import generate
from pipedrive_sandbox.hubspot.testing import HubspotSandbox
from pipedrive_sandbox.testing import NOW

KINDS = list(PROPERTIES)
HOST = "api.hubapi.com"


@pytest.fixture(scope="module")
def hubspot() -> Iterator[HubspotSandbox]:
    """An account that no test changes."""
    with HubspotSandbox(deals=230) as sandbox:
        yield sandbox


@pytest.fixture
def own() -> Iterator[HubspotSandbox]:
    """An account of the test's own."""
    with HubspotSandbox(deals=60) as sandbox:
        yield sandbox


def pages(sandbox: HubspotSandbox, kind: str, **params: Any) -> list[list[dict[str, Any]]]:
    """All pages of a newer list."""
    found: list[list[dict[str, Any]]] = []
    after: dict[str, str] = {}
    while True:
        page = sandbox.get(f"/crm/v3/objects/{kind}", **params, **after)
        found.append(page["results"])
        if "paging" not in page:
            return found
        after = {"after": page["paging"]["next"]["after"]}


# Newer endpoints


@pytest.mark.parametrize("kind", KINDS)
def test_pages_have_every_record_once(hubspot: HubspotSandbox, kind: str) -> None:
    found = pages(hubspot, kind, limit=9)
    rows = [row["id"] for page in found for row in page]
    assert rows == [row["id"] for row in hubspot.truth(kind)]
    assert {len(page) for page in found[:-1]} == {9}


def test_a_list_whose_last_page_is_full_ends_there(hubspot: HubspotSandbox) -> None:
    count = len(hubspot.truth("companies"))
    assert "paging" not in hubspot.get("/crm/v3/objects/companies", limit=count)
    assert "paging" in hubspot.get("/crm/v3/objects/companies", limit=count - 1)


@pytest.mark.parametrize("limit", ["101", "-1", "ten"])
def test_pages_have_a_limit(hubspot: HubspotSandbox, limit: str) -> None:
    reply = hubspot.send("GET", f"/crm/v3/objects/contacts?limit={limit}")
    assert (reply.status, reply.json()["category"]) == (400, "VALIDATION_ERROR")


def test_a_record_has_the_properties_asked_for_and_three_more(hubspot: HubspotSandbox) -> None:
    row = hubspot.get("/crm/v3/objects/contacts", limit=1, properties="email,city,no_such")["results"][0]
    truth = hubspot.truth("contacts")[0]["properties"]
    expected = ("email", "city", "createdate", "lastmodifieddate", "hs_object_id")
    assert row["properties"] == {name: truth[name] for name in expected}
    assert (row["createdAt"], row["updatedAt"]) == (truth["createdate"], truth["lastmodifieddate"])
    assert row["archived"] is False
    assert "associations" not in row


def test_a_record_has_the_associations_asked_for(hubspot: HubspotSandbox) -> None:
    row = hubspot.get("/crm/v3/objects/contacts", limit=1, associations="tickets,companies,deals")["results"][
        0
    ]
    truth = hubspot.truth("contacts")[0]["associations"]
    assert row["associations"] == {
        "companies": {"results": [{"id": id_, "type": "contact_to_company"} for id_ in truth["companies"]]},
        "deals": {"results": [{"id": id_, "type": "contact_to_deal"} for id_ in truth["deals"]]},
    }


@pytest.mark.parametrize("kind", KINDS)
def test_the_definitions_name_what_records_have(hubspot: HubspotSandbox, kind: str) -> None:
    defined = {each["name"]: each["type"] for each in hubspot.get(f"/crm/v3/properties/{kind}")["results"]}
    assert defined.keys() == hubspot.truth(kind)[0]["properties"].keys()
    assert defined["createdate"] == defined[MODIFIED_BY[kind]] == "datetime"


# Older endpoints


@pytest.mark.parametrize(
    ("path", "rows", "more", "key", "kind"),
    [
        ("/companies/v2/companies/paged", "companies", "has-more", "companyId", "companies"),
        ("/deals/v1/deal/paged", "deals", "hasMore", "dealId", "deals"),
    ],
)
def test_older_lists_have_every_record_once(
    hubspot: HubspotSandbox, path: str, rows: str, more: str, key: str, kind: str
) -> None:
    found, page = [], {"offset": 0, more: True}
    while page[more]:
        page = hubspot.get(path, limit=11, offset=page["offset"])
        found += [str(row[key]) for row in page[rows]]
    assert found == [row["id"] for row in hubspot.truth(kind)]


def test_older_properties_say_when_they_were_set(own: HubspotSandbox) -> None:
    deal = own.truth("deals")[0]
    moment = datetime(2026, 11, 20, 15, 45, 0, 123_000, tzinfo=UTC)
    with own.portal.clock.held(moment):
        own.send("PATCH", f"/crm/v3/objects/deals/{deal['id']}", {"properties": {"dealname": "Novo"}})
    row = own.get("/deals/v1/deal/paged", limit=1, properties=["dealname", "amount"])["deals"][0]
    name, milliseconds = row["properties"]["dealname"], 1_795_189_500_123
    assert (name["value"], name["timestamp"]) == ("Novo", milliseconds)
    assert name["versions"][0] == {
        "name": "dealname",
        "value": "Novo",
        "timestamp": milliseconds,
        "source": "API",
        "sourceVid": [],
    }
    assert row["properties"]["amount"]["timestamp"] < milliseconds


def test_older_times_are_milliseconds(hubspot: HubspotSandbox) -> None:
    row = hubspot.get("/deals/v1/deal/paged", limit=1, includeAllProperties="true")["deals"][0]
    shown = datetime.fromtimestamp(int(row["properties"]["createdate"]["value"]) / 1000, UTC)
    assert (
        shown.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        == (hubspot.truth("deals")[0]["properties"]["createdate"])
    )


def test_older_deals_have_associations_when_asked(hubspot: HubspotSandbox) -> None:
    with_them = hubspot.get("/deals/v1/deal/paged", limit=250, includeAssociations="true")["deals"]
    truth = {row["id"]: row["associations"] for row in hubspot.truth("deals")}
    for row in with_them:
        ids = truth[str(row["dealId"])]
        assert row["associations"]["associatedVids"] == [int(id_) for id_ in ids.get("contacts", [])]
        assert row["associations"]["associatedCompanyIds"] == [int(id_) for id_ in ids.get("companies", [])]
    without = hubspot.get("/deals/v1/deal/paged", limit=250)["deals"]
    assert not any(row["associations"]["associatedVids"] for row in without)


def test_an_emptied_property_is_there_and_one_never_set_is_not(hubspot: HubspotSandbox) -> None:
    spoilt = hubspot.manifest["troubles"]
    deals = hubspot.get("/deals/v1/deal/paged", limit=250, includeAllProperties="true")["deals"]
    emptied = {row["dealId"] for row in deals if row["properties"]["amount"]["value"] == ""}
    assert emptied == set(spoilt["emptied_amounts"]["ids"]["deals"])
    no_company = {row["dealId"] for row in deals if "company_domain" not in row["properties"]}
    assert no_company == set(spoilt["deals_without_company"]["ids"]["deals"])


def test_a_company_alone_has_every_property(hubspot: HubspotSandbox) -> None:
    truth = hubspot.truth("companies")[0]
    row = hubspot.get(f"/companies/v2/companies/{truth['id']}")
    assert row["properties"].keys() == truth["properties"].keys()
    assert hubspot.send("GET", "/companies/v2/companies/1").status == 404


def test_pipelines_tell_which_stages_are_won(hubspot: HubspotSandbox) -> None:
    pipelines = hubspot.get("/deals/v1/pipelines")
    won = {stage["stageId"] for each in pipelines for stage in each["stages"] if stage["closedWon"]}
    assert won == {"closedwon", "1047102"}


# Who is let in, and troubles on demand


def test_a_wrong_token_is_refused(hubspot: HubspotSandbox) -> None:
    reply = hubspot.send("GET", "/crm/v3/objects/contacts", token="pat-wrong")
    assert (reply.status, reply.json()["category"]) == (401, "INVALID_AUTHENTICATION")


def test_a_scope_that_the_token_lacks_is_refused(hubspot: HubspotSandbox) -> None:
    reply = hubspot.send("GET", "/crm/v3/properties/tickets")
    assert (reply.status, reply.json()["category"]) == (403, "MISSING_SCOPES")


def test_an_unknown_path_is_refused(hubspot: HubspotSandbox) -> None:
    assert hubspot.send("GET", "/crm/v3/objects/quotes").status == 404


def test_a_fault_strikes_when_told(own: HubspotSandbox) -> None:
    own.trouble(kind="burst429", path="/deals/", at=[2])
    own.trouble(kind="status", status=502, path="/companies/", times=1)
    deals = [own.send("GET", "/deals/v1/pipelines").status for _ in range(3)]
    assert deals == [200, 429, 200]
    companies = [own.send("GET", "/companies/v2/properties").status for _ in range(2)]
    assert companies == [502, 200]
    assert [seen.status for seen in own.requests("/deals/")] == deals


# Changes


def test_a_change_is_a_later_version(own: HubspotSandbox) -> None:
    before = own.truth("deals")[0]
    path = f"/crm/v3/objects/deals/{before['id']}"
    own.send("PATCH", path, {"properties": {"dealstage": "1047102", "closedate": "2026-11-20T00:00:00Z"}})
    after = own.truth("deals")[0]["properties"]
    assert (after["hs_is_closed"], after["hs_is_closed_won"]) == ("true", "true")
    assert after["closedate"] == "2026-11-20T00:00:00.000Z"
    assert after["hs_lastmodifieddate"] > before["properties"]["hs_lastmodifieddate"]
    assert after["createdate"] == before["properties"]["createdate"]


def test_a_new_deal_belongs_to_its_company_from_both_sides(own: HubspotSandbox) -> None:
    company = own.truth("companies")[0]
    to_company = {"to": {"id": company["id"]}, "types": [{"associationTypeId": 5}]}
    body = {"properties": {"dealname": "Retorno", "dealstage": "closedwon"}, "associations": [to_company]}
    reply = own.send("POST", "/crm/v3/objects/deals", body)
    assert reply.status == 201
    deal = own.truth("deals")[-1]
    assert deal["id"] == reply.json()["id"]
    assert deal["associations"] == {"companies": [company["id"]]}
    assert own.truth("companies")[0]["associations"]["deals"][-1] == deal["id"]


def test_what_is_deleted_is_in_no_list_and_no_association(own: HubspotSandbox) -> None:
    contact = next(row for row in own.truth("contacts") if row["associations"].get("deals"))
    path = f"/crm/v3/objects/contacts/{contact['id']}"
    assert own.send("DELETE", path).status == 204
    assert contact["id"] not in {row["id"] for page in pages(own, "contacts", limit=100) for row in page}
    for deal in own.truth("deals"):
        assert contact["id"] not in deal["associations"].get("contacts", [])
    assert own.send("PATCH", path, {"properties": {"city": "Recife"}}).status == 404


@pytest.mark.parametrize(
    "body", [None, [], {}, {"properties": {"no_such": "x"}}, {"properties": {"dealstage": "won"}}]
)
def test_a_change_that_makes_no_sense_is_refused(own: HubspotSandbox, body: Any) -> None:
    path = f"/crm/v3/objects/deals/{own.truth('deals')[0]['id']}"
    assert own.send("PATCH", path, body).status == 400


# The way in by proxy


def through_proxy(sandbox: HubspotSandbox, host: str, authority: str) -> int:
    proxy = urlsplit(sandbox.proxy)
    connection = HTTPSConnection(
        str(proxy.hostname), proxy.port, context=ssl.create_default_context(cafile=authority), timeout=300
    )
    connection.set_tunnel(host, 443)
    connection.request("GET", "/deals/v1/pipelines", headers={"Authorization": f"Bearer {sandbox.token}"})
    status = connection.getresponse().status
    connection.close()
    return status


def test_behind_the_proxy_hubspots_host_is_the_sandbox(hubspot: HubspotSandbox) -> None:
    assert through_proxy(hubspot, HOST, hubspot.authority) == 200


def test_nobody_trusts_the_sandbox_by_accident(hubspot: HubspotSandbox) -> None:
    with HubspotSandbox(deals=1) as other, pytest.raises(ssl.SSLCertVerificationError):
        through_proxy(hubspot, HOST, other.authority)


def test_the_proxy_leads_nowhere_else(hubspot: HubspotSandbox) -> None:
    with pytest.raises(OSError, match="403"):
        through_proxy(hubspot, "example.com", hubspot.authority)


# The command


def test_the_command_serves_what_it_is_told(tmp_path: Path) -> None:
    command = [str(Path(sys.executable).with_name("hubspot-sandbox")), "--port", "0", "--deals", "60"]
    command += ["--now", NOW.isoformat(), "--ready-file", f"{tmp_path}/ready.json"]
    command += ["--manifest", f"{tmp_path}/manifest.json", "--figures", f"{tmp_path}/figures"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            assert "HubSpot sandbox at http://127.0.0.1:" in process.stdout.readline()
            ready = json.loads((tmp_path / "ready.json").read_text())
            assert "BEGIN CERTIFICATE" in Path(ready["authority"]).read_text()
            portal, manifest = generate(60, 1, NOW)
            assert json.loads((tmp_path / "manifest.json").read_text()) == manifest
            assert len(list((tmp_path / "figures").glob("*.csv"))) == 3
        finally:
            process.terminate()
    assert process.returncode == 0
    assert not Path(ready["authority"]).exists()
    assert len(portal.truth("deals")) == 60
