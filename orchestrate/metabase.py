"""`make metabase` connects a running Metabase to the database, and creates the dashboards there."""

from collections.abc import Mapping
from contextlib import ExitStack

import click
import psycopg
from postgres_sessions import as_transformer

from analyze.as_of import all_rows
from analyze.metabase.client import Account, Json, Metabase, MetabaseError
from analyze.metabase.provision import SCHEMA, provision
from orchestrate import database, environment, masking
from orchestrate.errors import RunError
from orchestrate.output import say
from orchestrate.processes import end_by_exception
from orchestrate.warehouse import embedded_postgres

VARIABLES = (
    "METABASE_URL",
    "METABASE_API_KEY",
    "METABASE_EMAIL",
    "METABASE_PASSWORD",
    "METABASE_DATABASE_HOST",
    "METABASE_DATABASE_PORT",
    "METABASE_DATABASE_NAME",
    "METABASE_DATABASE_USER",
    "METABASE_DATABASE_PASSWORD",
    "METABASE_DATABASE_SSL_MODE",
)
"""The variables that this command reads from `.env` and the environment."""

SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")

NAME = "Pipedrive"
"""The database's name in Metabase."""


@click.command()
def main() -> None:
    """Give a running Metabase the database, the types of columns, and the dashboards in both languages."""
    end_by_exception()
    variables = environment.settings()
    masking.learn(variables)
    account = account_of(variables)
    with ExitStack() as cleanup:
        if not variables.get("TARGET_POSTGRES_HOST"):
            variables |= cleanup.enter_context(embedded_postgres())
            masking.learn(variables)
        details = connection_details(variables)
        with database.connected(as_transformer(variables)) as connection:
            try:
                metabase = Metabase(variables["METABASE_URL"], account)
                fill(metabase, connection, details, variables.get("REPORTING_CURRENCY") or "USD")
            except MetabaseError as error:
                raise RunError(str(error)) from None
    for each in metabase.done or ["nothing had to be changed"]:
        say(each[0].upper() + each[1:])
    say(f"Open in a browser: {variables['METABASE_URL']}")


def account_of(variables: Mapping[str, str]) -> Account:
    """Return the account of Metabase to use. Raises RunError if a setting is missing."""
    if not variables.get("METABASE_URL"):
        raise RunError("METABASE_URL is not set: put Metabase's address in .env, as http://localhost:3000.")
    api_key, email, password = (
        variables.get(f"METABASE_{name}", "") for name in ("API_KEY", "EMAIL", "PASSWORD")
    )
    if not api_key and not (email and password):
        raise RunError(
            "Metabase asks who provisions it: set METABASE_API_KEY in .env, "
            "or METABASE_EMAIL and METABASE_PASSWORD of an admin."
        )
    return Account(api_key, email, password)


def connection_details(variables: Mapping[str, str]) -> Json:
    """Return Metabase's connection settings for the warehouse under Metabase's names.

    Host, port and name are those of the load, unless Metabase reaches the database under others. The role
    never is, because it has to be one that may only read.

    Raises:
        RunError: A setting is missing or wrong.
    """
    user, password = (variables.get(f"METABASE_DATABASE_{name}", "") for name in ("USER", "PASSWORD"))
    if not user or not password:
        raise RunError(
            "Metabase needs a role that may only read: "
            "set METABASE_DATABASE_USER and METABASE_DATABASE_PASSWORD in .env."
        )
    if user == variables.get("TARGET_POSTGRES_USER"):
        raise RunError(
            f"METABASE_DATABASE_USER is {user}, the role that loads: name one that may only read the marts."
        )
    mode = variables.get("METABASE_DATABASE_SSL_MODE", "disable")
    if mode not in SSL_MODES:
        raise RunError(f"METABASE_DATABASE_SSL_MODE is {mode}: take one of {', '.join(SSL_MODES)}.")
    port = _of_database(variables, "PORT", "PORT") or "5432"
    if not port.isdecimal():
        raise RunError(f"METABASE_DATABASE_PORT is {port}, which is not a number.")
    return {
        "host": _of_database(variables, "HOST", "HOST"),
        "port": int(port),
        "dbname": _of_database(variables, "NAME", "DATABASE"),
        "user": user,
        "password": password,
        **({"ssl": False} if mode == "disable" else {"ssl": True, "ssl-mode": mode}),
    }


def _of_database(variables: Mapping[str, str], name: str, name_of_load: str) -> str:
    own = variables.get(f"METABASE_DATABASE_{name}")
    return own or variables.get(f"TARGET_POSTGRES_{name_of_load}", "")


def fill(metabase: Metabase, connection: psycopg.Connection, details: Json, reporting_currency: str) -> None:
    """Create the dashboards for the content of the warehouse in Metabase.

    Raises:
        MetabaseError: Metabase refuses a request.
        RunError: The marts are missing, or the role may not read them.
    """
    try:
        marts = _marts(connection, details["user"])
        found = {name: (each, _columns(connection, each.sql)) for name, each in all_rows().items()}
        currencies = connection.execute(
            "select currency from marts.fct_deals where currency is not null and not is_deleted"
            " group by currency order by count(*) desc, currency limit 1"
        ).fetchone()
    except psycopg.Error as error:
        said = str(error).partition("\n")[0]
        raise RunError(f"The marts cannot be read: {said}. Run `make run` first.") from None
    currency = currencies[0] if currencies else reporting_currency
    provision(metabase, NAME, details, marts, found, currency=currency, reporting_currency=reporting_currency)


def _marts(connection: psycopg.Connection, role: str) -> dict[str, set[str]]:
    """Return the marts with their columns.

    Raises:
        RunError: There are no marts, or the role may not read them. A name that is not a role here, such as a
            pooler's user, is not checked.
    """
    found = connection.execute(
        """
        select
            relname,
            array_agg(attname::text),
            not exists (
                select from pg_roles
                where rolname = %s and not (
                    has_schema_privilege(pg_roles.oid, relnamespace, 'usage')
                    and has_table_privilege(pg_roles.oid, pg_class.oid, 'select')
                )
            )
        from pg_class
        inner join pg_attribute on pg_attribute.attrelid = pg_class.oid and attnum > 0 and not attisdropped
        where relnamespace = to_regnamespace(%s) and relkind in ('r', 'v', 'm', 'p')
        group by pg_class.oid
        order by relname
        """,
        [role, SCHEMA],
    ).fetchall()
    if not found:
        raise RunError(f"The schema {SCHEMA} is empty: run `make run` first.")
    for name, _, is_readable in found:
        if not is_readable:
            raise RunError(
                f"The role {role} may not read {SCHEMA}.{name}: "
                f"set BI_ROLES={role} in .env, and run `make run`."
            )
    return {name: set(columns) for name, columns, _ in found}


def _columns(connection: psycopg.Connection, sql: str) -> set[str]:
    cursor = connection.execute(f"select * from ({sql}) as all_rows limit 0".encode())
    return {column.name for column in cursor.description or ()}


if __name__ == "__main__":
    main()
