"""HubSpot by the stock tap: `meltano run` with the project's own meltano.yml, on the sandbox behind its proxy."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest
import yaml
from pipedrive_sandbox.hubspot.definitions import PROPERTIES
from pipedrive_sandbox.hubspot.portal import Record
from pipedrive_sandbox.hubspot.testing import HubspotSandbox
from pipedrive_sandbox.testing import NOW
from pipedrive_sandbox.warehouse import Warehouse
from psycopg.rows import dict_row

from .pipe import ROOT, connection_settings

MELTANO = Path(sys.executable).with_name("meltano")
KEYS = {"companies": "companyId", "contacts": "id", "deals": "dealId", "deal_pipelines": "pipelineId"}
AUTOMATIC = {"companies": "property_hs_lastmodifieddate", "deals": "property_hs_lastmodifieddate"}
OWN = {"contacts": ("createdAt", "updatedAt", "archived"), "deals": ("isDeleted", "associations")}
"""Columns that are loaded and no properties."""

Row = dict[str, Any]


class Loaded(NamedTuple):
    """A database that the tap and the target have filled, and what ran."""

    sandbox: HubspotSandbox
    database: str
    folder: Path

    def run(self) -> str:
        """`meltano run`, to a good end; return the output."""
        own = {
            "MELTANO_PROJECT_ROOT": str(self.folder),
            "TAP_HUBSPOT_DEMO_API_KEY": self.sandbox.token,
            "HTTPS_PROXY": self.sandbox.proxy,
            "SSL_CERT_FILE": self.sandbox.authority,
            **{
                f"TARGET_POSTGRES_{name.upper()}": str(value)
                for name, value in connection_settings(self.database).items()
            },
        }
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("TAP_", "TARGET_", "MELTANO_"))}
        run = subprocess.run(
            [MELTANO, "run", "tap-hubspot-demo", "target-postgres-hubspot"],
            cwd=self.folder,
            env=inherited | own,
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, run.stderr[-3000:]
        return run.stdout + run.stderr

    def query(self, statement: str) -> list[Row]:
        """All rows of a statement."""
        with psycopg.connect(self.database, row_factory=dict_row) as connection:
            return connection.execute(statement.encode()).fetchall()

    def raw(self, table: str) -> dict[Any, Row]:
        """A raw table by key, without what the target adds."""
        return {
            row[KEYS[table]]: {name: value for name, value in row.items() if not name.startswith("_sdc_")}
            for row in self.query(f"select * from hubspot.{table}")
        }

    def written_since(self, moment: datetime, table: str) -> set[int]:
        """Keys of the rows that were written since then."""
        since = moment.replace(tzinfo=None)
        rows = self.query(f"select * from hubspot.{table} where _sdc_batched_at >= '{since}'")
        return {int(row[KEYS[table]]) for row in rows}


@pytest.fixture(scope="module")
def loaded(
    installed: Callable[[str, str], Path], warehouse: Warehouse, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Loaded]:
    """After a first run, with more than a page of everything that has pages."""
    installed("extractor", "tap-hubspot-demo")
    installed("loader", "target-postgres")
    folder = tmp_path_factory.mktemp("project")
    (folder / ".meltano").mkdir()
    shutil.copy(ROOT / "meltano.yml", folder)
    for name in ("plugins", ".meltano/extractors", ".meltano/loaders"):
        (folder / name).symlink_to(ROOT / name)
    with HubspotSandbox(deals=300) as sandbox:
        loaded = Loaded(sandbox, warehouse.create_database("hubspot"), folder)
        assert sandbox.token not in loaded.run()
        yield loaded
    warehouse.drop_database("hubspot")


@cache
def selected(table: str) -> frozenset[str]:
    """Properties that meltano.yml selects of an object."""
    taps = yaml.safe_load((ROOT / "meltano.yml").read_text())["plugins"]["extractors"]
    (patterns,) = (tap["select"] for tap in taps if tap["name"] == "tap-hubspot")
    columns = [f"property_{each.name}" for each in PROPERTIES[table]]
    return frozenset(
        column
        for column in columns
        if column == AUTOMATIC.get(table) or any(fnmatchcase(f"{table}.{column}", each) for each in patterns)
    )


def as_singer(milliseconds: int) -> str:
    """How the tap writes a time."""
    moment = datetime.fromtimestamp(milliseconds // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000 * 1000:06d}Z"


def old_property(record: Record, name: str, kind: str) -> Row | None:
    """What must come of a property through an older endpoint."""
    if name not in record.values:
        return None
    value = record.values[name]
    match kind:
        case "datetime":
            value = as_singer(value)
        case "number":
            value = float(value) if value[:1].isdecimal() else value
        case "bool":
            value = value == "true"
    return {"value": value, "timestamp": as_singer(record.set_at[name]), "source": "API", "sourceId": None}


def expected(sandbox: HubspotSandbox, table: str) -> dict[Any, Row]:
    """The rows and all columns that the tap's schema gives them."""
    rows = {}
    for record in sandbox.portal.listed(table):
        row: Row = dict.fromkeys(f"property_{each.name}" for each in PROPERTIES[table])
        for each in PROPERTIES[table]:
            if (column := f"property_{each.name}") not in selected(table):
                continue
            is_old = table != "contacts"
            row[column] = (
                old_property(record, each.name, each.type) if is_old else record.values.get(each.name)
            )
        row |= {"properties": None}
        if table == "contacts":
            row |= {"associations": None, "objectWriteTraceId": None, "id": str(record.id), "archived": False}
            for column, name in (("createdAt", "createdate"), ("updatedAt", "lastmodifieddate")):
                moment = datetime.fromtimestamp(record.values[name] / 1000, UTC)
                row[column] = moment.replace(tzinfo=None)
        else:
            row |= {"portalId": None, "properties_versions": None, KEYS[table]: record.id}
        if table == "deals":
            row["isDeleted"] = False
            row["associations"] = {
                "associatedVids": record.associated.get("contacts", []),
                "associatedCompanyIds": record.associated.get("companies", []),
                "associatedDealIds": [],
            }
        rows[row[KEYS[table]]] = row
    return rows


@pytest.mark.parametrize("table", ["companies", "contacts", "deals"])
def test_every_column_of_every_row_is_there(loaded: Loaded, table: str) -> None:
    wanted = expected(loaded.sandbox, table)
    assert len(wanted) > 25
    assert loaded.raw(table) == wanted


def test_pipelines_are_there_with_their_stages(loaded: Loaded) -> None:
    pipelines = json.loads(loaded.sandbox.send("GET", "/deals/v1/pipelines").text)
    assert loaded.raw("deal_pipelines") == {each["pipelineId"]: each for each in pipelines}


def test_lists_were_read_page_by_page(loaded: Loaded) -> None:
    for path in ("/crm/v3/objects/contacts", "/deals/v1/deal/paged"):
        assert len(loaded.sandbox.requests(path)) == 3


def test_nothing_but_the_sandbox_was_asked(loaded: Loaded) -> None:
    assert {seen.status for seen in loaded.sandbox.requests() if "tickets" not in seen.path} == {200}


def test_mart_companies_is_what_the_deals_add_up_to(
    loaded: Loaded, installed: Callable[[str, str], Path], tmp_path: Path
) -> None:
    dbt = installed("utility", "dbt-postgres") / "dbt"
    target = connection_settings(loaded.database)
    transform = str(ROOT / "transform")
    environment = os.environ | {f"TARGET_POSTGRES_{name.upper()}": str(target[name]) for name in target}
    environment |= {"DBT_PROJECT_DIR": transform, "DBT_PROFILES_DIR": transform}
    environment |= {"DBT_TARGET_PATH": str(tmp_path), "DBT_LOG_PATH": str(tmp_path / "logs")}
    build = [str(dbt), "build", "--select", "+mart_companies", "--indirect-selection", "buildable"]
    build += ["--exclude-resource-type", "unit_test"]
    run = subprocess.run(build, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout
    rows = loaded.query("select * from marts.mart_companies")
    assert {row["company_id"]: row for row in rows} == mart_companies(loaded.sandbox)


def mart_companies(sandbox: HubspotSandbox) -> dict[str, Row]:
    """The mart, from what HubSpot says: each deal at its company, or the only one of its domain."""
    won = {
        stage["stageId"]
        for pipeline in sandbox.get("/deals/v1/pipelines")
        for stage in pipeline["stages"]
        if stage["closedWon"]
    }
    companies = {row["id"]: row["properties"] for row in sandbox.truth("companies")}
    by_domain = defaultdict(list)
    for id_, company in companies.items():
        by_domain[company["domain"]].append(id_)
    deals = defaultdict(list)
    for deal in sandbox.truth("deals"):
        candidates = deal["associations"].get("companies") or by_domain.get(
            deal["properties"]["company_domain"], []
        )
        if len(candidates) == 1:
            deals[candidates[0]].append(deal["properties"])
    found = {}
    for id_, company in companies.items():
        sold = [deal for deal in deals[id_] if deal["dealstage"] in won]
        amounts = [Decimal(deal["amount_in_home_currency"]) for deal in sold if deal["amount"]]
        found[id_] = {
            "company_id": id_,
            "company_name": company["name"],
            "domain": company["domain"],
            "especialidade_medica": company["especialidade_medica"],
            "total_deals": len(deals[id_]),
            "total_won_deals": len(sold),
            "total_revenue": sum(amounts, Decimal(0)),
            "average_deal_value": round(sum(amounts, Decimal("1e-9")) / len(amounts), 2) if amounts else None,
        }
    return found


def test_the_second_run_writes_what_changed(loaded: Loaded) -> None:
    """Runs last, as it changes the account."""
    sandbox = loaded.sandbox
    newest = {
        kind: max(sandbox.portal.listed(kind), key=lambda record: max(record.set_at.values()))
        for kind in ("companies", "contacts", "deals")
    }
    company, contact, deal, gone = (
        sandbox.portal.listed(kind)[3 + i]
        for i, kind in enumerate(("companies", "contacts", "deals", "deals"))
    )
    changes = {
        f"companies/{company.id}": {"name": "Dra. Só Núñez"},
        f"contacts/{contact.id}": {"email": ""},
        f"deals/{deal.id}": {"dealstage": "1047102", "amount": "N/A"},
    }
    for path, properties in changes.items():
        reply = sandbox.send("PATCH", f"/crm/v3/objects/{path}", {"properties": properties})
        assert reply.status == 200
    body = {"properties": {"dealname": "Retorno", "dealstage": "1047101", "pipeline": "75312468"}}
    new = int(sandbox.send("POST", "/crm/v3/objects/deals", body).json()["id"])
    sandbox.send("DELETE", f"/crm/v3/objects/deals/{gone.id}")
    before, asked = datetime.now(UTC), len(sandbox.requests("/companies/v2/companies/"))
    loaded.run()

    # the tap reads from its bookmark on, that moment included
    assert loaded.written_since(before, "companies") == {company.id, newest["companies"].id}
    assert loaded.written_since(before, "contacts") == {contact.id, newest["contacts"].id}
    assert loaded.written_since(before, "deals") == {deal.id, new, newest["deals"].id}
    assert len(sandbox.requests("/companies/v2/companies/")) - asked == 3  # a page, and two that changed
    raw = {table: loaded.raw(table) for table in newest}
    assert raw["companies"] == expected(sandbox, "companies")
    assert raw["contacts"] == expected(sandbox, "contacts")
    assert raw["deals"][deal.id]["property_amount"]["value"] == "N/A"
    assert raw["deals"].pop(gone.id), "the tap does not see that it was deleted"
    assert raw["deals"].keys() == expected(sandbox, "deals").keys()
    assert raw["deals"][new] == expected(sandbox, "deals")[new]
    assert datetime.fromisoformat(raw["deals"][new]["property_createdate"]["value"]) > NOW
