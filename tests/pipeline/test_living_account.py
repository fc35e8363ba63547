"""Changes between two runs: fields and options renamed, added, deleted; deals and leads archived, merged,
deleted.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from embedded_postgres.warehouse import Warehouse
from pipedrive_sandbox.testing import Sandbox

from .conftest import TOKEN
from .expected import Expected, Row, Table, after_run, expected
from .pipe import Pipe, Run
from .raw import differences, read
from .test_incremental import clock_moved_on


@dataclass
class Lived:
    """The changes, and the warehouse after them."""

    before: Expected
    now: Expected
    differences: list[str]
    tables: dict[str, Table]
    run: Run
    fields: dict[str, str]
    """Keys of fields by the change made to them."""
    deals: dict[str, int]
    """Ids of deals by the change made to them."""
    leads: dict[str, str]

    def deal(self, what: str) -> Row:
        """Return the warehouse's row of the deal with this change."""
        return self.tables["deals"].rows[(self.deals[what],)]

    def column(self, what: str) -> str:
        """Return the column of the field with this change."""
        return (self.before.names["deals"] | self.now.names["deals"])[self.fields[what]]


@pytest.fixture(scope="module")
def lived(target: Path, tmp_path_factory: pytest.TempPathFactory, warehouse: Warehouse) -> Iterator[Lived]:
    """An account that was loaded, changed in all these ways, and loaded again."""
    database = warehouse.create_database("lived")
    with Sandbox(deals=60, tokens=[TOKEN]) as sandbox:
        api = {"api_token": sandbox.token, "api_url": sandbox.url}
        pipe = Pipe(target, tmp_path_factory.mktemp("lived"), database, api)
        account = Changes(sandbox)
        before = expected(sandbox)
        pipe.run().succeeded()
        since = clock_moved_on(sandbox)
        account.change_fields()
        account.change_deals()
        account.change_leads()
        now = expected(sandbox, before)
        run = pipe.run().succeeded()
    found = differences(database, after_run(before, now, since))
    yield Lived(before, now, found, read(database), run, account.fields, account.deals, account.leads)
    warehouse.drop_database("lived")


class Changes:
    """Chooses fields, deals and leads, and changes them."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.fields: dict[str, str] = {}
        self.deals: dict[str, int] = {}
        self.leads: dict[str, str] = {}

    def change_fields(self) -> None:
        """Rename a field and give another its old name, delete one and create another of its name, rename an
        option.
        """
        custom = [row for row in self._truth("fields", entity="deal") if row["is_custom_field"]]
        filled = [
            row
            for row in custom
            if row["field_type"] == "varchar" and len(self._with(row["field_code"])) >= 3
            if [other["field_name"] for other in custom].count(row["field_name"]) == 1
        ]
        renamed, deleted = filled[:2]
        self.fields = {"renamed": renamed["field_code"], "deleted": deleted["field_code"]}
        self._patch_field(renamed, "Nome que ninguém mais reconhece")
        self.fields["namesake"] = self._add_field(renamed["field_name"], "varchar")
        self.sandbox.delete(f"/sandbox/fields/deal/{deleted['field_code']}")
        self.fields["successor"] = self._add_field(deleted["field_name"], "varchar")
        self.fields["new"] = self._add_field("Prioridade nova", "monetary")

        choice = next(
            row
            for row in custom
            if row["field_type"] == "enum"
            and any(len(self._with(row["field_code"], o["id"])) > 1 for o in row["options"])
        )
        self.fields["option"] = choice["field_code"]
        option = next(o for o in choice["options"] if len(self._with(choice["field_code"], o["id"])) > 1)
        path = f"/sandbox/fields/deal/{choice['field_code']}/options/{option['id']}"
        self.sandbox.patch(path, {"label": "Rótulo novo"})
        touched, untouched = self._with(choice["field_code"], option["id"])[:2]
        self.deals |= {"option, changed since": touched, "option, as before": untouched}
        self.sandbox.patch(f"/sandbox/records/deals/{touched}", {"probability": 12})

        values = {
            self.fields["renamed"]: "valor depois do novo nome",
            self.fields["namesake"]: "valor do homônimo",
            self.fields["successor"]: "valor do sucessor",
            self.fields["new"]: {"value": 17, "currency": "EUR"},
        }
        self.deals["filled"] = self._with(self.fields["renamed"])[-1]
        self.sandbox.patch(f"/sandbox/records/deals/{self.deals['filled']}", {"custom_fields": values})

    def change_deals(self) -> None:
        """Archive, unarchive, merge and delete deals."""
        taken = set(self.deals.values())
        deals = [row for row in self._truth("deals", is_deleted=False) if row["id"] not in taken]
        live = [row["id"] for row in deals if not row["is_archived"]]
        self.deals |= dict(zip(("archived", "merged", "winner", "deleted"), live[:4], strict=True))
        self.deals["unarchived"] = next(row["id"] for row in deals if row["is_archived"])
        self.sandbox.post(f"/sandbox/deals/{self.deals['archived']}/archive")
        self.sandbox.post(f"/sandbox/deals/{self.deals['unarchived']}/unarchive")
        self.sandbox.post(f"/sandbox/deals/{self.deals['merged']}/merge", {"with": self.deals["winner"]})
        self.sandbox.delete(f"/sandbox/records/deals/{self.deals['deleted']}")

    def change_leads(self) -> None:
        """Archive, unarchive and delete leads; a deleted lead vanishes at once."""
        live = [row["id"] for row in self._truth("leads", is_archived=False)]
        archived = [row["id"] for row in self._truth("leads", is_archived=True)]
        self.leads = {"archived": live[0], "deleted": live[1], "unarchived": archived[0]}
        self.sandbox.post(f"/sandbox/leads/{live[0]}/archive")
        self.sandbox.post(f"/sandbox/leads/{archived[0]}/unarchive")
        self.sandbox.delete(f"/sandbox/records/leads/{live[1]}")

    def _truth(self, table: str, /, **wanted: Any) -> list[Row]:
        return [
            row
            for row in self.sandbox.truth(table)
            if all(row[key] == value for key, value in wanted.items())
        ]

    def _with(self, key: str, value: Any = None) -> list[int]:
        """Return ids of live deals that have any value, or this value, in a custom field."""
        return [
            row["id"]
            for row in self._truth("deals", is_deleted=False)
            if (row["custom_fields"][key] == value if value else row["custom_fields"][key])
        ]

    def _patch_field(self, field: Row, name: str) -> None:
        self.sandbox.patch(f"/sandbox/fields/deal/{field['field_code']}", {"field_name": name})

    def _add_field(self, name: str, kind: str) -> str:
        made = self.sandbox.post("/sandbox/fields/deal", {"field_name": name, "field_type": kind})
        key: str = made["field_code"]
        return key


def test_all_tables_equal_the_account_as_far_as_an_incremental_run_can_see(lived: Lived) -> None:
    assert lived.differences == []


def test_a_renamed_field_keeps_its_column(lived: Lived) -> None:
    column = lived.column("renamed")
    assert column in lived.before["deals"].columns
    assert lived.deal("filled")[column] == "valor depois do novo nome"
    named = lived.tables["fields"].rows["deal", lived.fields["renamed"]]
    assert (named["field_name"], named["column_name"]) == ("Nome que ninguém mais reconhece", column)


def test_a_new_field_with_an_old_name_gets_its_own_column(lived: Lived) -> None:
    for what, value in (("namesake", "valor do homônimo"), ("successor", "valor do sucessor")):
        column = lived.column(what)
        assert column not in lived.before["deals"].columns
        assert column.endswith("_" + lived.fields[what][:6])
        assert lived.deal("filled")[column] == value


def test_a_new_field_has_all_its_columns(lived: Lived) -> None:
    row = lived.deal("filled")
    assert (row["prioridade_nova"], row["prioridade_nova_currency"]) == ("17", "EUR")
    assert "prioridade_nova" in lived.tables["leads"].columns


def test_a_deleted_field_keeps_its_column_and_old_values(lived: Lived) -> None:
    column = lived.column("deleted")
    kept = {key: row[column] for key, row in lived.tables["deals"].rows.items()}
    assert kept == {key: row[column] for key, row in lived.before["deals"].rows.items()}
    assert any(kept.values())
    assert ("deal", lived.fields["deleted"]) in lived.tables["fields"].rows


def test_a_row_gets_the_new_label_of_an_option_when_it_changes(lived: Lived) -> None:
    """The table of options has the new label at once."""
    column = lived.column("option")
    option = lived.deal("option, changed since")[column + "_id"]
    assert (
        lived.tables["field_options"].rows["deal", lived.fields["option"], str(option)]["label"]
        == "Rótulo novo"
    )
    assert lived.deal("option, changed since")[column] == "Rótulo novo"
    assert lived.deal("option, as before")[column + "_id"] == option
    assert lived.deal("option, as before")[column] != "Rótulo novo"


def test_archived_and_unarchived_deals_are_in_one_table(lived: Lived) -> None:
    assert lived.deal("archived")["is_archived"] is True
    assert lived.deal("archived")["archive_time"] is not None
    assert lived.deal("unarchived")["is_archived"] is False


def test_a_deleted_deal_is_flagged(lived: Lived) -> None:
    row = lived.deal("deleted")
    assert (row["is_deleted"], row["status"]) == (True, "deleted")


def test_a_merged_deal_and_a_deleted_lead_stay_until_a_reconcile(lived: Lived) -> None:
    gone = lived.tables["deals"].rows.keys() - lived.now["deals"].rows.keys()
    assert gone == {(lived.deals["merged"],)}
    gone = lived.tables["leads"].rows.keys() - lived.now["leads"].rows.keys()
    assert gone == {(lived.leads["deleted"],)}


def test_references_to_the_merged_deal_point_at_the_remaining_one(lived: Lived) -> None:
    pointing = {row["deal_id"] for row in lived.tables["activities"].rows.values()}
    assert lived.deals["merged"] not in pointing
    assert lived.deals["winner"] in pointing


def test_archived_and_unarchived_leads_are_in_one_table(lived: Lived) -> None:
    rows = lived.tables["leads"].rows
    assert rows[(lived.leads["archived"],)]["is_archived"] is True
    assert rows[(lived.leads["unarchived"],)]["is_archived"] is False
