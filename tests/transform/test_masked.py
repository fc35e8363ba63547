"""The models on an account whose persons, users, organizations and notes are masked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pipedrive_sandbox.testing import Sandbox
from psycopg import sql

from ..pipeline.pipe import Pipe
from .conftest import DATA_ONLY, Account, Dbt

MASK = {
    "persons": ["name", "emails", "phones", "im", "notes", "postal_address"],
    "users": ["name", "email", "phone"],
    "activities": {"subject": "hash", "attendees": "hash", "note": "drop", "public_description": "drop"},
    "leads": ["title"],
    "notes": {"content": "drop"},
    "organizations": ["name"],
}


@pytest.fixture(scope="module")
def masked(
    new_database: Callable[..., str], dbt: Dbt, target: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Account, dict[str, list[dict[str, Any]]]]:
    """The account after `dbt build` with all its data tests, and the unmasked data."""
    account = Account(new_database("masked"), tmp_path_factory.mktemp("masked"), dbt)
    with Sandbox(deals=120) as sandbox:
        settings: dict[str, Any] = {"api_token": sandbox.token, "api_url": sandbox.url}
        settings |= {"source_checks": "each", "mask": MASK, "mask_key": "a key that nobody can guess"}
        Pipe(target, tmp_path_factory.mktemp("pipe"), account.url, settings).run().succeeded()
        truth = {name: sandbox.truth(name) for name in ("persons", "users", "organizations")}
    account.build(*DATA_ONLY)
    return account, truth


@pytest.fixture(scope="session")
def target(installed: Callable[[str, str], Path]) -> Path:
    return installed("loader", "target-postgres") / "target-postgres"


def test_no_table_or_view_contains_an_unmasked_value(
    masked: tuple[Account, dict[str, list[dict[str, Any]]]],
) -> None:
    """Every row of every table and view of the load and the models is searched as text."""
    account, truth = masked
    emails = {each["value"] for row in truth["persons"] for each in row["emails"] if each["value"]}
    emails |= {row["email"] for row in truth["users"]}
    names = {row["name"] for row in [*truth["persons"], *truth["users"]] if " " in str(row["name"])}
    assert len(emails) > 50
    assert len(names) > 50
    plain = sorted(map(str, emails | names))
    with psycopg.connect(account.url) as connection:
        relations = connection.execute(
            "select table_schema, table_name from information_schema.tables"
            " where table_schema not in ('information_schema', 'pg_catalog')"
        ).fetchall()
        assert len(relations) > 100
        found = {}
        for schema, name in relations:
            query = sql.SQL(
                "select string_agg(distinct plain, ', ') from {} as found"
                " cross join unnest(%s::text[]) as plain where strpos(found::text, plain) > 0"
            ).format(sql.Identifier(schema, name))
            (leaked,) = connection.execute(query, [plain]).fetchone() or (None,)
            if leaked:
                found[schema, name] = leaked
    assert found == {}


def test_persons_with_the_same_address_are_still_found(
    masked: tuple[Account, dict[str, list[dict[str, Any]]]],
) -> None:
    account, truth = masked
    ((count,),) = account.query(
        "select count(*) from intermediate.int_contact_match_keys where match_rule = 'email' and crm = 'pipedrive'"
    )
    addresses = {
        (row["id"], str(each["value"]).strip().lower())
        for row in truth["persons"]
        for each in row["emails"]
        if "@" in str(each["value"])
    }
    assert 0.8 * len(addresses) < count <= len(addresses)
