"""Companies and persons that are in both CRMs become one customer, from the raw rows to the marts."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from .conftest import Account
from .hubspot_tables import COLUMNS

BOTH = "pipedrive-organization-1"


@pytest.fixture(scope="module")
def account(new_account: Callable[..., Account]) -> Account:
    """Acme is in both CRMs and was won in HubSpot first; Other is in one only; Ana has no company in either."""
    account = new_account("across_crms")
    account.execute("create schema hubspot")
    for table in ("companies", "contacts", "deals"):
        account.execute(f"create table hubspot.{table} ({COLUMNS}, associations jsonb)")
    account.insert(
        "organizations",
        {"id": 1, "name": "Acme", "website": "https://www.acme.com.br/contato"},
        {"id": 2, "name": "Acme Ltda"},
        {"id": 3, "name": "Other", "website": "other.com"},
    )
    account.insert("persons", {"id": 1, "name": "Ana Reis", "emails": [{"value": "ANA@mail.com"}]})
    deal = {
        "status": "won",
        "currency": "BRL",
        "value": 100,
        "add_time": "2026-03-01",
        "won_time": "2026-03-02",
    }
    account.insert(
        "deals",
        {**deal, "id": 1, "org_id": 2},
        {**deal, "id": 2, "org_id": 3},
        {**deal, "id": 3, "person_id": 1},
        {**deal, "id": 4, "org_id": 1, "status": "deleted", "is_deleted": True},
        {**deal, "id": 5},
    )
    account.insert(
        "companies",
        {"id": "7", "archived": False, "properties": {"name": "ACME Brasil", "domain": "acme.com.br"}},
        {"id": "8", "archived": False, "properties": {"name": "Another", "domain": "another.com"}},
        schema="hubspot",
    )
    account.insert(
        "contacts",
        {"id": "9", "archived": False, "properties": {"firstname": "Ana", "email": "ana@mail.com"}},
        schema="hubspot",
    )
    won = {"hs_is_closed": "true", "hs_is_closed_won": "true", "deal_currency_code": "BRL", "amount": "50"}
    won |= {"createdate": "2026-01-01", "closedate": "2026-01-02"}
    for number, associations in enumerate(
        ({"companies": [{"id": "7"}]}, {"companies": [{"id": "8"}]}, {"contacts": [{"id": "9"}]}), start=1
    ):
        row = {"id": str(number), "archived": False, "properties": won, "associations": associations}
        account.insert("deals", row, schema="hubspot")
    return account


def build(account: Account, **settings: str) -> None:
    """Build the customer models with their tests."""
    marts = (
        "bridge_customer_records",
        "customer_cohorts",
        "fct_deals",
        "fct_hubspot_deals",
        "ltv_by_customer",
    )
    tests = ["--indirect-selection", "buildable", "--exclude", "test_type:generic", "test_type:unit"]
    run = account.dbt("build", *tests, "--select", *(f"+{mart}" for mart in marts), **settings)
    assert run.returncode == 0, run.stdout


def test_a_company_in_both_crms_is_one_customer_if_the_setting_says_so(account: Account) -> None:
    build(account)
    customers = "select customer_id, crm, deal_count, first_won_deal_id from marts.dim_customers order by 1"
    assert account.query(customers) == [
        ("hubspot-company-7", "hubspot", 1, "1"),
        ("hubspot-company-8", "hubspot", 1, "2"),
        ("hubspot-contact-9", "hubspot", 1, "3"),
        (BOTH, "pipedrive", 1, "1"),
        ("pipedrive-organization-3", "pipedrive", 1, "2"),
        ("pipedrive-person-1", "pipedrive", 1, "3"),
    ]

    build(account, CUSTOMERS_ACROSS_CRMS="true")
    assert account.query(customers) == [
        ("hubspot-company-8", "hubspot", 1, "2"),
        (BOTH, "hubspot", 2, "1"),
        ("pipedrive-organization-3", "pipedrive", 1, "2"),
        ("pipedrive-person-1", "hubspot", 2, "3"),
    ]
    assert account.query(
        "select crm, kind, record_id, customer_id, match_rules, match_rules_across_crms, is_main_record "
        "from marts.bridge_customer_records order by crm, kind, record_id"
    ) == [
        ("hubspot", "company", "7", BOTH, None, "website", False),
        ("hubspot", "company", "8", "hubspot-company-8", None, None, True),
        ("hubspot", "contact", "9", "pipedrive-person-1", None, "email", False),
        ("pipedrive", "organization", "1", BOTH, "name", None, True),
        ("pipedrive", "organization", "2", BOTH, "name", None, False),
        ("pipedrive", "organization", "3", "pipedrive-organization-3", None, None, True),
        ("pipedrive", "person", "1", "pipedrive-person-1", None, None, True),
    ]
    assert account.query("select deal_id, customer_id from marts.fct_deals order by 1") == [
        (1, BOTH),
        (2, "pipedrive-organization-3"),
        (3, "pipedrive-person-1"),
        (4, None),
        (5, None),
    ]
    assert account.query("select deal_id, customer_id from marts.fct_hubspot_deals order by 1") == [
        ("1", BOTH),
        ("2", "hubspot-company-8"),
        ("3", "pipedrive-person-1"),
    ]
    assert account.query(
        "select crm, ltv from marts.ltv_by_customer where customer_id = 'pipedrive-person-1'"
    ) == [("hubspot", 150)]
