"""A build keeps what others rely on: rights, views, indexes, and open transactions."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from urllib.parse import urlsplit

import psycopg
import pytest

from .conftest import Account, Built, Dbt

MODELS = (
    *("dim_stages", "dim_dates", "int_deal_field_spans", "fct_deal_stage_history"),
    *("deal_stage_pivot", "fct_deals", "main_bi", "stg_pipedrive__stages", "stg_pipedrive__currencies"),
    *("stg_pipedrive__notes", "open_deals_by_day", "load_completeness", "dim_users"),
)
INDEXES = """
    select tablename, count(*)::int from pg_indexes
    where schemaname = 'marts' and indexname != 'own_index' group by 1 order by 1
"""
OTHER_VIEWS = """
    -- columns in another order, of other types, with other names
    drop view staging.stg_pipedrive__currencies;
    create view staging.stg_pipedrive__currencies as
        select false as is_deleted, 'x'::varchar(3) as currency, 1 as currency_id, 'gone' as gone;
    grant select on staging.stg_pipedrive__currencies to "{analyst}" with grant option;
    grant select (currency, gone) on staging.stg_pipedrive__currencies to public;
    create view reports.codes with (security_barrier = true) as
        select currency from staging.stg_pipedrive__currencies;
    comment on view reports.codes is 'Of the finance team';
    comment on column reports.codes.currency is 'ISO 4217';
    create view reports.dollars as select * from reports.codes where currency = 'USD';
    grant select on reports.dollars to "{analyst}";
    -- a column that a view of the project needs, on which somebody has a view
    alter view staging.stg_pipedrive__notes rename column note_id to former_note_id;
    grant select on intermediate.int_records_listed to "{analyst}";
    create view reports.records as select entity from intermediate.int_records_listed;
    -- a table where there is a view now, and a view where there is a table now
    drop view marts.open_deals_by_day;
    create table marts.open_deals_by_day as select null::bigint as deal_id, 'x'::text as title;
    create view reports.open_titles as select title from marts.open_deals_by_day;
    grant select on marts.open_deals_by_day, reports.open_titles to "{analyst}";
    drop table marts.dim_users cascade;
    create view marts.dim_users as select 'x'::text as name, 1 as user_id;
    create view reports.users as select name from marts.dim_users;
    grant select on marts.dim_users, reports.users to "{analyst}";
    -- a table of which a column changes under a view of the project, on which somebody has a view
    drop view marts.load_summary;
    alter table marts.load_completeness alter column lag_hours type numeric, alter column stream type varchar(9);
    create view marts.load_summary as select stream as sentence from marts.load_completeness;
    create view reports.summary as select sentence from marts.load_summary;
    grant select on marts.load_summary, reports.summary to "{analyst}";
"""
FOREIGN_KEYS = "select conrelid::regclass::text, conname from pg_constraint where contype = 'f' order by 1, 2"


@pytest.fixture(scope="module")
def account(
    empty: Built, new_database: Callable[..., str], dbt: Dbt, tmp_path_factory: pytest.TempPathFactory
) -> Account:
    """A database that a build has filled with one deal. It keeps its name while dbt works, so that others may
    read.
    """
    folder = tmp_path_factory.mktemp("kept")
    url = new_database("kept", urlsplit(empty.account.url).path[1:])
    own_dbt = dbt._replace(database=urlsplit(url).path[1:], parsed=folder / dbt.parsed.name)
    shutil.copytree(empty.account.target, folder / "target")
    account = Account(url, folder / "target", own_dbt)
    account.insert("stages", {"id": 1, "name": "Demo", "pipeline_id": 1})
    deal = {"status": "open", "stage_id": 1, "add_time": "2026-01-05 12:00", "title": "One"}
    account.insert("deals", {"id": 1, **deal})
    run = account.dbt("run", "--select", *MODELS)
    assert run.returncode == 0, run.stdout
    return account


@pytest.fixture(scope="module")
def roles(account: Account) -> Iterator[tuple[str, str]]:
    """One role with rights on one mart, and one that gets rights on all; roles belong to the whole server."""
    names = tuple(f"{kind}_{urlsplit(account.url).path[1:]}" for kind in ("analyst", "bi"))
    for name in names:
        account.execute(f'create role "{name}"')
    yield names[0], names[1]
    for name in names:
        account.execute(f'drop owned by "{name}"; drop role "{name}"')


@pytest.fixture(scope="module")
def rebuilt(account: Account, roles: tuple[str, str]) -> Iterator[tuple[Account, str, psycopg.Connection]]:
    """The database after another build, dbt's output, and a transaction that began before."""
    analyst, bi = roles
    account.execute(
        f"""
        create schema reports;
        create view reports.titles as select deal_id, title from marts.main_bi;
        create view reports.moves as select deal_id, moved_to_stage_demo_1 from marts.deal_stage_pivot;
        create view reports.stages as select stage_id, name from staging.stg_pipedrive__stages;
        create index own_index on marts.main_bi (title);
        grant select on marts.main_bi to "{analyst}";
        grant select (title) on marts.fct_deals to "{analyst}";
        -- what another version of the project may have left
        alter table marts.fct_deals add column gone text not null default 'x';
        alter table marts.fct_deals drop column lost_reason;
        alter table marts.fct_deals alter column origin type varchar(3);
        alter table marts.dim_stages drop constraint if exists dim_stages_pkey cascade;
        alter table marts.fct_deal_stage_history alter column days type numeric;
        """
    )
    account.execute(OTHER_VIEWS.format(analyst=analyst))
    account.insert("deals", {"id": 2, "status": "open", "stage_id": 99, "origin": "ManuallyCreated"})
    account.execute("update pipedrive.stages set name = 'Offer'")
    account.execute("update pipedrive.deals set title = 'First' where id = 1")
    with psycopg.connect(account.url) as reader:
        reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        assert reader.execute("select title from marts.main_bi").fetchall() == [("One",)]
        run = account.dbt(
            *("run", "--select", *MODELS), BI_ROLES=f" {bi},", WEEK_START="Sunday", FISCAL_YEAR_START="4"
        )
        assert run.returncode == 0, run.stdout
        yield account, run.stdout, reader


def test_rights_stay_and_a_configured_role_may_read_every_mart(
    rebuilt: tuple[Account, str, psycopg.Connection], roles: tuple[str, str]
) -> None:
    account, analyst, bi = rebuilt[0], *roles
    account.execute("create table marts.made_later (a int)")
    may_read = """
        select relname::text from pg_class
        where relnamespace = 'marts'::regnamespace and relkind = 'r' and has_table_privilege('%s', oid, 'select')
    """
    assert sorted(account.query(may_read % analyst)) == [("dim_users",), ("main_bi",)]
    every = account.query("select tablename::text from pg_tables where schemaname = 'marts' order by 1")
    assert sorted(account.query(may_read % bi)) == every
    assert len(every) > 30
    assert account.query(
        f"select has_schema_privilege('{bi}', 'marts', 'usage'),"
        f" has_column_privilege('{analyst}', 'marts.fct_deals', 'title', 'select')"
    ) == [(True, True)]


def test_views_of_others_stay_and_show_new_rows(rebuilt: tuple[Account, str, psycopg.Connection]) -> None:
    account = rebuilt[0]
    assert account.query("select * from reports.titles order by 1") == [(1, "First"), (2, None)]
    assert account.query("select * from reports.stages") == [(1, "Offer")]


def test_a_removed_column_stays_empty_if_a_view_needs_it(
    rebuilt: tuple[Account, str, psycopg.Connection],
) -> None:
    account, said, _ = rebuilt
    assert account.query("select * from reports.moves order by 1") == [(1, None), (2, None)]
    assert account.query(
        "select moved_to_stage_offer_1 is null from marts.deal_stage_pivot order by deal_id"
    )[0] == (False,)
    said = " ".join(said.split())
    assert (
        'has no values for "moved_to_stage_demo_1" any more. The column stays, empty, as reports.moves'
        in said
    )


def test_indexes_and_keys_exist_once(rebuilt: tuple[Account, str, psycopg.Connection], empty: Built) -> None:
    account = rebuilt[0]
    assert account.query(INDEXES) == empty.account.query(INDEXES)
    assert account.query("select 'marts.own_index'::regclass is not null") == [(True,)]
    keys = account.query(FOREIGN_KEYS)
    assert keys == empty.account.query(FOREIGN_KEYS)
    assert ("marts.fct_deals", "fct_deals__stage_id__fk") in keys


def test_a_table_of_another_version_gets_the_columns_of_this_one(
    rebuilt: tuple[Account, str, psycopg.Connection], empty: Built
) -> None:
    types = """
        select attname::text, format_type(atttypid, atttypmod) from pg_attribute
        where attrelid = 'marts.fct_deals'::regclass and attnum > 0 and not attisdropped order by 1
    """
    account = rebuilt[0]
    assert account.query(types) == empty.account.query(types)
    assert account.query("select deal_id, origin from marts.fct_deals order by 1") == [
        (1, None),
        (2, "ManuallyCreated"),
    ]


def test_an_open_transaction_still_reads_its_old_rows(
    rebuilt: tuple[Account, str, psycopg.Connection],
) -> None:
    assert rebuilt[2].execute("select title from marts.main_bi").fetchall() == [("One",)]


def test_views_with_changed_columns_keep_their_rights_and_dependent_views(
    rebuilt: tuple[Account, str, psycopg.Connection], roles: tuple[str, str], empty: Built
) -> None:
    account, analyst = rebuilt[0], roles[0]
    for schema, view in (("staging", "stg_pipedrive__currencies"), ("marts", "open_deals_by_day")):
        assert account.columns(schema, view) == empty.account.columns(schema, view)
    may_read = sorted(
        name
        for (name,) in account.query(
            f"select oid::regclass::text from pg_class where relkind = 'v'"
            f" and has_table_privilege('{analyst}', oid, 'select') and relnamespace::regnamespace::text"
            " in ('staging', 'intermediate', 'marts', 'reports')"
        )
    )
    assert may_read == [
        *("intermediate.int_records_listed", "marts.load_summary", "marts.open_deals_by_day"),
        *("reports.dollars", "reports.open_titles", "reports.summary", "reports.users"),
        "staging.stg_pipedrive__currencies",
    ]
    assert account.query(
        "select has_column_privilege('public', 'staging.stg_pipedrive__currencies', 'currency', 'select'),"
        f" has_table_privilege('{analyst}', 'staging.stg_pipedrive__currencies', 'select with grant option'),"
        " obj_description('reports.codes'::regclass), col_description('reports.codes'::regclass, 1), reloptions"
        " from pg_class where oid = 'reports.codes'::regclass"
    ) == [(True, True, "Of the finance team", "ISO 4217", ["security_barrier=true"])]
    account.insert("currencies", {"id": 1, "code": "USD"}, {"id": 2, "code": "BRL"})
    assert account.query("select * from reports.codes order by 1") == [("BRL",), ("USD",)]
    assert account.query("select * from reports.dollars") == [("USD",)]
    for view in ("open_titles", "summary", "users"):
        assert account.query(f"select * from reports.{view}") == []


def test_a_view_of_the_project_that_no_longer_fits_raises_an_error_until_it_is_rebuilt(
    rebuilt: tuple[Account, str, psycopg.Connection], roles: tuple[str, str]
) -> None:
    account, analyst = rebuilt[0], roles[0]
    with pytest.raises(psycopg.errors.InvalidTextRepresentation, match="made by the next dbt build"):
        account.query("select * from reports.records")
    run = account.dbt("run", "--select", "int_records_listed")
    assert run.returncode == 0, run.stdout
    assert ("deals",) in account.query("select * from reports.records")
    assert account.query(
        f"select has_table_privilege('{analyst}', 'intermediate.int_records_listed', 'select')"
    ) == [(True,)]


def test_numbers_in_the_marts_have_a_scale(
    rebuilt: tuple[Account, str, psycopg.Connection], empty: Built
) -> None:
    for account in (rebuilt[0], empty.account):
        numbers = account.query(
            "select table_name::text, column_name::text, numeric_precision, numeric_scale"
            " from information_schema.columns where table_schema = 'marts' and data_type = 'numeric'"
        )
        assert len(numbers) > 50
        assert [each for each in numbers if each[2:] not in ((38, 10), (18, 4))] == []


def test_raw_tables_are_analyzed_before_the_models_read_them(account: Account) -> None:
    account.execute("insert into pipedrive.notes (id) select generate_series(1, 200)")
    run = account.dbt("run", "--select", "dim_stages")
    assert run.returncode == 0, run.stdout
    assert account.query("select reltuples from pg_class where oid = 'pipedrive.notes'::regclass") == [(200,)]


def test_periods_begin_as_configured(rebuilt: tuple[Account, str, psycopg.Connection]) -> None:
    rows = rebuilt[0].query(
        "select date_day, week_start_date, fiscal_year, fiscal_quarter, fiscal_month, fiscal_year_start_date,"
        " fiscal_quarter_start_date from marts.dim_dates order by 1"
    )
    assert len(rows) >= 730
    for day, week, year, quarter, month, first, quarter_first in rows:
        assert week == day - timedelta(days=day.isoweekday() % 7)
        assert year == day.year + (day.month >= 4)
        assert (quarter, month) == ((day.month - 4) % 12 // 3 + 1, (day.month - 4) % 12 + 1)
        assert first == date(year - 1, 4, 1)
        assert quarter_first == date(day.year, (day.month - 1) // 3 * 3 + 1, 1)


def test_a_missing_role_is_reported_in_one_error(account: Account) -> None:
    run = account.dbt("run", "--select", "dim_stages", BI_ROLES="nobody_has_this_name")
    assert run.returncode != 0
    assert "BI_ROLES names the role nobody_has_this_name, which the database does not have" in run.stdout


def test_a_raw_table_that_the_role_may_not_read_is_an_error_and_does_not_count_as_deselected(
    account: Account,
) -> None:
    reader = f"reader_of_{account.url.rpartition('/')[2]}"
    account.execute(
        f"create role {reader} login password 'reader';"
        f"grant usage on schema pipedrive to {reader};"
        f"grant select on all tables in schema pipedrive to {reader};"
        f"revoke select on pipedrive.deals from {reader}"
    )
    own = {"TARGET_POSTGRES_USER": reader, "TARGET_POSTGRES_PASSWORD": "reader"}
    try:
        run = account.dbt("compile", "--select", "stg_pipedrive__deals", **own)
        said = " ".join(run.stdout.split())
        assert run.returncode != 0
        assert f"The role {reader} may not read pipedrive.deals: grant it usage on the schema" in said
        run = account.dbt("compile", "--select", "stg_pipedrive__stages", **own)
        assert run.returncode == 0, run.stdout
    finally:
        account.execute(f"drop owned by {reader}; drop role {reader}")


def test_an_impossible_change_under_a_view_is_one_error_and_loses_nothing(account: Account) -> None:
    account.execute(
        """
        alter table marts.dim_stages alter column name type varchar(9);
        create schema strict;
        create view strict.stages as select name from marts.dim_stages;
        alter view staging.stg_pipedrive__users rename column name to former_name;
        create view strict.users as select former_name from staging.stg_pipedrive__users;
        alter view staging.stg_pipedrive__currencies rename column name to former_name;
        create materialized view strict.currencies as select currency from staging.stg_pipedrive__currencies;
        """
    )
    before = account.query("select * from marts.dim_stages")
    run = account.dbt("run", "--select", "dim_stages", "stg_pipedrive__users", "stg_pipedrive__currencies")
    assert run.returncode != 0
    said = " ".join(run.stdout.split())
    assert (
        "staging.stg_pipedrive__users has to be made anew, and strict.users cannot:"
        " column former_name does not exist. Drop it, build, and make it again."
    ) in said.replace('"', "")
    assert (
        "staging.stg_pipedrive__currencies has to be made anew, and strict.currencies cannot:"
        " it is a materialized view. Drop it, build, and make it again."
    ) in said.replace('"', "")
    assert account.query("select * from strict.users") == []
    assert len(account.query("select * from strict.currencies")) == 2
    assert 'The column "name" of "' in said
    assert "becomes text, and was character varying(9)" in said
    assert "under strict.stages: drop what needs the column, build, and make it again." in said
    assert account.query("select * from marts.dim_stages") == before
