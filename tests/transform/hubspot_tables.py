"""The raw tables of HubSpot, filled as the stock tap and the target fill them."""

from __future__ import annotations

from typing import Any

from pipedrive_sandbox.hubspot.definitions import PROPERTIES
from pipedrive_sandbox.hubspot.portal import Portal

from .conftest import Account

KEYS = {"companies": "companyId", "contacts": "id", "deals": "dealId"}


def load_hubspot(account: Account, portal: Portal) -> None:
    """Make and fill the tables of companies, contacts and deals."""
    account.execute("create schema hubspot")
    for table, key in KEYS.items():
        is_new = table == "contacts"  # whose endpoint gives bare values; those of the others have a history
        names = [each.name for each in PROPERTIES[table]]
        columns = ", ".join(f"property_{name} {'text' if is_new else 'jsonb'}" for name in names)
        account.execute(
            f'create table hubspot.{table} ("{key}" {"text" if is_new else "bigint"}, {columns}, '
            '"createdAt" timestamp, "updatedAt" timestamp, associations jsonb)'
        )
        for record in portal.truth(table):
            values = record["properties"]
            row = {
                f"property_{name}": value if is_new else with_history(name, value)
                for name, value in values.items()
            }
            row |= {key: record["id"], "associations": associated(record)}
            row |= (
                {"createdAt": values["createdate"], "updatedAt": values["lastmodifieddate"]} if is_new else {}
            )
            account.insert(table, row, schema="hubspot")


def with_history(name: str, value: str | None) -> dict[str, Any] | None:
    """A property of a company or deal; one that was never set is not there."""
    if value is None:
        return None
    return {"value": float(value) if name.startswith("amount") and value else value, "source": "API"}


def associated(record: dict[str, Any]) -> dict[str, list[int]]:
    """The associations of a deal."""
    return {
        f"associated{name}": [int(id_) for id_ in record["associations"].get(kind, ())]
        for name, kind in (("CompanyIds", "companies"), ("Vids", "contacts"))
    }
