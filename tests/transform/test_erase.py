"""Erasing a person: it covers every table and history with every stream on, and the figures stay."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from pipedrive_sandbox.data.generate import generate
from pipedrive_sandbox.hubspot.generate import generate as generate_hubspot
from pipedrive_sandbox.testing import NOW, Sandbox
from psycopg.conninfo import conninfo_to_dict

from orchestrate import database
from orchestrate.erase import erase
from orchestrate.erasing.person import name_pattern, number_pattern
from orchestrate.errors import RunError

from ..pipeline.conftest import target
from ..pipeline.pipe import Pipe
from .conftest import DATA_ONLY, Account
from .hubspot_tables import load_hubspot

__all__ = ["target"]

EMAIL, PHONE, TAX_ID = "Maria.Quitéria@exemplo.com.br", "+55 (71) 97123-4567", "390.533.447-05"
NAME = 'Maria "Mia" Quitéria'
WRITTEN = (
    *("maria.quitéria@exemplo.com.br", "97123-4567", "971234567", "390.533.447-05", "39053344705"),
    *("maria quitéria", 'maria \\"mia\\" quitéria', 'maria "mia" quitéria', "maria quiteria", "quitéria"),
)
"""Personal data that must not remain anywhere, in lower case."""

CHANGING = ("data_quality", "data_quality_issues", "data_quality_by_day", "load_completeness", "load_summary")
"""Marts about the quality of records, whose figures may change."""


@dataclass
class Case:
    """An account after the person was erased, with its figures from before."""

    account: Account
    sandbox: Sandbox
    pipe: Pipe
    variables: dict[str, str]
    ids: list[int]
    """The ids of the person and of the duplicate."""
    other: dict[str, Any]
    """Somebody else."""
    figures: dict[str, Any]


def figures(account: Account) -> dict[str, Any]:
    """Return sums of all numbers that do not change by the hour, and row counts, of all marts."""
    found: dict[str, Any] = {}
    numbers: dict[str, list[str]] = {}
    for table, column, kind in account.query(
        "select table_name, column_name, data_type from information_schema.columns"
        " where table_schema = 'marts' order by 1, ordinal_position"
    ):
        is_number = kind in ("numeric", "bigint", "integer", "smallint")
        if is_number and not re.search(
            r"_id$|days|hours|seconds|per_day|velocity|character|decisor|tecnico", column
        ):
            numbers.setdefault(table, []).append(column)
        numbers.setdefault(table, [])
    for table in numbers.keys() - {*CHANGING}:
        sums = "".join(f', round(sum("{name}")::numeric, 4)' for name in numbers[table])
        found[table] = account.query(f"select count(*){sums} from marts.{table}")
    return found


def variables_of(account: Account) -> dict[str, str]:
    """Return the settings of a run into the account's database."""
    url = conninfo_to_dict(account.url)
    return database.variables(
        host=url["host"], port=url["port"], user=url["user"], password=url["password"], database=url["dbname"]
    )


def made() -> tuple[Any, list[int], dict[str, Any]]:
    """Make an account with a person's data in every stream; return it, the person, the duplicate, and another
    person.
    """
    dataset = generate(60, 5, NOW)
    records = dataset.records
    codes = {field["field_name"]: field["field_code"] for each in dataset.fields.values() for field in each}
    first, second, other = records["persons"][3:6]
    first |= {
        **{"name": NAME, "first_name": "Maria", "last_name": "Quitéria", "birthday": "31.12.1980"},
        "emails": [{"value": EMAIL, "primary": True, "label": "work"}],
        "phones": [{"value": PHONE, "primary": True, "label": "work"}],
    }
    first["custom_fields"][codes["CPF"]] = TAX_ID
    second |= {"name": "M. Quitéria", "first_name": "M.", "last_name": "Quitéria"}
    second |= {"emails": [{"value": EMAIL.lower(), "primary": True, "label": "home"}], "phones": []}
    other |= {"name": "Maria Ninguém", "emails": [{"value": "ninguem@exemplo.com.br", "primary": True}]}
    ids = [first["id"], second["id"]]
    for number, (entity, key, text) in enumerate(
        [
            ("deals", "title", f"Renovação de {NAME}"),
            ("deals", "title", "Upgrade da Maria"),
            ("leads", "title", f"{NAME} quer uma demonstração"),
            ("activities", "subject", "Ligar para Maria Quiteria"),
            ("notes", "content", f"<p>Filha de {NAME}: alergia a glúten</p>"),
            ("files", "name", "CPF da Maria.pdf"),
            ("projects", "title", f"Implantação {NAME}"),
        ]
    ):
        row = records[entity][number + 1]
        row[key] = text
        row["person_ids" if entity == "projects" else "person_id"] = (
            ids if entity == "projects" else ids[number % 2]
        )
    records["deals"][1]["org_id"] = None
    records["deals"][1]["update_time"] = records["deals"][2]["update_time"]
    for deal in records["deals"][8:12]:
        deal["custom_fields"][codes["Decisor"]] = ids[0]
        deal["custom_fields"][codes["Observações da negociação"]] = f"escrever para {EMAIL} ou {PHONE}"
    records["notes"][9]["content"] = f"Ligue para 55 71 97123.4567, {EMAIL.upper()}, CPF 39053344705"
    records["organizations"][0]["name"] = NAME
    activity = records["activities"][9]
    activity["participants"] = [
        {"person_id": number, "primary": number == ids[0]} for number in (*ids, other["id"])
    ]
    activity["attendees"] = [
        {"email": EMAIL, "name": NAME, "status": "accepted", "person_id": ids[0], "user_id": None},
        {
            "email": "ninguem@exemplo.com.br",
            "name": "Maria Ninguém",
            "person_id": other["id"],
            "user_id": None,
        },
    ]
    activity["note"] = "esposa de Mia"
    thread, message = records["mail_threads"][0], records["mail_messages"][0]
    party = {
        "id": 1,
        "name": NAME,
        "email_address": EMAIL,
        "linked_person_id": ids[0],
        "linked_person_name": NAME,
    }
    thread |= {"parties": {"to": [party], "from": []}, "subject": f"Re: {NAME}", "snippet": "Querida Mia"}
    message |= {"to": [party], "subject": f"Re: {NAME}", "snippet": "Querida Mia"}
    for call in records["call_logs"]:
        if call["user_id"] == records["users"][0]["id"]:
            call |= {"person_id": ids[1], "to_phone_number": PHONE, "note": "Quitéria estava no hospital"}
    for participant in records["deal_participants"][:3]:
        participant["person_id"] = ids[0]
    log = [dict(change) for change in next(iter(dataset.changes["persons"].values()))]
    dataset.changes["persons"][ids[0]] = [
        change | {"field_key": "name", "old_value": "Maria Q."} for change in log
    ]
    changes = dataset.changes["deals"].setdefault(records["deals"][1]["id"], [])
    for key, old, new in (
        ("title", f"Venda a {NAME}", records["deals"][1]["title"]),
        ("person_id", str(ids[1]), str(ids[0])),
        (codes["Decisor"], str(ids[0]), None),
    ):
        moment = records["deals"][1]["update_time"]
        changes.append(log[0] | {"field_key": key, "old_value": old, "new_value": new, "time": moment})
    return dataset, ids, other


@pytest.fixture(scope="module")
def case(
    target: Any, new_account: Callable[..., Account], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Case]:
    account = new_account("erase")
    account.execute("drop schema pipedrive cascade")
    dataset, ids, other = made()
    with Sandbox(dataset=dataset) as sandbox:
        settings = {"history": "all", "custom_fields": "both", "max_rejects": 1.0}
        pipe = Pipe(
            target,
            tmp_path_factory.mktemp("erase_pipe"),
            account.url,
            {"api_token": sandbox.token, "api_url": sandbox.url, **settings},
        )
        pipe.everything = True
        pipe.run().succeeded()
        portal, _ = generate_hubspot(20, 1, NOW)
        load_hubspot(account, portal)
        contact = {"email": EMAIL, "firstname": "Maria", "lastname": "Quitéria", "phone": PHONE}
        deal = {"contact_email": EMAIL, "dealname": "Consulta de Maria Quitéria"}
        for table, properties in (("contacts", contact), ("deals", deal)):
            account.execute(
                f"update hubspot.{table} set properties = properties || '{json.dumps(properties)}'"
                f" where id = (select min(id) from hubspot.{table})"
            )
        sample = f'{{"id": {ids[0]}, "name": "Maria", "primary_email": "{EMAIL}"}}'
        account.execute(
            "insert into pipedrive.source_samples (run_id, stream, record_id, content) values"
            f" ('r', 'persons', '{ids[0]}', '{sample}'), ('r', 'deals', '2', '{{\"title\": \"{EMAIL}\"}}')"
        )
        account.execute(
            "insert into pipedrive.source_samples (run_id, stream, record_id, content)"
            " select 'r', 'deals', id::text,"
            " jsonb_build_object('decisor', decisor, 'custom_fields', custom_fields)"
            f" from pipedrive.deals where decisor = {ids[0]}"
        )
        account.execute(
            "insert into pipedrive.run_statements (run_id, stream, unread_count, unread_ids)"
            f" values ('r', 'person_changes', 2, '[{ids[0]}, {other['id']}]')"
        )
        account.build(*DATA_ONLY)
        before = figures(account)
        assert places(account, ids), "nobody stands anywhere"
        variables = variables_of(account)

        def build() -> None:
            account.build(*DATA_ONLY)

        erase(variables, str(ids[0]), build)
        yield Case(account, sandbox, pipe, variables, ids, other, before)


def places(account: Account, ids: list[int]) -> dict[str, list[str]]:
    """Search every row of every table and view as text, without using the code that erases."""
    found: dict[str, list[str]] = {}
    for schema, table in account.query(
        "select table_schema, table_name from information_schema.tables"
        " where table_schema not in ('pg_catalog', 'information_schema')"
    ):
        columns = [name for name in account.columns(schema, table) if re.fullmatch(r"(\w+_)?person_id", name)]
        asked = "".join(f', "{name}"::text' for name in columns)
        for text, *numbers in account.query(f'select t::text{asked} from "{schema}"."{table}" as t'):
            plain = text.lower().replace('""', '"').replace('\\"', '"')
            hits = [word for word in WRITTEN if word in plain or word in text.lower()]
            hits += [number for number in numbers if number in map(str, ids)]
            hits += re.findall(rf'"(?:linked_)?person_id": (?:{"|".join(map(str, ids))})\b', text)
            found.setdefault(f"{schema}.{table}", []).extend(hits)
    return {place: hits for place, hits in found.items() if hits}


def test_the_account_has_the_persons_data_everywhere() -> None:
    """Every stream that can hold personal data has some of this person, which the other tests see erased."""
    dataset, ids, _ = made()
    assert len(ids) == 2
    assert sum(EMAIL.lower() in str(rows).lower() for rows in dataset.records.values()) >= 6


def test_nothing_of_the_person_is_left_in_any_table_or_view(case: Case) -> None:
    assert places(case.account, case.ids) == {}
    statistics = case.account.query(
        "select schemaname, tablename, attname from pg_stats where concat_ws(' ', most_common_vals::text,"
        " histogram_bounds::text) ~* 'quit[ée]ria|97123'"
    )
    assert statistics == []


def test_data_of_other_persons_stay(case: Case) -> None:
    found = case.account.query(
        f"select name, primary_email from pipedrive.persons where id = {case.other['id']}"
    )
    assert found == [("Maria Ninguém", "ninguem@exemplo.com.br")]
    ((attendees, participants),) = case.account.query(
        "select attendees, participants from pipedrive.activities where jsonb_array_length(participants) = 3"
        f" and participants @> '[{{\"person_id\": {case.other['id']}}}]'"
    )
    assert [each["email"] for each in attendees] == ["ninguem@exemplo.com.br"]
    assert [each["person_id"] for each in participants][2] == case.other["id"]
    assert all(each["person_id"] < 0 for each in participants[:2])
    titles = {
        title for (title,) in case.account.query("select title from pipedrive.deals where title ~ 'erased'")
    }
    assert titles == {"Renovação de (erased)", "Upgrade da (erased)"}
    ((unread,),) = case.account.query("select unread_ids from pipedrive.run_statements where run_id = 'r'")
    assert unread == [case.other["id"]]


def test_samples_of_other_records_still_agree_with_their_rows(case: Case) -> None:
    """Otherwise each erasure would make lists look incomplete."""
    compared = case.account.query(
        "select samples.content -> 'decisor' = to_jsonb(deals.decisor) and deals.decisor < 0,"
        " samples.content -> 'custom_fields' = deals.custom_fields"
        " from pipedrive.source_samples as samples"
        " inner join pipedrive.deals on samples.record_id = deals.id::text"
        " where samples.run_id = 'r' and samples.stream = 'deals' and samples.content ? 'decisor'"
    )
    assert set(compared) == {(True, True)}


def test_figures_stay(case: Case) -> None:
    assert figures(case.account) == case.figures
    assert len(case.figures) > 30


def test_the_erasure_is_recorded_without_the_erased_data(case: Case) -> None:
    ((persons, contacts, changed, tables, rows, found),) = case.account.query(
        "select person_count, contact_count, changed_rows, searched_tables, searched_rows, found_places"
        " from pipedrive.erasures"
    )
    assert (persons, contacts, found) == (2, 1, {})
    assert {"pipedrive.persons", "pipedrive.deals", "hubspot.contacts", "hubspot.deals"} <= changed.keys()
    assert changed["pipedrive.persons"] >= 2
    assert tables > 100
    assert rows > 1000


def test_a_second_erasure_changes_nothing(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    def build() -> None:
        raise AssertionError("there is nothing to build")

    for wanted in (str(case.ids[0]), EMAIL):
        capsys.readouterr()
        erase(case.variables, wanted, build)
        said = capsys.readouterr().out
        assert "nothing of this person was found" in said
    assert case.account.query("select count(*) from pipedrive.erasures") == [(1,)]


def test_a_person_that_pipedrive_still_lists_is_loaded_again(case: Case) -> None:
    """Data in tables that the project may not change are reported."""
    number = case.other["id"]
    with psycopg.connect(case.account.url, autocommit=True) as connection:
        connection.execute("create schema reports")
        connection.execute("create table reports.own_list as select 'ninguem@exemplo.com.br'::text as email")
    with pytest.raises(RunError, match=r"reports\.own_list\.email \(1\)"):
        erase(case.variables, "Ninguem@exemplo.com.br ", lambda: None)
    case.account.execute("drop schema reports cascade")
    for each in case.ids:
        case.sandbox.delete(f"/sandbox/records/persons/{each}")
    case.sandbox.patch(f"/sandbox/records/persons/{number}", {"name": "Maria Ninguém, outra vez"})
    case.pipe.run().succeeded()
    listed = case.account.query(
        f"select id, name from pipedrive.persons where id = any(array{[*case.ids, number]})"
    )
    assert listed == [(number, "Maria Ninguém, outra vez")]


@pytest.mark.parametrize("wanted", ["Maria", "12a", "", "-3", "9" * 30])
def test_a_person_can_be_named_by_id_or_address(case: Case, wanted: str) -> None:
    with pytest.raises(RunError, match="by Pipedrive's id"):
        erase(case.variables, wanted, lambda: None)


@pytest.mark.parametrize(
    ("pattern", "fits", "fits_not"),
    [
        (
            number_pattern("5571987654321"),
            ["+55 (71) 98765-4321", "71987654321", "98765.4321", "(71)98765 4321", "Tel:87654321!"],
            ["198765432199", "987654320", "8765 432", "x87654321", "87654321x"],
        ),
        (
            name_pattern("João d'Ávila"),
            ["joao d'avila", "JOÃO  D'ÁVILA!", "(João d'Ávila)", "a João d'Ávila veio"],
            ["João d'Ávilas", "xJoão d'Ávila", "João Ávila"],
        ),
        (name_pattern("Ana"), ["Ana", "ana's", "ANÁ"], ["Anais", "banana", "Diana"]),
    ],
)
def test_patterns_match_any_spelling(case: Case, pattern: str, fits: list[str], fits_not: list[str]) -> None:
    for texts, expected in ((fits, True), (fits_not, False)):
        for text in texts:
            with psycopg.connect(case.account.url) as connection:
                row = connection.execute("select %s ~* %s", [text, pattern]).fetchone()
            assert row == (expected,), text


def test_the_compared_figures_are_not_all_zero(case: Case) -> None:
    """Otherwise a comparison of the figures would prove nothing."""
    totals = [value for rows in case.figures.values() for row in rows for value in row if value]
    assert sum(isinstance(value, Decimal) for value in totals) > 50
