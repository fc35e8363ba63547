"""`dbt build` on accounts that are not like the others."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest

from .conftest import DATA_ONLY, Account, Built

CUSTOM_COLUMNS = {
    "budget": "numeric",
    "budget_currency": "text",
    "modules": "jsonb",
    "_2nd_contract": "text",
    "order": "text",
    "a" * 63: "text",
    # named like columns of fct_deals, and like what those would be renamed to
    "deal_id": "text",
    "owner_name": "text",
    "custom_owner_name": "text",
    "custom_custom_owner_name": "text",
}
LONG_AGO = "2020-01-01 12:00"


@pytest.fixture(scope="module")
def odd(new_account: Callable[..., Account]) -> Built:
    account = new_account("odd", CUSTOM_COLUMNS)
    account.insert("users", {"id": 1, "name": "Ana"})
    account.insert("pipelines", {"id": 1, "name": "Sales"})
    account.insert("stages", {"id": 1, "name": "Demo", "pipeline_id": 1})
    account.insert("activity_types", {"id": 1, "key_string": "call", "name": "Call"})
    account.insert("activity_types", {"id": 2, "key_string": "call", "name": "Call, again"})
    deal = {"owner_id": 1, "creator_user_id": 1, "pipeline_id": 1, "stage_id": 1, "add_time": LONG_AGO}
    account.insert(
        "deals",
        {
            **deal,
            "id": 1,
            "status": "won",
            "value": Decimal("98765432109876543.21"),
            "currency": "EUR",
            "close_time": "2020-01-11 12:00",
            "won_time": "2020-01-11 12:00",
            "label_ids": [1, 1, 2],
            "budget": Decimal("0.12345678901234567"),
            "budget_currency": "BRL",
            "modules": ["A", "B"],
            "_2nd_contract": "second",
            "order": "first",
            "a" * 63: "long",
            "deal_id": "own id",
            "owner_name": "theirs",
            "custom_owner_name": "custom",
            "custom_custom_owner_name": "twice",
        },
        {**deal, "id": 2, "status": "open", "person_id": 404, "org_id": 404},
        {**deal, "id": 3, "status": "deleted", "is_deleted": True},
        {**deal, "id": 4, "status": "open", "_sdc_deleted_at": LONG_AGO},
        {**deal, "id": 5, "status": "lost", "is_archived": True, "close_time": "2019-01-01 12:00"},
        {"id": 2**63 - 1, "status": "open"},
    )
    account.insert(
        "activities",
        *({"id": number, "deal_id": 1, "type": "call", "owner_id": 1} for number in range(3)),
        {"id": 3, "deal_id": 1, "is_deleted": True, "type": "no such type"},
        {"id": 4, "deal_id": 404},
    )
    return Built(account, account.build(*DATA_ONLY))


def test_an_empty_account_builds_without_a_warning(empty: Built) -> None:
    assert set(empty.statuses.values()) == {"success", "pass"}


def test_an_empty_account_has_headlines_that_say_so(empty: Built) -> None:
    figures = empty.account.query("select position, value from marts.headline_figures order by position")
    assert figures == [(1, None), (2, None), (3, None), (4, None), (5, 0)]


def test_without_custom_fields_deals_wide_is_as_wide_as_the_deals(empty: Built) -> None:
    assert empty.account.columns("marts", "deals_wide") == empty.account.columns("marts", "fct_deals")


def test_records_hidden_from_the_token_are_a_warning_and_nothing_else_is(odd: Built) -> None:
    hidden = {name for name, status in odd.statuses.items() if status not in ("success", "pass")}
    assert hidden == {
        "relationships_fct_deals_person_id__person_id__ref_dim_persons_",
        "relationships_fct_deals_organization_id__organization_id__ref_dim_organizations_",
        "relationships_fct_activities_deal_id__deal_id__ref_fct_deals_",
    }
    assert {odd.statuses[name] for name in hidden} == {"warn"}


def test_deals_wide_has_every_custom_column_under_a_name_of_its_own(odd: Built) -> None:
    fixed = odd.account.columns("marts", "fct_deals")
    wide = odd.account.columns("marts", "deals_wide")
    assert wide[: len(fixed)] == fixed
    assert wide[len(fixed) :] == [
        "budget",
        "budget_currency",
        "modules",
        "_2nd_contract",
        "order",
        "a" * 63,
        "custom_deal_id",
        "custom_custom_custom_owner_name",
        "custom_owner_name",
        "custom_custom_owner_name",
    ]


def test_deals_wide_keeps_custom_values_as_they_are(odd: Built) -> None:
    custom = 'budget, modules, "order", custom_deal_id, custom_custom_custom_owner_name, custom_owner_name'
    assert odd.account.query(f"select owner_name, {custom} from marts.deals_wide where deal_id = 1") == [
        ("Ana", Decimal("0.12345678901234567"), ["A", "B"], "first", "own id", "theirs", "custom")
    ]


def test_main_bi_leaves_out_deleted_deals_and_survives_a_huge_value(odd: Built) -> None:
    rows = odd.account.query(
        "select deal_id, value, deal_duration_days, activity_count, is_archived from marts.main_bi order by 1"
    )
    assert rows == [
        (1, None, 10, 3, False),
        (2, None, None, 0, False),
        (5, None, -365, 0, True),
        (2**63 - 1, None, None, 0, False),
    ]


def test_facts_keep_a_huge_value_exact(odd: Built) -> None:
    values = odd.account.query("select value, weighted_value from marts.fct_deals where deal_id = 1")
    assert values == [(Decimal("98765432109876543.21"), Decimal("98765432109876543.21"))]


def test_every_document_fits_its_model(odd: Built) -> None:
    models = [node for node in odd.account.manifest()["nodes"].values() if node["resource_type"] == "model"]
    for model in models:
        actual = odd.account.columns(model["schema"], model["name"])
        documented = list(model["columns"])
        if model["name"] in ("deals_wide", "deal_stage_pivot"):
            actual = actual[:1]  # the others are fct_deals' and the account's own
        assert documented == actual, model["name"]
        assert model["description"].startswith("One row per "), model["name"]
        undescribed = [name for name, column in model["columns"].items() if not column["description"]]
        assert not undescribed, model["name"]


def test_every_model_has_a_tested_key(odd: Built) -> None:
    manifest = odd.account.manifest()
    models = {key: node for key, node in manifest["nodes"].items() if node["resource_type"] == "model"}
    tested = {
        (test["attached_node"], test["column_name"], test["test_metadata"]["name"])
        for test in manifest["nodes"].values()
        if test["resource_type"] == "test" and test.get("attached_node")
    }
    for key, model in models.items():
        first = next(iter(model["columns"]))
        assert {(key, first, "unique"), (key, first, "not_null")} <= tested, model["name"]
