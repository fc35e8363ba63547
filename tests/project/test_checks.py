# Over 400 lines: one section for each thing that a run checks before it spends a token.
"""Checks of `make run` before it spends a token: settings, and whether the database can be used."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path

import psycopg
import pytest
from embedded_postgres.warehouse import Warehouse
from psycopg.conninfo import conninfo_to_dict
from psycopg.sql import SQL, Identifier

from orchestrate import database as checks
from orchestrate import environment
from orchestrate.errors import RunError
from tests.postgres import TlsServer

Variables = dict[str, str]

_numbers = count(1)


def refusal(run: Callable[[], object]) -> str:
    """Return the sentence of a refusal."""
    with pytest.raises(RunError) as caught:
        run()
    sentence = caught.value.format_message()
    assert "\n" not in sentence
    return sentence


# Settings


@pytest.fixture
def dotenv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `.env` file that is read, without other variables of the project."""
    for name in os.environ:
        if name.startswith(environment.OWN_PREFIXES):
            monkeypatch.delenv(name)
    path = tmp_path / ".env"
    monkeypatch.setattr(environment, "DOTENV", path)
    return path


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"A=B\nTARGET_POSTGRES_PASSWORD=caf\xe9\n", ".env has a character in line 2 that is not UTF-8"),
        ("A=B\n".encode("utf-16"), ".env is UTF-16: save it as UTF-8."),
        (b"A=B\n\nTARGET POSTGRES_PASSWORD x\n", "of .env is not of the form NAME=value."),
    ],
)
def test_an_unreadable_dotenv_is_refused(dotenv: Path, content: bytes, sentence: str) -> None:
    dotenv.write_bytes(content)
    assert sentence in refusal(environment.settings)


def test_a_dotenv_may_begin_with_a_byte_order_mark(dotenv: Path) -> None:
    dotenv.write_bytes("\ufeffREPORTING_CURRENCY=BRL\nPASSWORD=cafézinho".encode())
    found = environment.settings()
    assert (found["REPORTING_CURRENCY"], found["PASSWORD"]) == ("BRL", "cafézinho")


def test_loopback_is_never_reached_through_a_proxy(dotenv: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "example.com")
    assert environment.settings()["NO_PROXY"] == "example.com,localhost,127.0.0.1,::1"


@pytest.mark.parametrize(("mode", "is_warned"), [(0o600, False), (0o640, True), (0o604, True)])
def test_a_dotenv_that_others_may_read_causes_a_warning(dotenv: Path, mode: int, is_warned: bool) -> None:
    dotenv.touch()
    dotenv.chmod(mode)
    assert bool(list(environment.warnings())) is is_warned


def test_a_misspelt_variable_in_a_dotenv_causes_a_warning(dotenv: Path) -> None:
    """Variables of the person's own models are no mistakes."""
    dotenv.write_text("GROSSMARGIN=0.7\nOUR_OWN_MARGIN=1\nGROSS_MARGIN=0.5\nMELTANO_ENVIRONMENT=prod\n")
    dotenv.chmod(0o600)
    assert list(environment.warnings()) == [
        "Nothing reads the variable GROSSMARGIN of .env. Did you mean GROSS_MARGIN?"
    ]


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"TAP_PIPEDRIVE_API_TOKN": "x"}, "Did you mean TAP_PIPEDRIVE_API_TOKEN?"),
        ({"TAP_PIPEDRVE_API_TOKEN": "x"}, "Did you mean TAP_PIPEDRIVE_API_TOKEN?"),
        ({"TARGET_POSTGRES_PASWORD": "x"}, "Did you mean TARGET_POSTGRES_PASSWORD?"),
        ({"TAP_PIPEDRIVE_ZZZ": "x"}, "Nothing reads the variable TAP_PIPEDRIVE_ZZZ"),
        (
            {"TAP_PIPEDRIVE_CLIENT_ID": "x"},
            "TAP_PIPEDRIVE_CLIENT_ID is set, but not TAP_PIPEDRIVE_CLIENT_SECRET and TAP_PIPEDRIVE_REFRESH_TOKEN",
        ),
        (
            {"TAP_PIPEDRIVE_CLIENT_ID": "x", "TAP_PIPEDRIVE_REFRESH_TOKEN": "x"},
            "is set, but not TAP_PIPEDRIVE_CLIENT_SECRET",
        ),
        ({"REPORTING_TIMEZONE": "America/SaoPaulo"}, "which is not a time zone"),
        ({"REPORTING_CURRENCY": "R$"}, "three capital letters"),
        ({"HUBSPOT_CURRENCY": "real"}, "HUBSPOT_CURRENCY is real: take a code of three capital letters"),
        ({"GROSS_MARGIN": "70"}, "a share from 0 to 1"),
        ({"MAX_RECORDS_PER_MATCH_KEY": "twenty"}, "MAX_RECORDS_PER_MATCH_KEY is twenty: take a whole number"),
        ({"VALUE_BANDS": "1000,500"}, "VALUE_BANDS is 1000,500: use increasing whole numbers"),
        ({"VALUE_BANDS": "1k"}, "VALUE_BANDS is 1k: use increasing whole numbers"),
        ({"BUSINESS_HOURS": "9-18"}, "BUSINESS_HOURS is 9-18: say when work begins and ends"),
        ({"BUSINESS_HOURS": "18:00-09:00"}, "BUSINESS_HOURS is 18:00-09:00: say when"),
        ({"BUSINESS_DAYS": "monday,terça"}, "BUSINESS_DAYS has terça: take weekdays in English"),
        ({"RESPONSE_SLA_HOURS": "4h"}, "RESPONSE_SLA_HOURS is 4h: take a number of hours"),
        ({"WEEK_START": "domingo"}, "WEEK_START is domingo: take a weekday in English"),
        ({"FISCAL_YEAR_START": "April"}, "FISCAL_YEAR_START is April: take the number of a month"),
        ({"TAP_PIPEDRIVE_HISTORY": "stages"}, "TAP_PIPEDRIVE_HISTORY is stages: take stage, all or none."),
        ({"TAP_PIPEDRIVE_DEMO_HISTORY": "x"}, "TAP_PIPEDRIVE_DEMO_HISTORY is x: take stage, all or none."),
        ({"TAP_PIPEDRIVE_TOKEN_BUDGET": "abc"}, "TAP_PIPEDRIVE_TOKEN_BUDGET is abc: take a whole number."),
        ({"TAP_PIPEDRIVE_MASK": "{persons"}, "TAP_PIPEDRIVE_MASK is no object of JSON: write one such as"),
        ({"TAP_PIPEDRIVE_MASK": "[1]"}, "TAP_PIPEDRIVE_MASK is no object of JSON"),
        ({"TAP_PIPEDRIVE_RECONCILE": "ja"}, "TAP_PIPEDRIVE_RECONCILE is ja: take true or false."),
        ({"TAP_HUBSPOT_RECONCILE_MIN_RATIO": "x"}, "TAP_HUBSPOT_RECONCILE_MIN_RATIO is x: take a number"),
        ({"TARGET_POSTGRES_PORT": "abc"}, "TARGET_POSTGRES_PORT is abc: take a whole number."),
        ({"TARGET_POSTGRES_SSL_ENABLE": "oui"}, "TARGET_POSTGRES_SSL_ENABLE is oui: take true or false."),
        ({"DBT_THREADS": "0"}, "DBT_THREADS is 0: take the number of models"),
        ({"MAX_LAG_HOURS": "x"}, "MAX_LAG_HOURS is x: take a number of hours such as 24."),
        ({"COMPAT": "yes"}, "COMPAT is yes: take true or false."),
        ({"CUSTOMERS_ACROSS_CRMS": "1"}, "CUSTOMERS_ACROSS_CRMS is 1: take true or false."),
    ],
)
def test_a_setting_that_would_be_ignored_or_misread_is_refused(variables: Variables, sentence: str) -> None:
    assert sentence in refusal(lambda: environment.check(variables))


@pytest.mark.parametrize(
    "variables",
    [
        {
            "TAP_PIPEDRIVE_API_TOKEN": "x",
            "TAP_PIPEDRIVE_STREAM_MAPS": "{}",
            "TAP_PIPEDRIVE_LOGLEVEL": "DEBUG",
        },
        {"TAP_PIPEDRIVE__SELECT": '["deals.*"]', "TAP_PIPEDRIVE_RECONCILE__SELECT_FILTER": "[]"},
        {"TAP_PIPEDRIVE_DEMO_API_URL": "x", "TARGET_POSTGRES_HUBSPOT_DEFAULT_TARGET_SCHEMA": "x"},
        {"TAP_SALESFORCE_TOKEN": "x", "TARGET_SNOWFLAKE_USER": "x", "TARGET": "x"},
        {"REPORTING_TIMEZONE": "America/Sao_Paulo", "REPORTING_CURRENCY": "BRL", "GROSS_MARGIN": "0.70"},
        {"WEEK_START": "Sunday", "FISCAL_YEAR_START": "12", "VALUE_BANDS": "10, 20"},
        {"TAP_PIPEDRIVE_HISTORY": "all", "TAP_PIPEDRIVE_TOKEN_BUDGET": "5000"}
        | {"TAP_PIPEDRIVE_MASK": "{'persons': ['name']}", "TAP_PIPEDRIVE_CUSTOM_FIELD_NAMES": '{"a": "b"}'},
        {"TAP_PIPEDRIVE_RECONCILE": "True", "TARGET_POSTGRES_SSL_ENABLE": "0", "TARGET_POSTGRES_PORT": ""},
        {"TAP_HUBSPOT_RECONCILE_MIN_RATIO": ".9", "DBT_THREADS": "16", "MAX_LAG_HOURS": "1.5"},
        {"COMPAT": "True", "CUSTOMERS_ACROSS_CRMS": ""},
        {"BUSINESS_HOURS": "00:00-24:00", "BUSINESS_DAYS": "sunday, Monday", "RESPONSE_SLA_HOURS": "1.5"},
    ],
)
def test_settings_of_this_and_other_projects_are_accepted(variables: Variables) -> None:
    environment.check(variables)


# The database


class Database:
    """A database for one test with its users."""

    def __init__(self, warehouse: Warehouse, url: str) -> None:
        self._warehouse = warehouse
        self._url = url
        self.name = conninfo_to_dict(url)["dbname"]

    def execute(self, *statements: str) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def user(self, *grants: str) -> Variables:
        """Make a user who may only connect, plus the statements in `grants` about {user}; return its
        connection.
        """
        name = f"check_{os.getpid()}_{next(_numbers)}"
        self.execute(
            f"revoke all on database {self.name} from public",
            f"create role {name} login password 'secret'",
            f"grant connect, temporary on database {self.name} to {name}",
            *(grant.format(user=name, database=self.name) for grant in grants),
        )
        return self.variables | {"TARGET_POSTGRES_USER": name, "TARGET_POSTGRES_PASSWORD": "secret"}

    @property
    def variables(self) -> Variables:
        url = conninfo_to_dict(self._url)
        return checks.variables(**url, database=url["dbname"])

    def drop_users(self) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            roles = connection.execute(
                "select rolname from pg_roles where rolname like %s", [f"check_{os.getpid()}_%"]
            ).fetchall()
            for (role,) in roles:
                connection.execute(SQL("drop owned by {} cascade").format(Identifier(role)))
                connection.execute(SQL("drop role {}").format(Identifier(role)))


@pytest.fixture
def own(warehouse: Warehouse, database: str) -> Iterator[Database]:
    found = Database(warehouse, database)
    yield found
    found.drop_users()


SCHEMAS = ("pipedrive", "seeds", "staging", "intermediate", "snapshots", "marts")
MADE_BY_A_DBA = tuple(f"create schema {schema} authorization {{user}}" for schema in SCHEMAS)


def check(variables: Variables) -> None:
    checks.check(variables, ["pipedrive"], has_models=True)


def test_a_user_who_may_create_schemas_is_accepted(own: Database) -> None:
    check(own.user("grant create on database {database} to {user}"))


def test_a_user_with_schemas_created_by_an_administrator_is_accepted(own: Database) -> None:
    check(own.user(*MADE_BY_A_DBA))


def test_missing_schemas_are_all_reported(own: Database) -> None:
    sentence = refusal(lambda: check(own.user()))
    assert "lacks the schemas pipedrive, seeds, staging, intermediate, snapshots, marts, and" in sentence
    sentence = refusal(lambda: check(own.user(*MADE_BY_A_DBA[:1], *MADE_BY_A_DBA[2:])))
    assert "lacks the schema seeds, and" in sentence


def test_compat_needs_its_own_schema(own: Database) -> None:
    variables = own.user(*MADE_BY_A_DBA) | {"COMPAT": "true"}
    assert "lacks the schema compat" in refusal(lambda: check(variables))


def test_a_schema_without_rights_is_reported(own: Database) -> None:
    own.execute("create schema marts")
    sentence = refusal(lambda: check(own.user("grant create on database {database} to {user}")))
    assert "may not make tables in the schema marts" in sentence


@pytest.mark.parametrize("table", ["pipedrive.deals", "marts.main_bi"])
def test_a_table_of_another_owner_is_reported(own: Database, table: str) -> None:
    schema = table.partition(".")[0]
    own.execute(f"create schema {schema}", f"create table {table} ()")
    grants = ("grant create on database {database} to {user}", f"grant all on schema {schema} to {{user}}")
    assert f"{table} belongs to" in refusal(lambda: check(own.user(*grants)))


def test_a_foreign_table_in_a_schema_of_the_models_is_accepted(own: Database) -> None:
    own.execute("create schema marts", "create table marts.own_work_of_an_analyst ()")
    check(own.user("grant create on database {database} to {user}", "grant all on schema marts to {user}"))


def test_missing_rights_on_temporary_tables_are_refused(own: Database) -> None:
    variables = own.user(*MADE_BY_A_DBA, "revoke temporary on database {database} from {user}")
    assert "may not make temporary tables" in refusal(lambda: check(variables))


def test_a_read_only_database_is_refused(own: Database) -> None:
    variables = own.user(*MADE_BY_A_DBA, "alter role {user} set default_transaction_read_only = on")
    assert "is read-only" in refusal(lambda: check(variables))


@pytest.mark.parametrize("of", ["role {user} connection limit 5", "database {database} connection limit 5"])
def test_too_few_connections_are_refused(own: Database, of: str) -> None:
    variables = own.user(*MADE_BY_A_DBA, f"alter {of}")
    assert "is allowed 5 connections" in refusal(lambda: check(variables))


def test_a_database_in_another_encoding_is_refused(warehouse: Warehouse, own: Database) -> None:
    name = f"{own.name}_latin1"
    own.execute(f"create database {name} encoding 'LATIN1' locale 'C' template template0")
    try:
        variables = own.variables | {"TARGET_POSTGRES_DATABASE": name}
        assert "is encoded in LATIN1" in refusal(lambda: check(variables))
    finally:
        warehouse.drop_database(name)


def test_a_role_with_another_client_encoding_gets_the_same_result(own: Database) -> None:
    check(own.user(*MADE_BY_A_DBA, "alter role {user} set client_encoding = 'LATIN1'"))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"TARGET_POSTGRES_PASSWORD": "wrong"}, "password authentication failed"),
        ({"TARGET_POSTGRES_DATABASE": "nowhere"}, 'database "nowhere" does not exist'),
        (
            {"TARGET_POSTGRES_PORT": "1"},
            "Connection refused. Start the database, and check TARGET_POSTGRES_HOST",
        ),
        ({"TARGET_POSTGRES_PORT": "many"}, 'invalid integer value "many"'),
        ({"TARGET_POSTGRES_HOST": "nowhere.invalid"}, "nowhere.invalid"),
        ({"TARGET_POSTGRES_SSL_MODE": "require"}, "server does not support SSL, but SSL was required"),
        ({"TARGET_POSTGRES_SSL_MODE": "always"}, 'invalid sslmode value: "always"'),
        ({"TARGET_POSTGRES_SSL_ENABLE": "true"}, "SSL"),
        (
            {"TARGET_POSTGRES_SSL_CERTIFICATE_AUTHORITY": "/nowhere.pem"},
            "names a file that does not exist: /nowhere.pem",
        ),
    ],
)
def test_a_failing_connection_is_reported_in_one_sentence(
    own: Database, changes: Variables, sentence: str
) -> None:
    found = refusal(lambda: check(own.variables | changes))
    assert sentence in found
    assert "wrong" not in found


def tls_variables(tls: TlsServer, **changes: str) -> Variables:
    url = conninfo_to_dict(tls.url)
    found = checks.variables(**url, database=url["dbname"])
    return found | {f"TARGET_POSTGRES_{name.upper()}": value for name, value in changes.items()}


def test_a_server_with_a_valid_certificate_is_accepted(tls: TlsServer) -> None:
    check(tls_variables(tls, ssl_enable="true", ssl_certificate_authority=str(tls.authority)))
    check(tls_variables(tls, ssl_mode="verify-full", ssl_certificate_authority=str(tls.authority)))


def test_a_server_without_a_valid_certificate_is_refused(tls: TlsServer) -> None:
    other = tls_variables(tls, ssl_enable="true", ssl_certificate_authority=str(tls.other_authority))
    assert "certificate verify failed" in refusal(lambda: check(other))
    name = tls_variables(tls, host=tls.other_name, ssl_certificate_authority=str(tls.authority))
    assert "does not match host name" in refusal(lambda: check(name))


def test_tables_of_an_earlier_tap_must_be_moved_aside(own: Database) -> None:
    checks.refuse_outdated(own.variables, "hubspot", "companies", "companyId")
    own.execute("create schema hubspot", 'create table hubspot.companies ("companyId" bigint)')
    with pytest.raises(RunError, match="rename to"):
        checks.refuse_outdated(own.variables, "hubspot", "companies", "companyId")


def test_an_erasure_of_nobody_is_refused(tmp_path: Path) -> None:
    variables = {name: value for name, value in os.environ.items() if name != "PERSON"}
    done = subprocess.run(
        [sys.executable, "-m", "orchestrate.erase"],
        env=variables | {"MELTANO_PROJECT_ROOT": str(tmp_path)},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("Error: It is not said who is to be erased: run `make erase PERSON=…`")
    assert not list(tmp_path.iterdir())


# The demo in a user's database


def test_demo_and_account_never_share_a_database(own: Database) -> None:
    checks.mark_demo(own.variables, "pipedrive", is_demo=True, is_embedded=False)
    checks.mark_demo(own.variables, "pipedrive", is_demo=True, is_embedded=False)
    for schema in ("pipedrive", "hubspot"):
        account = partial(checks.mark_demo, own.variables, schema, is_demo=False, is_embedded=False)
        assert "would be mixed" in refusal(account)


@pytest.mark.parametrize(
    ("is_demo", "is_embedded", "end"),
    [
        (True, True, ": `make clean` removes the embedded one, or name another database in .env."),
        (True, False, "would be mixed: name another database in .env."),
        (False, True, ": `make clean` removes the embedded one, or name another database in .env."),
        (False, False, ": name another database in .env; `make drop-demo` removes the demo from it."),
    ],
)
def test_the_way_out_of_a_mixture_fits_the_database(
    own: Database, is_demo: bool, is_embedded: bool, end: str
) -> None:
    if is_demo:
        own.execute("create schema pipedrive")
    else:
        checks.mark_demo(own.variables, "pipedrive", is_demo=True, is_embedded=is_embedded)
    sentence = refusal(
        lambda: checks.mark_demo(own.variables, "pipedrive", is_demo=is_demo, is_embedded=is_embedded)
    )
    assert sentence.endswith(end)


def test_dropping_the_demo_keeps_all_other_objects(own: Database) -> None:
    checks.mark_demo(own.variables, "pipedrive", is_demo=True, is_embedded=False)
    own.execute(
        *(f"create schema {schema}" for schema in ("staging", "marts")),
        "create table pipedrive.deals (id int)",
        "create view staging.stg_pipedrive__deals as select * from pipedrive.deals",
        "create table marts.main_bi as select * from staging.stg_pipedrive__deals",
        "create table marts.own_work_of_an_analyst ()",
    )
    assert checks.drop_demo(own.variables) == ["pipedrive", "staging"]
    with checks.connected(own.variables) as connection:
        found = connection.execute("select schemaname, tablename from pg_tables where schemaname = 'marts'")
        assert found.fetchall() == [("marts", "own_work_of_an_analyst")]
    assert "holds no demo" in refusal(lambda: checks.drop_demo(own.variables))


def test_a_demo_with_dependent_views_is_not_dropped(own: Database) -> None:
    checks.mark_demo(own.variables, "pipedrive", is_demo=True, is_embedded=False)
    own.execute(
        "create table pipedrive.deals (id int)", "create view public.mine as select * from pipedrive.deals"
    )
    assert "view mine depends on table" in refusal(lambda: checks.drop_demo(own.variables))


def test_data_of_an_account_are_never_dropped(own: Database) -> None:
    own.execute("create schema pipedrive", "create table pipedrive.deals (id int)")
    assert "holds no demo" in refusal(lambda: checks.drop_demo(own.variables))
