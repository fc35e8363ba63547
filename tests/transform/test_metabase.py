"""A running Metabase gets the database and the dashboards once, and users' changes are kept."""

from __future__ import annotations

import copy
import os
import re
import socket
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner
from psycopg.conninfo import conninfo_to_dict

from analyze.as_of import chart_of
from analyze.definitions import Dashboard, dashboards, rows
from analyze.metabase import provision
from analyze.metabase.cards import FILTERS, MARK, is_untouched
from analyze.metabase.client import Account, Metabase, MetabaseError
from analyze.metabase.columns import change_of
from orchestrate import environment, masking
from orchestrate import metabase as command

from .conftest import Account as Warehouse
from .fake_metabase import FakeMetabase, fake_metabase

Json = dict[str, Any]
CHARTS = {
    dashboard.name: [chart for chart in dashboard.charts if chart.rows in rows()]
    for dashboard in dashboards()
}


@pytest.fixture(scope="module")
def variables(account_of_today: Warehouse, worker_id: str) -> Iterator[dict[str, str]]:
    """The settings of a run on the account's warehouse, with a role for Metabase that may only read the
    marts.
    """
    role, url = f"bi_{worker_id}", conninfo_to_dict(account_of_today.url)
    with psycopg.connect(account_of_today.url, autocommit=True) as connection:
        connection.execute(f"create role {role} login password 'read only'".encode())
        connection.execute(f"grant usage on schema marts to {role}".encode())
        connection.execute(f"grant select on all tables in schema marts to {role}".encode())
    yield {
        "TARGET_POSTGRES_HOST": str(url["host"]),
        "TARGET_POSTGRES_PORT": str(url["port"]),
        "TARGET_POSTGRES_USER": "loader",  # it may not read the marts
        "DBT_POSTGRES_USER": str(url["user"]),
        "DBT_POSTGRES_PASSWORD": str(url["password"]),
        "TARGET_POSTGRES_DATABASE": str(url["dbname"]),
        "REPORTING_CURRENCY": "BRL",
        "METABASE_EMAIL": "admin@example.com",
        "METABASE_PASSWORD": "correct horse",
        "METABASE_DATABASE_USER": role,
        "METABASE_DATABASE_PASSWORD": "read only",
    }
    with psycopg.connect(account_of_today.url, autocommit=True) as connection:
        connection.execute(f"drop owned by {role}".encode())
        connection.execute(f"drop role {role}".encode())


@pytest.fixture(scope="module")
def filled(variables: dict[str, str]) -> Iterator[FakeMetabase]:
    """A Metabase after the first run."""
    with pytest.MonkeyPatch.context() as patch, fake_metabase() as metabase:
        patch.setattr(provision, "PAUSE", 0.01)
        printed = run(metabase, variables)
        assert "Metabase was set up with its first user" in printed
        assert "The database Pipedrive was connected" in printed
        yield metabase


@pytest.fixture
def changed(filled: FakeMetabase) -> Iterator[FakeMetabase]:
    """The same Metabase for a test that changes it."""
    kept = copy.deepcopy({name: value for name, value in vars(filled).items() if name != "url"})
    yield filled
    vars(filled).update(kept)


def run(metabase: FakeMetabase, variables: dict[str, str], **others: str) -> str:
    """Run `make metabase`, check that it succeeds, and return its output."""
    result = attempt({**variables, "METABASE_URL": metabase.url, **others})
    assert result.exit_code == 0, result.output
    return str(result.output)


def attempt(variables: dict[str, str]) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(environment, "settings", lambda: dict(variables))
        patch.setattr(masking, "_secrets", [])
        patch.setattr(command, "end_by_exception", lambda: None)  # the test runner handles signals
        return CliRunner().invoke(command.main)


def own(metabase: FakeMetabase, language: str, dashboard: Dashboard) -> Json:
    name = getattr(dashboard.title, language)
    (found,) = (each for each in metabase.dashboards.values() if each["name"] == name)
    return found


def test_the_first_run_makes_every_dashboard_in_both_languages(
    filled: FakeMetabase, variables: dict[str, str]
) -> None:
    (database,) = filled.databases.values()
    assert database["details"]["user"] == variables["METABASE_DATABASE_USER"]
    assert database["details"]["schema-filters-patterns"] == "marts"
    assert {each["name"] for each in filled.collections.values()} == set(provision.COLLECTIONS.values())
    assert len(filled.cards) == 2 * (len(CHARTS) + sum(map(len, CHARTS.values())))
    for language in ("en", "pt"):
        for dashboard in dashboards():
            shown = own(filled, language, dashboard)
            assert filled.collections[shown["collection_id"]]["name"] == provision.COLLECTIONS[language]
            assert [each["slug"] for each in shown["parameters"]] == list(FILTERS)
            names = [filled.cards[each["card_id"]]["name"] for each in shown["dashcards"]]
            charts = [chart_of(dashboard, language), *CHARTS[dashboard.name]]
            assert names == [getattr(chart.question, language) for chart in charts]
            check_places(shown["dashcards"])
            check_filters(filled, shown)


def check_places(cards: list[Json]) -> None:
    """Check that each card is within the grid and overlaps no other."""
    assert all(each["col"] + each["size_x"] <= 24 for each in cards)
    for one, other in combinations(cards, 2):
        apart = (
            one["col"] + one["size_x"] <= other["col"]
            or other["col"] + other["size_x"] <= one["col"]
            or one["row"] + one["size_y"] <= other["row"]
            or other["row"] + other["size_y"] <= one["row"]
        )
        assert apart, (one, other)


def check_filters(metabase: FakeMetabase, shown: Json) -> None:
    """Check that each variable of a card's statement is set by the filter of the same name only."""
    slugs = {each["id"]: each["slug"] for each in shown["parameters"]}
    for each in shown["dashcards"]:
        native = metabase.cards[each["card_id"]]["dataset_query"]["native"]
        used = set(re.findall(r"{{(\w+)}}", native["query"]))
        targets = {mapping["target"][1][1]: mapping["parameter_id"] for mapping in each["parameter_mappings"]}
        assert set(native["template-tags"]) == set(targets) == used
        assert all(slugs[parameter] == name for name, parameter in targets.items())


def test_the_second_run_writes_nothing(filled: FakeMetabase, variables: dict[str, str]) -> None:
    filled.writes.clear()
    assert "Nothing had to be changed" in run(filled, variables)
    by_key = {**variables, "METABASE_API_KEY": filled.api_key, "METABASE_EMAIL": "", "METABASE_PASSWORD": ""}
    assert "Nothing had to be changed" in run(filled, by_key)
    assert filled.writes == []


def test_columns_have_types_and_technical_columns_are_hidden(
    filled: FakeMetabase, connection: psycopg.Connection
) -> None:
    found = {(each["table"], each["name"]): each for each in filled.fields.values()}
    types = {key: each["semantic_type"] for key, each in found.items()}
    assert types["dim_persons", "primary_email"] == "type/Email"
    assert types["dim_organizations", "website"] == "type/URL"
    assert types["fct_deals", "currency"] == types["fct_deals", "stage_name"] == "type/Category"
    assert types["fct_deals", "created_at"] == "type/CreationTimestamp"
    assert types["fct_deals", "value"] is None
    assert types["fct_deals", "reporting_value"] == "type/Currency"
    assert found["fct_deals", "reporting_value"]["settings"]["currency"] == "BRL"
    assert types["win_rate_by_owner", "win_rate"] == "type/Percentage"
    assert found["fct_deals", "label_ids"]["visibility_type"] == "details-only"
    assert found["fct_deals", "deal_id"]["visibility_type"] == "normal"
    for table, name in (key for key, kind in types.items() if kind == "type/Percentage"):
        (highest,) = connection.execute(f"select max({name}) from marts.{table}".encode()).fetchone() or (0,)
        assert (highest or 0) < 10, (
            f"{table}.{name} is not a fraction, and Metabase would show it multiplied by 100"
        )


def test_every_card_answers_with_all_filters_and_with_none(
    filled: FakeMetabase, variables: dict[str, str]
) -> None:
    (database,) = filled.databases.values()
    names = ("host", "port", "dbname", "user", "password")
    values = {
        "pipeline": "a 'pipeline'",
        "owner": "x",
        "currency": "BRL",
        "from": "2020-01-01",
        "to": "2099-12-31",
    }
    answered = 0
    with psycopg.connect(**{name: database["details"][name] for name in names}) as bi:
        for card in filled.cards.values():
            native = card["dataset_query"]["native"]
            tags = native["template-tags"]
            defaults = {name: tag["default"] for name, tag in tags.items() if tag.get("required")}
            for given in ({}, values):
                sql = filled_in(native["query"], defaults | given)
                cursor = bi.execute(sql.encode())
                shown = {column.name for column in cursor.description or ()}
                named = {key[9:-2] for key in card["visualization_settings"]["column_settings"]}
                assert shown == named, card["name"]
                answered += bool(given == {} and cursor.fetchall())
    assert answered > 0.8 * len(filled.cards)


def test_cards_show_their_completeness_and_link_to_each_other(
    filled: FakeMetabase, connection: psycopg.Connection
) -> None:
    by_name = {each["name"]: each for each in filled.cards.values()}
    as_of = by_name["Até quando estes números estão completos?"]
    assert as_of["visualization_settings"]["scalar.field"] == "pt"
    (sentence,) = connection.execute(as_of["dataset_query"]["native"]["query"].encode()).fetchone() or ("",)
    assert sentence.startswith("Completo até ")
    moved = by_name["O que mudou no funil?"]
    assert (moved["display"], moved["visualization_settings"]["waterfall.show_total"]) == ("waterfall", True)
    sql = filled_in(
        moved["dataset_query"]["native"]["query"],
        {"currency": "BRL", "from": "2026-03-01", "to": "2099-01-01"},
    )
    steps = {row[0]: row[1] for row in connection.execute(sql.encode()).fetchall()}
    assert {"Aberto antes", "Criados", "Ganhos", "Perdidos"} < steps.keys()
    (value,) = connection.execute(
        "select sum(value) from marts.pipeline_movement where currency = 'BRL'"
    ).fetchone() or (0,)
    assert sum(steps.values()) == pytest.approx(value, abs=1)  # Metabase sums these columns


def filled_in(query: str, values: dict[str, str]) -> str:
    """Fill in a statement as Metabase does: a part in brackets is kept if its variable is set."""

    def optional(match: re.Match[str]) -> str:
        return match[1] if set(re.findall(r"{{(\w+)}}", match[1])) <= values.keys() else ""

    def literal(match: re.Match[str]) -> str:
        return "'" + values[match[1]].replace("'", "''") + "'"

    return re.sub(r"{{(\w+)}}", literal, re.sub(r"\[\[(.*?)\]\]", optional, query))


def test_users_changes_are_kept(changed: FakeMetabase, variables: dict[str, str]) -> None:
    sales, pipeline, team = (own(changed, "en", each) for each in dashboards()[:3])
    elsewhere = {"id": 900_000, "name": "Sales team", "archived": False}
    changed.collections[900_000] = elsewhere
    sales |= {
        "name": "What Ana looks at",
        "collection_id": 900_000,
        "tabs": [{"id": 900_001, "name": "First"}],
    }
    removed = sales["dashcards"].pop()
    sales["dashcards"].append(
        {"id": 900_002, "card_id": None, "row": 90, "col": 0, "size_x": 24, "size_y": 2}
    )
    sales["parameters"].append({"id": "mine", "slug": "mine", "name": "Mine", "type": "string/="})
    first, second, third = (changed.cards[each["card_id"]] for each in sales["dashcards"][:3])
    first["name"] = "Money!"
    first["dataset_query"]["native"]["query"] += "-- and a note of Ana's\n"
    second["collection_id"] = 900_000
    second["dataset_query"]["native"]["template-tags"]["owner"]["display-name"] = "Who"
    third["archived"] = True
    pipeline["archived"] = True
    team["dashcards"] = []
    field = next(each for each in changed.fields.values() if each["name"] == "website")
    field |= {"semantic_type": "type/ImageURL", "visibility_type": "hidden"}
    (database,) = changed.databases.values()
    database["details"]["schema-filters-patterns"] = "marts,other"
    changed.cards[900_003] = copy.deepcopy(first) | {
        "id": 900_003,
        "entity_id": "u" * 21,
        "name": "Of Ana's own",
    }
    before = copy.deepcopy((changed.cards, changed.dashboards, changed.fields, changed.databases))
    changed.writes.clear()
    assert "Nothing had to be changed" in run(changed, variables)
    assert (changed.cards, changed.dashboards, changed.fields, changed.databases) == before
    assert changed.writes == []
    assert removed["card_id"] in changed.cards


def test_changes_of_the_project_are_applied(
    changed: FakeMetabase, variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    dashboard = dashboards()[0]
    shown = own(changed, "en", dashboard)
    added, outdated = (changed.cards[each["card_id"]] for each in shown["dashcards"][-2:])
    assert is_untouched(outdated["dataset_query"]["native"])
    wanted = copy.deepcopy(outdated)
    older = "select 1 as older\n"
    monkeypatch.setattr("analyze.metabase.cards.statement", lambda *_, **__: older)
    run(changed, variables)
    assert MARK.sub("", outdated["dataset_query"]["native"]["query"]) == older
    monkeypatch.undo()
    del changed.cards[added["id"]]  # as if the chart were new
    shown["dashcards"] = [each for each in shown["dashcards"] if each["card_id"] != added["id"]]
    printed = run(changed, variables)
    assert outdated == wanted
    assert f"The card {added['name']} was made" in printed
    check_places(shown["dashcards"])
    check_filters(changed, shown)
    assert changed.cards[shown["dashcards"][-1]["card_id"]]["name"] == added["name"]


def test_an_interrupted_run_is_completed_by_the_next(
    changed: FakeMetabase, variables: dict[str, str]
) -> None:
    shown = own(changed, "pt", dashboards()[1])
    cards = [each["card_id"] for each in shown["dashcards"]]
    shown |= {"dashcards": [], "parameters": []}
    for card_id in cards[2:]:
        del changed.cards[card_id]
    run(changed, variables)
    assert len(shown["dashcards"]) == len(cards)
    assert len(changed.dashboards) == 2 * len(dashboards())


def test_a_new_password_and_a_new_column_are_applied(
    changed: FakeMetabase, variables: dict[str, str], connection: psycopg.Connection
) -> None:
    (database,) = changed.databases.values()
    database["details"]["password"] = "an older one"
    connection.execute("alter table marts.dim_users add column backup_email text")
    try:
        printed = run(changed, variables)
    finally:
        connection.execute("alter table marts.dim_users drop column backup_email")
    assert "The connection of the database Pipedrive was set anew" in printed
    assert database["details"]["password"] == variables["METABASE_DATABASE_PASSWORD"]
    assert database["details"]["schema-filters-patterns"] == "marts"
    (field,) = (each for each in changed.fields.values() if each["name"] == "backup_email")
    assert field["semantic_type"] == "type/Email"


def test_key_columns_stay_visible() -> None:
    field = {"name": "activity_type_key", "base_type": "type/Text", "visibility_type": "normal"}
    assert change_of(field, "USD") == {"visibility_type": "details-only"}
    assert change_of(field | {"semantic_type": "type/PK"}, "USD") == {}


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"METABASE_URL": ""}, "METABASE_URL is not set"),
        ({"METABASE_PASSWORD": ""}, "set METABASE_API_KEY in .env, or METABASE_EMAIL and METABASE_PASSWORD"),
        ({"METABASE_DATABASE_PASSWORD": ""}, "set METABASE_DATABASE_USER and METABASE_DATABASE_PASSWORD"),
        (
            {"METABASE_DATABASE_USER": "TARGET_POSTGRES_USER"},
            "the role that loads: name one that may only read",
        ),
        ({"METABASE_DATABASE_SSL_MODE": "yes"}, "METABASE_DATABASE_SSL_MODE is yes: take one of disable"),
        ({"METABASE_DATABASE_PORT": "x"}, "METABASE_DATABASE_PORT is x, which is not a number"),
        ({"METABASE_API_KEY": "wrong"}, "set METABASE_API_KEY to a key of the group Administrators"),
        ({"METABASE_DATABASE_PASSWORD": "wrong"}, "Metabase refuses POST /api/database with status 400"),
    ],
)
def test_wrong_settings_are_reported_in_one_sentence(
    variables: dict[str, str], settings: dict[str, str], sentence: str
) -> None:
    with fake_metabase() as metabase:
        wrong = {name: variables.get(value, value) for name, value in settings.items()}
        result = attempt({**variables, "METABASE_URL": metabase.url, **wrong})
    assert result.exit_code == 1, result.output
    assert sentence in result.output


def test_a_role_without_read_access_is_reported(
    variables: dict[str, str], connection: psycopg.Connection
) -> None:
    role = variables["METABASE_DATABASE_USER"]
    connection.execute(f"revoke select on marts.fct_deals from {role}".encode())
    try:
        with fake_metabase() as metabase:
            result = attempt({**variables, "METABASE_URL": metabase.url})
    finally:
        connection.execute(f"grant select on marts.fct_deals to {role}".encode())
    assert result.exit_code == 1
    assert f"The role {role} may not read marts.fct_deals: set BI_ROLES={role} in .env" in result.output


def test_no_server_and_another_server_are_distinguished() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
    with pytest.raises(MetabaseError, match="does not answer"):
        Metabase(address, Account(email="a@example.com", password="x"))


@pytest.mark.skipif(
    "LIVE_METABASE_URL" not in os.environ, reason="LIVE_METABASE_URL names no Metabase to fill"
)
def test_a_live_metabase_is_filled_once(variables: dict[str, str]) -> None:
    """It needs LIVE_METABASE_KEY, a key of the group Administrators, and has to reach Postgres at 127.0.0.1."""
    live = {
        **variables,
        "METABASE_URL": os.environ["LIVE_METABASE_URL"],
        "METABASE_API_KEY": os.environ.get("LIVE_METABASE_KEY", ""),
    }
    first = attempt(live)
    assert first.exit_code == 0, first.output
    second = attempt(live)
    assert "Nothing had to be changed" in second.output
