"""The models of HubSpot: what they make of odd raw rows, and the tests that their columns have."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
import yaml

from .conftest import PROJECT, Account

STAGING = PROJECT / "models" / "staging" / "hubspot"


def create_raw_tables(account: Account) -> None:
    """The tables as the source declares them."""
    account.execute("create schema hubspot")
    (source,) = yaml.safe_load((STAGING / "_hubspot__sources.yml").read_text())["sources"]
    for table in source["tables"]:
        columns = ", ".join(f'"{each["name"]}" {each["data_type"]}' for each in table["columns"])
        account.execute(f"create table hubspot.{table['name']} ({columns}, _sdc_extracted_at timestamp)")


def said(**values: Any) -> dict[str, Any]:
    """Properties as the tap loads those of companies and deals."""
    return {f"property_{name}": {"value": value, "source": "API"} for name, value in values.items()}


@pytest.fixture(scope="module")
def account(new_account: Callable[..., Account]) -> Account:
    """An account of HubSpot with a row for each odd case, and none of Pipedrive."""
    account = new_account("hubspot_rows")
    account.execute("drop schema pipedrive cascade")
    create_raw_tables(account)
    account.execute("alter table hubspot.contacts drop column property_phone")
    account.execute("alter table hubspot.deals add column _sdc_deleted_at timestamp")
    rows: dict[str, list[dict[str, Any]]] = {
        "companies": [
            {
                "companyId": 1,
                **said(name="Dra. Só", domain="só.med.br", createdate="2026-01-02T03:04:05.678000Z"),
            },
            {"companyId": 2, **said(name="", domain="")},
            {"companyId": 3},
        ],
        "contacts": [
            {
                "id": "1",
                "property_email": "josé@só.med.br",
                "archived": False,
                "createdAt": "2026-01-31 23:30",
            },
            {"id": "2", "property_email": "", "property_lastname": "", "archived": True},
        ],
        "deals": [
            {"dealId": 1, **said(amount=10.5, hs_is_closed_won=True, hs_is_closed=True)},
            {"dealId": 2, **said(amount="", closedate=None, dealname="")},
            {
                "dealId": 3,
                **said(amount="N/A"),
                "associations": {"associatedCompanyIds": [], "associatedVids": []},
            },
            {
                "dealId": 4,
                **said(amount=-3),
                "associations": {"associatedCompanyIds": [7, 8], "associatedVids": [9]},
            },
            {"dealId": 5, "isDeleted": True},
            {"dealId": 6, "_sdc_deleted_at": "2026-01-01"},
        ],
    }
    for table, inserted in rows.items():
        account.insert(table, *inserted, schema="hubspot")
    account.execute("update hubspot.companies set property_domain = 'null' where \"companyId\" = 3")
    account.execute(
        """insert into hubspot.deal_pipelines ("pipelineId", label, stages) values
        ('default', 'Vendas', array[
            '{"stageId": "won", "closedWon": true, "probability": 1.0}',
            '{"stageId": "lost", "closedWon": false, "probability": 0.0}',
            '{"stageId": "open", "closedWon": false, "probability": 0.35}',
            '{"stageId": "no words", "probability": 1}',
            '{"stageId": "no odds"}'
        ]::jsonb[]), ('empty', 'Sem etapas', '{}'), ('null', 'Nada', null)"""
    )
    run = account.dbt("run", "--select", "path:models/staging/hubspot")
    assert run.returncode == 0, run.stdout
    return account


def test_emptied_and_missing_properties_are_null(account: Account) -> None:
    assert account.query(
        "select company_id, company_name, domain, specialty from staging.stg_hubspot__companies order by 1"
    ) == [("1", "Dra. Só", "só.med.br", None), ("2", None, None, None), ("3", None, None, None)]
    assert account.query(
        "select contact_id, email, last_name, phone, is_deleted from staging.stg_hubspot__contacts order by 1"
    ) == [("1", "josé@só.med.br", None, None, False), ("2", None, None, None, True)]


def test_times_are_utc(account: Account) -> None:
    assert account.query(
        "select (created_at at time zone 'UTC')::text from staging.stg_hubspot__companies where company_id = '1' "
        "union all "
        "select (created_at at time zone 'UTC')::text from staging.stg_hubspot__contacts where contact_id = '1'"
    ) == [("2026-01-02 03:04:05.678",), ("2026-01-31 23:30:00",)]


def test_amounts_that_are_no_numbers_are_null(account: Account) -> None:
    assert account.query("select deal_id, amount from staging.stg_hubspot__deals order by 1") == [
        ("1", Decimal("10.5")),
        ("2", None),
        ("3", None),
        ("4", Decimal(-3)),
        ("5", None),
        ("6", None),
    ]


def test_a_deal_has_the_first_of_its_associations(account: Account) -> None:
    assert account.query(
        "select deal_id, associated_company_id, associated_contact_id from staging.stg_hubspot__deals "
        "where deal_id in ('1', '3', '4') order by 1"
    ) == [("1", None, None), ("3", None, None), ("4", "7", "9")]


def test_a_deal_is_won_closed_or_deleted_when_hubspot_says_so(account: Account) -> None:
    assert account.query(
        "select deal_id, is_won, is_closed, is_deleted from staging.stg_hubspot__deals "
        "where deal_id in ('1', '2', '5', '6') order by 1"
    ) == [
        ("1", True, True, False),
        ("2", False, False, False),
        ("5", False, False, True),
        ("6", False, False, True),
    ]


def test_a_stage_is_won_or_lost_by_what_the_pipeline_says(account: Account) -> None:
    assert account.query(
        "select stage_id, pipeline, is_won, is_closed, probability from staging.stg_hubspot__deal_stages "
        "order by 1"
    ) == [
        ("lost", "Vendas", False, True, 0),
        ("no odds", "Vendas", False, False, None),
        ("no words", "Vendas", True, True, 100),
        ("open", "Vendas", False, False, 35),
        ("won", "Vendas", True, True, 100),
    ]


def column_tests() -> set[tuple[str, str, str]]:
    """(model, column, kind) of every test that the columns of HubSpot's models have; no column: the model's."""
    found = set()
    marts = PROJECT / "models" / "marts"
    for path in [*STAGING.glob("stg_*.yml"), marts / "hubspot" / "mart_companies.yml"]:
        (model,) = yaml.safe_load(path.read_text())["models"]
        for owner, name in [(model, ""), *((column, column["name"]) for column in model["columns"])]:
            for test in owner.get("data_tests", []):
                kind = test if isinstance(test, str) else next(iter(test))
                found.add((model["name"].removeprefix("stg_hubspot__"), name, kind))
    return found


WANTED = {
    ("contacts", "contact_id"): ["not_null", "unique"],
    ("contacts", "email"): ["not_null", "unique", "matches_regex"],
    ("contacts", "lifecycle_stage"): ["accepted_values"],
    ("companies", "company_id"): ["not_null", "unique"],
    ("companies", "domain"): ["not_null", "unique"],
    ("deals", "deal_id"): ["not_null", "unique"],
    ("deals", "company_domain"): ["not_null", "relationships"],
    ("deals", "amount"): ["between"],
    ("mart_companies", "company_id"): ["not_null", "unique"],
    ("mart_companies", "total_revenue"): ["between"],
    ("mart_companies", ""): ["expression_is_true"],
}


def test_the_nineteen_tests_of_doctors_patients_and_consultations_are_kept() -> None:
    wanted = {(model, column, kind) for (model, column), kinds in WANTED.items() for kind in kinds}
    assert len(wanted) == 19
    assert wanted <= column_tests()


SPOILT = {
    "matches_regex_stg_hubspot__contacts_email": "contacts set property_email = 'nobody' where id = '1'",
    "accepted_values_stg_hubspot__contacts_lifecycle_stage": "contacts set property_lifecyclestage = '7'",
    "unique_stg_hubspot__companies_domain": 'companies set property_domain = \'{"value": "x.com"}\'',
    "between_stg_hubspot__deals_amount": "deals set property_amount = '{\"value\": -1}'",
}
"""By test, what makes it warn."""


def test_the_tests_see_what_is_wrong(account: Account) -> None:
    """Runs last, as it spoils the rows."""
    for statement in SPOILT.values():
        account.execute(f"update hubspot.{statement}")
    run = account.dbt("test", "--select", "path:models/staging/hubspot", "test_type:generic")
    warned = {line.partition(" WARN ")[2] for line in run.stdout.splitlines() if " WARN " in line}
    for name in SPOILT:
        assert any(name in line for line in warned), (name, run.stdout)
