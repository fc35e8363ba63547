"""The HubSpot models on odd raw rows, and the tests of their columns."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
import yaml

from .conftest import PROJECT, Account

STAGING = PROJECT / "models" / "staging" / "hubspot"


def create_raw_tables(account: Account) -> None:
    """Make the tables as the source declares them."""
    account.execute("create schema hubspot")
    (source,) = yaml.safe_load((STAGING / "_hubspot__sources.yml").read_text())["sources"]
    for table in source["tables"]:
        columns = ", ".join(f'"{each["name"]}" {each["data_type"]}' for each in table["columns"])
        account.execute(f"create table hubspot.{table['name']} ({columns}, _sdc_extracted_at timestamp)")


def row(id_: int, archived: bool | None = False, **properties: Any) -> dict[str, Any]:
    """Return a row of a raw table."""
    return {"id": str(id_), "archived": archived, "properties": properties}


def tied(**ids: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the associations of a deal."""
    return {"associations": {"companies": [], "contacts": [], **ids}}


@pytest.fixture(scope="module")
def account(new_account: Callable[..., Account]) -> Account:
    """A HubSpot account with a row for each odd case, without Pipedrive."""
    account = new_account("hubspot_rows")
    account.execute("drop schema pipedrive cascade")
    create_raw_tables(account)
    account.execute("alter table hubspot.contacts drop column archived")
    account.execute("alter table hubspot.deals add column _sdc_deleted_at timestamp")
    account.execute("drop table hubspot.owners")
    long = {"hs_time_to_move_from_marketingqualifiedlead_to_customer": "1"}
    rows: dict[str, list[dict[str, Any]]] = {
        "companies": [
            row(1, name="Dra. Só", domain="só.med.br", createdate="2026-01-02T03:04:05.678Z"),
            {**row(2, None, name="", domain="", createdate=""), "createdAt": "2026-01-31 23:30"},
            {"id": "3"},
            row(4, name="Uma de duas", domain="quatro.med.br", hs_merged_object_ids="2;3"),
            row(5, archived=True, name="Foi-se", domain="cinco.med.br", hs_merged_object_ids="5"),
        ],
        "contacts": [
            {"id": "1", "properties": {"email": "josé@só.med.br", **long}, "createdAt": "2026-01-31 23:30"},
            {"id": "2", "properties": {"email": "", "lastname": ""}},
        ],
        "deals": [
            row(1, amount="10.5", hs_is_closed_won="true", hs_is_closed="true", closedate="2026-02-28"),
            row(2, amount="", closedate=None, dealname=""),
            {**row(3, amount="N/A", closedate="2026-02-30T00:00:00Z"), **tied()},
            {
                **row(4, amount="-3", closedate="0000-01-01T00:00:00Z"),
                **tied(
                    companies=[{"id": "7", "types": [341]}, {"id": "8", "types": [341, 5]}],
                    contacts=[{"id": "9", "types": [3]}, {"id": "10", "types": [3]}],
                ),
            },
            {
                **row(5, archived=True, amount="1e400", closedate="1767225600000"),
                **tied(companies=[{"id": "7", "types": [341]}]),
            },
            {**row(6, closedate="2024-02-29T23:59:59.999999Z"), "_sdc_deleted_at": "2026-01-01"},
        ],
    }
    for table, inserted in rows.items():
        account.insert(table, *inserted, schema="hubspot")
    account.execute(
        """insert into hubspot.deal_pipelines (id, label, archived, stages) values
        ('default', 'Vendas', false, array[
            '{"id": "won", "metadata": {"isClosed": "true", "probability": "1.0"}}',
            '{"id": "lost", "metadata": {"isClosed": "true", "probability": "0.0"}}',
            '{"id": "open", "archived": true, "metadata": {"isClosed": "false", "probability": "0.35"}}',
            '{"id": "no words", "metadata": {"probability": "1"}}',
            '{"id": "odd", "metadata": {"probability": "high"}}',
            '{"id": "no odds"}'
        ]::jsonb[]), ('gone', 'Antigo', true, array['{"id": "old"}']::jsonb[]),
        ('empty', 'Sem etapas', false, '{}'), ('null', 'Nada', null, null)"""
    )
    run = account.dbt("run", "--select", "path:models/staging/hubspot")
    assert run.returncode == 0, run.stdout
    return account


def test_emptied_and_missing_properties_are_null(account: Account) -> None:
    assert account.query(
        "select company_id, company_name, domain, specialty from staging.stg_hubspot__companies "
        "where company_id in ('1', '2', '3') order by 1"
    ) == [("1", "Dra. Só", "só.med.br", None), ("2", None, None, None), ("3", None, None, None)]
    assert account.query(
        "select contact_id, email, last_name, phone from staging.stg_hubspot__contacts order by 1"
    ) == [("1", "josé@só.med.br", None, None), ("2", None, None, None)]


def test_an_unselected_stream_has_no_rows(account: Account) -> None:
    assert account.query("select * from staging.stg_hubspot__owners") == []


def test_archived_and_merged_records_are_deleted(account: Account) -> None:
    deleted = "select company_id from staging.stg_hubspot__companies where is_deleted order by 1"
    assert account.query(deleted) == [("2",), ("3",), ("5",)]
    deleted = "select deal_id from staging.stg_hubspot__deals where is_deleted order by 1"
    assert account.query(deleted) == [("5",), ("6",)]
    assert account.query("select contact_id from staging.stg_hubspot__contacts where is_deleted") == []


def test_times_are_utc(account: Account) -> None:
    assert account.query(
        "select (created_at at time zone 'UTC')::text from staging.stg_hubspot__companies "
        "where company_id in ('1', '2') order by company_id"
    ) == [("2026-01-02 03:04:05.678",), ("2026-01-31 23:30:00",)]


def test_invalid_times_are_null(account: Account) -> None:
    assert account.query(
        "select deal_id, (closed_at at time zone 'UTC')::text from staging.stg_hubspot__deals order by 1"
    ) == [
        ("1", "2026-02-28 00:00:00"),
        ("2", None),
        ("3", None),
        ("4", None),
        ("5", None),
        ("6", "2024-02-29 23:59:59.999999"),
    ]


def test_invalid_amounts_are_null(account: Account) -> None:
    assert account.query("select deal_id, amount from staging.stg_hubspot__deals order by 1") == [
        ("1", Decimal("10.5")),
        ("2", None),
        ("3", None),
        ("4", Decimal(-3)),
        ("5", None),
        ("6", None),
    ]


def test_a_deal_has_its_primary_company_or_else_the_first(account: Account) -> None:
    assert account.query(
        "select deal_id, associated_company_id, associated_contact_id from staging.stg_hubspot__deals "
        "where deal_id in ('1', '3', '4', '5') order by 1"
    ) == [("1", None, None), ("3", None, None), ("4", "8", "9"), ("5", "7", None)]


def test_a_deal_is_won_or_closed_according_to_hubspots_flags(account: Account) -> None:
    assert account.query(
        "select deal_id, is_won, is_closed from staging.stg_hubspot__deals where deal_id in ('1', '2') order by 1"
    ) == [("1", True, True), ("2", False, False)]


def test_a_stage_is_won_or_lost_according_to_its_pipeline(account: Account) -> None:
    assert account.query(
        "select stage_id, pipeline, is_won, is_closed, probability, is_deleted "
        "from staging.stg_hubspot__deal_stages order by 1"
    ) == [
        ("lost", "Vendas", False, True, 0, False),
        ("no odds", "Vendas", False, False, None, False),
        ("no words", "Vendas", True, True, 100, False),
        ("odd", "Vendas", False, False, None, False),
        ("old", "Antigo", False, False, None, True),
        ("open", "Vendas", False, False, 35, True),
        ("won", "Vendas", True, True, 100, False),
    ]


def column_tests() -> set[tuple[str, str, str]]:
    """Return (model, column, kind) of every column test of the HubSpot models, with an empty column for model
    tests.
    """
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


def test_the_nineteen_tests_of_the_older_system_are_kept() -> None:
    wanted = {(model, column, kind) for (model, column), kinds in WANTED.items() for kind in kinds}
    assert len(wanted) == 19
    assert wanted <= column_tests()


SPOILT = {
    "matches_regex_stg_hubspot__contacts_email": ("contacts", "email", "nobody"),
    "accepted_values_stg_hubspot__contacts_lifecycle_stage": ("contacts", "lifecyclestage", "7"),
    "unique_stg_hubspot__companies_domain": ("companies", "domain", "x.com"),
    "between_stg_hubspot__deals_amount": ("deals", "amount", "-1"),
}
"""For each test, a change that makes it warn."""


def test_each_test_warns_about_a_wrong_row(account: Account) -> None:
    """This test runs last because it changes the rows."""
    for table, name, value in SPOILT.values():
        account.execute(f'update hubspot.{table} set properties = properties || \'{{"{name}": "{value}"}}\'')
    run = account.dbt("test", "--select", "path:models/staging/hubspot,test_type:generic")
    warned = {line.partition(" WARN ")[2] for line in run.stdout.splitlines() if " WARN " in line}
    for name in SPOILT:
        assert any(name in line for line in warned), (name, run.stdout)
