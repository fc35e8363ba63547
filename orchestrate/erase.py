"""`make erase PERSON=…` removes a person from every table of the warehouse, and keeps the figures.

The data are removed from the raw tables in one transaction, the models are rebuilt from them, and a search of
the whole database proves that nothing is left. The table `erasures` records what was done, without the data.
"""

import json
import subprocess
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from secrets import token_hex

import click
import psycopg
from postgres_sessions import as_transformer, lock_wait
from psycopg.sql import SQL, Identifier

from orchestrate import database, environment, look, masking
from orchestrate.crms import CRMS
from orchestrate.erasing import hubspot, pipedrive
from orchestrate.erasing.person import Forgotten, find
from orchestrate.erasing.search import Search, search
from orchestrate.erasing.tables import Tables
from orchestrate.errors import RunError
from orchestrate.output import say, warn
from orchestrate.paths import BIN, ROOT, RUN
from orchestrate.permissions import make_new_files_private
from orchestrate.plugins import install
from orchestrate.processes import end_by_exception
from orchestrate.warehouse import embedded_postgres

MODELS = ("intermediate", "snapshots", "marts")
"""Schemas of the models that are tables."""

TAX_IDS = "cnpj,cpf,cpf_cnpj,vat_number,tax_id"
"""The default of TAX_ID_COLUMNS."""

ERASURES = """
create table if not exists {} (
    erasure_id uuid primary key default gen_random_uuid(),
    erased_at timestamptz not null default now(),
    person_count integer not null,
    contact_count integer not null,
    changed_rows jsonb not null,
    searched_tables integer,
    searched_rows bigint,
    found_places jsonb
)
"""


@click.command()
@click.option("--person", envvar="PERSON", help="Pipedrive's id of the person, or an e-mail address.")
def main(person: str | None) -> None:
    """Remove a person from the warehouse, and prove that nothing is left."""
    if not person:
        raise RunError(
            "It is not said who is to be erased: run `make erase PERSON=…` with Pipedrive's id of the person, "
            "or an e-mail address."
        )
    make_new_files_private()
    end_by_exception()
    variables = environment.settings()
    with ExitStack() as cleanup:
        if not variables.get("TARGET_POSTGRES_HOST"):
            variables |= cleanup.enter_context(embedded_postgres())
        masking.learn(variables)
        environment.check(variables)
        install(variables, ["dbt-postgres"])
        erase(variables, person, lambda: _build(variables))
        _renew_pages(variables)
    say("What Pipedrive still holds comes back with the next run that reads it: delete it there as well.")


def erase(variables: Mapping[str, str], wanted: str, build: Callable[[], None]) -> Search:
    """Erase a person, print what was done, and return what a search of the database found afterwards.

    Args:
        variables: The settings.
        wanted: Pipedrive's id, or an e-mail address.
        build: A function that builds the models.

    Raises:
        RunError: Another session keeps a table locked, the models cannot be built, or something is left.
    """
    raw, second = (CRMS[name].raw_schema(variables) for name in ("pipedrive", "hubspot"))
    tax_ids = [each.strip() for each in (variables.get("TAX_ID_COLUMNS") or TAX_IDS).split(",")]
    changed: Counter[str] = Counter()
    with _connections(variables) as (loader, transformer):
        person = find(transformer, raw, second, wanted, tax_ids)
        with _patiently(transformer, variables):
            for schema in MODELS:
                Tables(transformer, schema).scrub(person.own_pattern)
        with _patiently(loader, variables):
            changed += _forget(loader, raw, second, person)
            erasure = _note(loader, raw, person, changed)
        _say_what_was_done(person, changed)
        if not changed and not (found := search(transformer, person)).found:
            say(
                f"Searched {found.tables:,} tables with {found.rows:,} rows: nothing of this person was found."
            )
            return found
    say("Building the models")
    build()
    with _connections(variables) as (loader, transformer):
        _renew_statistics(loader, changed)
        _renew_statistics(transformer, _tables_of(transformer, "intermediate"))
        result = search(transformer, person)
        _note_search(loader, raw, erasure, result)
    for table in result.unread:
        warn(f"{table} could not be searched, as the role may not read it.")
    if result.found:
        left = "; ".join(f"{place} ({count})" for place, count in sorted(result.found.items()))
        raise RunError(
            f"Something is left, or was added meanwhile: {left}. Run the command again; rows of tables "
            "outside this project have to be removed by hand."
        )
    say(f"Searched {result.tables:,} tables with {result.rows:,} rows: nothing is left.")
    return result


@contextmanager
def _connections(variables: Mapping[str, str]) -> Iterator[tuple[psycopg.Connection, psycopg.Connection]]:
    """Connect as the role that loads, and as the one that builds the models, which may read everything."""
    with (
        database.connected(variables) as loader,
        database.connected(as_transformer(variables)) as transformer,
    ):
        yield loader, transformer


@contextmanager
def _patiently(connection: psycopg.Connection, variables: Mapping[str, str]) -> Iterator[None]:
    """Change tables in one transaction, and wait for locks as long as runs do."""
    try:
        with connection.transaction():
            connection.execute(f"set local lock_timeout = '{lock_wait(variables)}s'".encode())
            yield
    except psycopg.errors.LockNotAvailable:
        raise RunError(
            "Another session locks a table of the warehouse, such as a run that is loading: try again when it "
            "has ended. Nothing was changed."
        ) from None
    except psycopg.errors.InsufficientPrivilege as error:
        said = error.diag.message_primary
        raise RunError(
            f"The person cannot be erased: {said}. Use the roles that load and build the models."
        ) from None


def _forget(loader: psycopg.Connection, raw: str, second: str, person: Forgotten) -> Counter[str]:
    """Remove the person from the raw tables, and return the number of changed rows by table."""
    address = f"{token_hex(8)}@erased.invalid"
    changed: Counter[str] = Counter()
    for schema, crm in ((raw, pipedrive), (second, hubspot)):
        tables = Tables(loader, schema)
        crm.forget(tables, person, address)
        tables.scrub(person.own_pattern)
        changed += tables.changed
    return changed


def _note(loader: psycopg.Connection, schema: str, person: Forgotten, changed: Counter[str]) -> str | None:
    """Record what is changed, without the data, and return the key of the record."""
    if not changed:
        return None
    table = Identifier(schema, "erasures")
    loader.execute(SQL(ERASURES).format(table))
    query = SQL(
        "insert into {} (person_count, contact_count, changed_rows) values (%s, %s, %s) returning erasure_id::text"
    )
    found = loader.execute(
        query.format(table), [len(person.ids), len(person.contacts), json.dumps(changed)]
    ).fetchone()
    return str(found[0]) if found else None


def _note_search(loader: psycopg.Connection, schema: str, erasure: str | None, result: Search) -> None:
    query = SQL(
        "update {} set searched_tables = %s, searched_rows = %s, found_places = %s where erasure_id = %s"
    ).format(Identifier(schema, "erasures"))
    if erasure:
        loader.execute(query, [result.tables, result.rows, json.dumps(result.found), erasure])


def _say_what_was_done(person: Forgotten, changed: Counter[str]) -> None:
    if changed:
        say(f"Records of the person: {len(person.ids)} in Pipedrive, {len(person.contacts)} in HubSpot")
        for table, rows in sorted(changed.items()):
            say(f"  {table}: {rows:,} changes of rows")
    if person.shared:
        warn(
            f"{len(person.shared)} names, numbers or addresses of the person are also somebody else's: they stay "
            "in their records."
        )


def _build(variables: Mapping[str, str]) -> None:
    result = subprocess.run(
        [BIN / "meltano", "invoke", "dbt-postgres:build"],
        cwd=ROOT,
        env=dict(variables),
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if result.returncode:
        shown = (result.stdout + result.stderr)[-2000:]
        raise RunError(
            f"The person is out of the raw tables, but the models could not be built:\n{shown}\n"
            "Run it again when they can be."
        )


def _tables_of(connection: psycopg.Connection, schema: str) -> list[str]:
    return [f"{schema}.{table}" for table in Tables(connection, schema).columns]


def _renew_statistics(connection: psycopg.Connection, tables: Iterable[str]) -> None:
    """Make Postgres forget the old versions of rows, and the sampled values with which it plans statements."""
    for table in tables:
        connection.execute(SQL("vacuum (analyze) {}").format(Identifier(*table.split(".", 1))))


def _renew_pages(variables: Mapping[str, str]) -> None:
    """Rewrite the pages with names and amounts that earlier runs left."""
    (RUN / "review" / "index.html").unlink(missing_ok=True)
    if look.PAGE.exists():
        with database.connected(as_transformer(variables)) as connection:
            look.write(connection, variables)


if __name__ == "__main__":
    main()
