"""The HubSpot sandbox: searches and batch reads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pipedrive_sandbox.hubspot.definitions import MODIFIED_BY, PROPERTIES
from pipedrive_sandbox.hubspot.testing import HubspotSandbox

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


def searched(sandbox: HubspotSandbox, kind: str, *filters: tuple[str, str, str], **more: Any) -> Any:
    rules = [{"propertyName": name, "operator": how, "value": value} for name, how, value in filters]
    groups = [{"filters": rules}] if rules else []
    return sandbox.post(f"/crm/v3/objects/{kind}/search", {"filterGroups": groups, **more})


@pytest.mark.parametrize("kind", KINDS)
def test_a_search_by_time_and_id_returns_all_records_in_order(hubspot: HubspotSandbox, kind: str) -> None:
    rows = hubspot.truth(kind)
    since = sorted(row["properties"][MODIFIED_BY[kind]] for row in rows)[len(rows) // 2]
    wanted = [row["id"] for row in rows if row["properties"][MODIFIED_BY[kind]] >= since]
    found: list[str] = []
    while True:
        rules = ((MODIFIED_BY[kind], "GTE", since), ("hs_object_id", "GT", found[-1] if found else "0"))
        by_id = [{"propertyName": "hs_object_id", "direction": "ASCENDING"}]
        page = searched(hubspot, kind, *rules, sorts=by_id, limit=7)
        assert page["total"] == len(wanted) - len(found)
        found += [row["id"] for row in page["results"]]
        if "paging" not in page:
            break
    assert found == wanted


def test_a_search_sorts_and_pages(hubspot: HubspotSandbox) -> None:
    newest = [{"propertyName": "lastmodifieddate", "direction": "DESCENDING"}]
    page = searched(hubspot, "contacts", sorts=newest, limit=5, properties=["email"])
    after = searched(hubspot, "contacts", sorts=newest, limit=5, after=page["paging"]["next"]["after"])
    times = [row["properties"]["lastmodifieddate"] for row in page["results"] + after["results"]]
    every = sorted((row["properties"]["lastmodifieddate"] for row in hubspot.truth("contacts")), reverse=True)
    assert times == every[:10]
    assert set(page["results"][0]["properties"]) == {
        "email",
        "createdate",
        "lastmodifieddate",
        "hs_object_id",
    }


def test_filters_compare_numbers_times_and_texts(hubspot: HubspotSandbox) -> None:
    deals = hubspot.truth("deals")

    def count(*filters: tuple[str, str, str]) -> int:
        total: int = searched(hubspot, "deals", *filters, limit=1)["total"]
        return total

    amounts = [float(row["properties"]["amount"]) for row in deals if row["properties"]["amount"]]
    assert count(("amount", "LT", "500")) == sum(amount < 500 for amount in amounts)
    assert count(("amount", "HAS_PROPERTY", "")) == len(amounts)
    assert count(("dealstage", "NEQ", "closedwon")) == sum(
        row["properties"]["dealstage"] != "closedwon" for row in deals
    )
    assert count(("pipeline", "EQ", "75312468"), ("hs_is_closed_won", "EQ", "true")) == sum(
        row["properties"]["dealstage"] == "1047102" for row in deals
    )


@pytest.mark.parametrize(
    "body",
    [
        {"limit": 201},
        {"limit": 100, "after": "9901"},
        {"after": "x"},
        {"sorts": [{"propertyName": "amount"}, {"propertyName": "closedate"}]},
        {"sorts": [{"propertyName": "no_such"}]},
        {"filterGroups": [{"filters": [{"propertyName": "amount", "operator": "ALMOST", "value": "1"}]}]},
        {"filterGroups": [{"filters": [{"propertyName": "no_such", "operator": "EQ", "value": "1"}]}]},
        {"filterGroups": [{"filters": []}] * 6},
        {"properties": ["x" * 60] * 50},
        [],
    ],
)
def test_a_search_beyond_its_limits_is_refused(hubspot: HubspotSandbox, body: Any) -> None:
    reply = hubspot.send("POST", "/crm/v3/objects/deals/search", body)
    assert (reply.status, reply.json()["category"]) == (400, "VALIDATION_ERROR")


def test_a_search_finds_a_change_after_a_delay(own: HubspotSandbox) -> None:
    own.state.search_lag = 30
    own.send("POST", "/crm/v3/objects/contacts", {"properties": {"city": "Natal"}})
    assert searched(own, "contacts", ("city", "EQ", "Natal"))["total"] == 0
    own.portal.clock.advance(31)
    assert searched(own, "contacts", ("city", "EQ", "Natal"))["total"] == 1


# Batches


def inputs(ids: list[Any]) -> dict[str, Any]:
    return {"inputs": [{"id": str(id_)} for id_ in ids]}


def test_a_batch_returns_existing_records_and_names_the_missing_ones(hubspot: HubspotSandbox) -> None:
    rows = hubspot.truth("deals")[:100]
    body = {**inputs([row["id"] for row in rows[:99]] + ["12"]), "properties": ["dealname"]}
    reply = hubspot.send("POST", "/crm/v3/objects/deals/batch/read", body)
    answer = reply.json()
    assert reply.status == 207
    assert [each["properties"]["dealname"] for each in answer["results"]] == [
        row["properties"]["dealname"] for row in rows[:99]
    ]
    assert [each["context"] for each in answer["errors"]] == [{"ids": ["12"]}]


@pytest.mark.parametrize(
    ("path", "most"), [("v3/objects/deals", 100), ("v4/associations/deals/contacts", 1000)]
)
def test_the_size_of_a_batch_is_limited(hubspot: HubspotSandbox, path: str, most: int) -> None:
    assert hubspot.send("POST", f"/crm/{path}/batch/read", inputs([1] * most)).status == 207
    assert hubspot.send("POST", f"/crm/{path}/batch/read", inputs([1] * (most + 1))).status == 400
    assert hubspot.send("POST", f"/crm/{path}/batch/read", {}).status == 400


def test_associations_have_types_and_a_deal_has_one_primary_company(own: HubspotSandbox) -> None:
    deal = own.portal.listed("deals")[0]
    first, *_, last = own.portal.listed("companies")
    deal.associated.pop("companies", None)
    own.portal.associate("deals", deal, "companies", last.id)
    own.portal.associate("deals", deal, "companies", first.id)
    lonely = own.portal.create("deals", {"dealname": "Sem empresa"})
    answer = own.post("/crm/v4/associations/deals/companies/batch/read", inputs([deal.id, lonely.id]))
    (found,) = answer["results"]
    assert found["from"] == {"id": str(deal.id)}
    kinds = {
        each["toObjectId"]: [kind["typeId"] for kind in each["associationTypes"]] for each in found["to"]
    }
    assert kinds == {first.id: [341], last.id: [5, 341]}
    assert [each["subCategory"] for each in answer["errors"]] == ["crm.associations.NO_ASSOCIATIONS_FOUND"]
