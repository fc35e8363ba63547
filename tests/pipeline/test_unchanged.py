"""A dbt build is skipped if its result would be the same as that of the last one."""

import psycopg
import pytest

from .plugins import Plugins, Program, record, schema

BUILT, SKIPPED, NOTHING = "1 of 1 OK created", "Nothing has changed since the build of", "Nothing to do"


def build(plugins: Plugins, **variables: str) -> Program:
    program = plugins.dbt("build", "--if-changed", **variables)
    program.end()
    return program


def load(plugins: Plugins, *messages: str) -> None:
    program = plugins.load(*messages)
    assert program.end() == 0, program.output


@pytest.fixture
def in_use(tiny: Plugins, database: str) -> Plugins:
    """A project that was built from a table with one row."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("create schema intermediate")
    load(tiny, schema(), record(id=1, name="Ana", age=3))
    assert BUILT in build(tiny).output
    return tiny


def test_rows_that_are_loaded_again_unchanged_cause_no_build(in_use: Plugins) -> None:
    load(in_use, schema(), record(id=1, name="Ana", age=3))
    assert SKIPPED in build(in_use).output
    load(in_use, schema(), record(id=1, name="Ana", age=4))
    assert BUILT in build(in_use).output
    load(in_use, schema(stream="run_statements"), record("run_statements", id=1))
    assert NOTHING in build(in_use).output, "only the models of the statement are built"
    assert SKIPPED in build(in_use).output


def test_another_day_model_or_setting_causes_a_build(in_use: Plugins, database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute('update intermediate.builds set made_of = made_of || \'{"day": "2020-01-01"}\'')
    assert BUILT in build(in_use).output
    mart = in_use.project / "models" / "mart.sql"
    good = mart.read_text() + " where '{{ env_var('REPORTING_CURRENCY', '') }}' <> 'EUR'"
    mart.write_text(good)
    assert BUILT in build(in_use, REPORTING_CURRENCY="USD").output
    assert BUILT in build(in_use, REPORTING_CURRENCY="BRL").output
    assert SKIPPED in build(in_use, REPORTING_CURRENCY="BRL").output
    mart.write_text(good.replace("1 as id", "1 / 0 as id"))
    assert build(in_use, REPORTING_CURRENCY="BRL").process.returncode == 1
    mart.write_text(good)
    assert BUILT in build(in_use, REPORTING_CURRENCY="BRL").output, "a build that failed does not count"


def test_a_time_zone_that_does_not_exist_is_one_sentence(in_use: Plugins) -> None:
    program = build(in_use, REPORTING_TIMEZONE="Mars/Base")
    assert "REPORTING_TIMEZONE is Mars/Base, which is not a time zone" in program.output
    assert "Traceback" not in program.output
