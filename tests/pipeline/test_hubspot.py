"""HubSpot: `meltano run` with the project's meltano.yml on the sandbox, and the marts built from it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest
import yaml
from embedded_postgres.warehouse import Warehouse
from pipedrive_sandbox.hubspot.definitions import MODIFIED_BY, OWNERS, PIPELINES
from pipedrive_sandbox.hubspot.portal import Record
from pipedrive_sandbox.hubspot.testing import HubspotSandbox
from psycopg.rows import dict_row

from .pipe import ROOT, connection_settings

MELTANO = Path(sys.executable).with_name("meltano")
OBJECTS = ("companies", "contacts", "deals")

NO_NUMBERS = {"amount": "N/A", "amount_in_home_currency": "N/A", "closedate": "soon"}
"""Invalid texts in properties of numbers and times."""

Row = dict[str, Any]


class Loaded(NamedTuple):
    """A database that tap and target have filled, with the requests of the run."""

    sandbox: HubspotSandbox
    database: str
    folder: Path

    def run(self) -> str:
        """Run Meltano, check that it succeeds, and return the output."""
        own = {
            "MELTANO_PROJECT_ROOT": str(self.folder),
            "TAP_HUBSPOT_DEMO_API_URL": self.sandbox.url,
            "TAP_HUBSPOT_DEMO_ACCESS_TOKEN": self.sandbox.token,
            "TAP_HUBSPOT_DEMO__SELECT": json.dumps([*select(), "contacts.properties.*"]),
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
        """Return all rows of a query."""
        with psycopg.connect(self.database, row_factory=dict_row) as connection:
            return connection.execute(statement.encode()).fetchall()

    def raw(self, table: str) -> dict[str, Row]:
        """Return a raw table by id, without the columns that the target adds."""
        return {
            row["id"]: {name: value for name, value in row.items() if not name.startswith("_sdc_")}
            for row in self.query(f"select * from hubspot.{table}")
        }

    def written_since(self, moment: datetime, table: str) -> set[str]:
        """Return the ids of rows written since a moment."""
        since = moment.replace(tzinfo=None)
        return {
            row["id"]
            for row in self.query(f"select id from hubspot.{table} where _sdc_batched_at >= '{since}'")
        }


@pytest.fixture(scope="module")
def loaded(
    installed: Callable[[str, str], Path], warehouse: Warehouse, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Loaded]:
    """The result of a first run, with several pages of each list and more properties than a table can have
    columns.
    """
    installed("extractor", "tap-hubspot")
    installed("loader", "target-postgres")
    folder = tmp_path_factory.mktemp("project")
    (folder / ".meltano").mkdir()
    shutil.copy(ROOT / "meltano.yml", folder)
    for name in ("plugins", ".meltano/extractors", ".meltano/loaders"):
        (folder / name).symlink_to(ROOT / name)
    with HubspotSandbox(deals=300, properties=1650) as sandbox:
        loaded = Loaded(sandbox, warehouse.create_database("hubspot"), folder)
        assert sandbox.token not in loaded.run()
        yield loaded
    warehouse.drop_database("hubspot")


@cache
def select() -> tuple[str, ...]:
    """Return the selection in meltano.yml."""
    taps = yaml.safe_load((ROOT / "meltano.yml").read_text())["plugins"]["extractors"]
    (patterns,) = (tap["select"] for tap in taps if tap["name"] == "tap-hubspot")
    return tuple(patterns)


def expected(sandbox: HubspotSandbox, kind: str, record: Record) -> Row:
    """Return the expected row of a record."""
    portal = sandbox.portal
    names = list(portal.types[kind])
    if kind != "contacts":
        names = [name for name in names if f"{kind}.properties.{name}" in select()]
    moments = {"createdAt": "createdate", "updatedAt": MODIFIED_BY[kind]}
    row: Row = {
        "id": str(record.id),
        "properties": {name: portal.text(kind, record, name) for name in names},
        **{column: as_moment(portal.text(kind, record, name)) for column, name in moments.items()},
        "archived": record.archived_at is not None,
    }
    if kind == "deals":
        found = {other: record.associated.get(other, []) for other in ("companies", "contacts")}
        row["associations"] = {
            "companies": [{"id": str(id_), "types": [5, 341]} for id_ in found["companies"]],
            "contacts": [{"id": str(id_), "types": [3]} for id_ in found["contacts"]],
        }
    return row


def as_moment(text: str | None) -> datetime:
    return datetime.fromisoformat(str(text)).replace(tzinfo=None)


@pytest.mark.parametrize("table", OBJECTS)
def test_every_column_of_every_row_is_loaded(loaded: Loaded, table: str) -> None:
    wanted = {
        str(each.id): expected(loaded.sandbox, table, each) for each in loaded.sandbox.portal.listed(table)
    }
    assert len(wanted) > 25
    assert loaded.raw(table) == wanted


def test_pipelines_and_owners_are_loaded(loaded: Loaded) -> None:
    pipelines = {each["id"]: each for each in loaded.sandbox.get("/crm/v3/pipelines/deals")["results"]}
    rows = loaded.raw("deal_pipelines")
    assert rows.keys() == pipelines.keys()
    assert all(row["stages"] == pipelines[id_]["stages"] for id_, row in rows.items())
    owners = {row["id"]: f"{row['firstName']} {row['lastName']}" for row in loaded.raw("owners").values()}
    assert owners == owner_names()


def owner_names() -> dict[str, str]:
    return {each.id: f"{each.first_name} {each.last_name}" for each in OWNERS}


def test_lists_are_read_page_by_page_and_no_request_is_refused(loaded: Loaded) -> None:
    lists = [seen for seen in loaded.sandbox.requests("/crm/v3/objects/deals") if seen.method == "GET"]
    assert len([seen for seen in lists if seen.query["archived"] == "false"]) == 3
    assert {seen.status for seen in loaded.sandbox.requests()} <= {200, 207}
    assert max(seen.target_length for seen in loaded.sandbox.requests()) < 2000


def test_the_second_run_writes_the_changes(loaded: Loaded) -> None:
    """This test runs before the marts are built, because they have to include the changes."""
    portal = loaded.sandbox.portal
    newest = {
        kind: str(max(portal.listed(kind), key=lambda each, by=MODIFIED_BY[kind]: each.values[by]).id)  # type: ignore[misc]
        for kind in OBJECTS
    }
    company, contact, deal = (portal.listed(kind)[3 + i] for i, kind in enumerate(OBJECTS))
    gone = portal.listed("deals")[9]
    with_deals = [each for each in portal.listed("companies") if len(each.associated.get("deals", ())) > 1]
    *_, closed, one, other = with_deals
    untied = {str(id_) for id_ in closed.associated["deals"]}
    with portal.clock.held(portal.clock.now() + timedelta(minutes=10)):  # beyond the lookback
        portal.update("companies", company, {"name": "Dra. Só Núñez"})
        portal.update("contacts", contact, {"email": ""})
        portal.update("deals", deal, {"dealstage": "1047102", "pipeline": "75312468", **NO_NUMBERS})
        new = portal.create("deals", {"dealname": "Retorno", "dealstage": "1047102", "pipeline": "75312468"})
        portal.archive("deals", gone)
        portal.archive("companies", closed)
        kept = portal.merge("companies", one, other)
    portal.clock.advance(601)
    before = datetime.now(UTC)
    loaded.run()

    definitions = loaded.sandbox.requests("/crm/v3/properties/")
    assert len(definitions) == 2 * len(OBJECTS), "each run asks once, because new properties can be selected"
    # a run begins at the latest change that the run before has read
    companies = {str(each.id) for each in (company, kept, closed)}
    assert loaded.written_since(before, "companies") == companies | {newest["companies"]}
    assert loaded.written_since(before, "contacts") == {str(contact.id), newest["contacts"]}
    changed = {str(each.id) for each in (deal, new, gone)}
    assert loaded.written_since(before, "deals") == changed | {newest["deals"]}
    deals = loaded.raw("deals")
    assert deals.pop(str(gone.id))["archived"]
    # deals of deleted companies were not changed, and still name these companies
    behind = untied | {str(id_) for id_ in kept.associated["deals"]}
    wanted = {str(each.id): expected(loaded.sandbox, "deals", each) for each in portal.listed("deals")}
    assert {id_: row for id_, row in deals.items() if id_ not in behind} == {
        id_: row for id_, row in wanted.items() if id_ not in behind
    }
    assert deals[str(deal.id)]["properties"]["amount"] == "N/A"


@pytest.fixture(scope="module")
def modelled(
    loaded: Loaded, installed: Callable[[str, str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Loaded:
    """The database after a build of HubSpot's marts with their tests."""
    dbt = installed("utility", "dbt-postgres") / "dbt"
    target = connection_settings(loaded.database)
    transform, made = str(ROOT / "transform"), tmp_path_factory.mktemp("dbt")
    environment = os.environ | {f"TARGET_POSTGRES_{name.upper()}": str(target[name]) for name in target}
    environment |= {"DBT_PROJECT_DIR": transform, "DBT_PROFILES_DIR": transform}
    environment |= {
        "DBT_TARGET_PATH": str(made),
        "DBT_LOG_PATH": str(made / "logs"),
        "HUBSPOT_CURRENCY": "BRL",
    }
    build = [str(dbt), "build", "--select", "+mart_companies", "+fct_hubspot_deals"]
    build += ["--indirect-selection", "buildable", "--exclude-resource-type", "unit_test"]
    run = subprocess.run(build, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout
    return loaded


def companies_of_deals(sandbox: HubspotSandbox) -> dict[str, str]:
    """Return each deal's company: the associated one, or else the only one with its domain."""
    by_domain = defaultdict(list)
    for company in sandbox.truth("companies"):
        by_domain[company["properties"]["domain"]].append(company["id"])
    found = {}
    for deal in sandbox.truth("deals"):
        candidates = deal["associations"].get("companies") or by_domain.get(
            deal["properties"]["company_domain"], []
        )
        if len(candidates) == 1:
            found[deal["id"]] = candidates[0]
    return found


def test_mart_companies_equals_the_sums_of_its_deals(modelled: Loaded) -> None:
    rows = modelled.query("select * from marts.mart_companies")
    assert {row["company_id"]: row for row in rows} == mart_companies(modelled.sandbox)


def mart_companies(sandbox: HubspotSandbox) -> dict[str, Row]:
    """Return the expected mart from the sandbox's data."""
    won = {stage.id for pipeline in PIPELINES for stage in pipeline.stages if stage.is_won}
    companies, owned = companies_of_deals(sandbox), defaultdict(list)
    for deal in sandbox.truth("deals"):
        owned[companies.get(deal["id"])].append(deal["properties"])
    found = {}
    for company in sandbox.truth("companies"):
        sold = [deal for deal in owned[company["id"]] if deal["dealstage"] in won]
        amounts = [Decimal(deal["amount_in_home_currency"]) for deal in sold if number(deal["amount"])]
        found[company["id"]] = {
            "company_id": company["id"],
            "company_name": company["properties"]["name"],
            "domain": company["properties"]["domain"],
            "especialidade_medica": company["properties"]["especialidade_medica"],
            "total_deals": len(owned[company["id"]]),
            "total_won_deals": len(sold),
            "total_revenue": sum(amounts, Decimal(0)),
            "average_deal_value": round(sum(amounts, Decimal("1e-9")) / len(amounts), 2) if amounts else None,
        }
    return found


def number(text: str | None) -> Decimal | None:
    return Decimal(text) if text and text != "N/A" else None


def test_fct_hubspot_deals_has_every_deal_with_its_names(modelled: Loaded) -> None:
    sandbox = modelled.sandbox
    columns = "deal_id, company_id, company_name, owner_name, pipeline_name, stage_name, amount, currency"
    columns += ", is_open, is_won, is_lost, created_at, closed_at"
    rows = modelled.query(f"select {columns} from marts.fct_hubspot_deals where not is_deleted")
    company_names = {row["id"]: row["properties"]["name"] for row in sandbox.truth("companies")}
    stages = {stage.id: stage for pipeline in PIPELINES for stage in pipeline.stages}
    pipelines = {pipeline.id: pipeline.label for pipeline in PIPELINES}
    companies, wanted = companies_of_deals(sandbox), {}
    for deal in sandbox.truth("deals"):
        values, company = deal["properties"], companies.get(deal["id"])
        stage, closed_at = stages[values["dealstage"]], values["closedate"]
        wanted[deal["id"]] = {
            "deal_id": deal["id"],
            "company_id": company,
            "company_name": company_names.get(company or ""),
            "owner_name": owner_names().get(values["hubspot_owner_id"]),
            "pipeline_name": pipelines[values["pipeline"]],
            "stage_name": stage.label,
            "amount": number(values["amount"]),
            "currency": values["deal_currency_code"] or "BRL",
            "is_open": not stage.is_closed,
            "is_won": stage.is_won,
            "is_lost": stage.is_closed and not stage.is_won,
            "created_at": datetime.fromisoformat(values["createdate"]),
            "closed_at": datetime.fromisoformat(closed_at) if closed_at and closed_at != "soon" else None,
        }
    assert {row["deal_id"]: row for row in rows} == wanted
    (gone,) = modelled.query("select is_open, is_won, is_lost from marts.fct_hubspot_deals where is_deleted")
    assert not any(gone.values())
