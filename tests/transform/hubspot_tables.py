"""The raw tables of HubSpot, filled as tap and target fill them."""

from __future__ import annotations

from typing import Any

from pipedrive_sandbox.hubspot.definitions import MODIFIED_BY
from pipedrive_sandbox.hubspot.portal import Portal

from .conftest import Account

COLUMNS = 'id text, properties jsonb, "createdAt" timestamp, "updatedAt" timestamp, archived boolean'


def load_hubspot(account: Account, portal: Portal) -> None:
    """Make and fill the tables of companies, contacts and deals."""
    account.execute("create schema hubspot")
    for table in ("companies", "contacts", "deals"):
        account.execute(f"create table hubspot.{table} ({COLUMNS}, associations jsonb)")
        rows = []
        for record in portal.truth(table):
            values = record["properties"]
            moments = {"createdAt": values["createdate"], "updatedAt": values[MODIFIED_BY[table]]}
            row = {"id": record["id"], "properties": values, **moments, "archived": False}
            rows.append({**row, "associations": associated(record)})
        account.insert(table, *rows, schema="hubspot")


def associated(record: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Return the associations of a deal."""
    types = {"companies": [5, 341], "contacts": [3]}
    return {
        kind: [{"id": id_, "types": types[kind]} for id_ in record["associations"].get(kind, ())]
        for kind in types
    }
