"""The warehouse: connecting to it, and checking before a token is spent that a run can use it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from postgres_sessions import NO_SERVER, SettingsError, as_transformer, connection_arguments
from psycopg.sql import SQL, Identifier, Literal

from orchestrate.crms import CRMS
from orchestrate.errors import RunError
from orchestrate.paths import ROOT, TRANSFORM

VARIABLES = ("HOST", "PORT", "USER", "PASSWORD", "DATABASE")
"""Suffixes of the variables TARGET_POSTGRES_… that target-postgres and dbt read."""

OLDEST_VERSION = 14
"""The oldest maintained version of Postgres; it has all functions that the models use."""

LOADING_CONNECTIONS = 4
THREADS = 4
"""The target's connections, and dbt's threads if DBT_THREADS is not set; see docs/operate.md."""

DEMO_MARK = "Invented data of the sandbox"
"""The comment on the raw schema that distinguishes a demo's data from an account's."""


def variables(**values: object) -> dict[str, str]:
    """Return the connection settings in an environment by the lower-case names of `VARIABLES`."""
    return {f"TARGET_POSTGRES_{name}": str(values[name.lower()]) for name in VARIABLES}


@contextmanager
def connected(environment: Mapping[str, str]) -> Iterator[psycopg.Connection]:
    """Connect as target-postgres and dbt do.

    Raises:
        RunError: The connection failed; the sentence says why.
    """
    try:
        arguments: dict[str, Any] = connection_arguments({"MELTANO_PROJECT_ROOT": str(ROOT), **environment})
        connection = psycopg.connect(
            **arguments,
            connect_timeout=10,
            client_encoding="UTF8",
            application_name="pipedrive-warehouse",
            autocommit=True,
        )
    except SettingsError as error:
        raise RunError(str(error)) from None
    except psycopg.Error as error:
        raise RunError(_no_connection(error)) from None
    with connection:
        yield connection


def _no_connection(error: psycopg.Error) -> str:
    """Return a sentence about a failed connection. libpq tries several addresses, and reports them line by
    line.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = re.sub(r"^connection failed: |^connection to server .*? failed: |^(FATAL|ERROR): +", "", lines[0])
    text = re.sub(r"^(FATAL|ERROR): +", "", text).rstrip(".")
    remedy = "Check TARGET_POSTGRES_* in .env."
    if NO_SERVER.search(str(error)):
        remedy = "Start the database, and check TARGET_POSTGRES_HOST and TARGET_POSTGRES_PORT in .env."
    return f"The database cannot be used: {text}. {remedy}"


def check(environment: Mapping[str, str], raw_schemas: Sequence[str], *, has_models: bool) -> None:
    """Check that the load and the models can work in the database.

    Args:
        environment: The settings.
        raw_schemas: The schemas for the raw tables.
        has_models: Whether dbt builds the models as well.

    Raises:
        RunError: Something is missing; the sentence says what.
    """
    models = _model_schemas(environment) if has_models else []
    transformer = as_transformer(environment)
    try:
        if transformer == environment:
            _check(environment, raw_schemas, models)
            return
        if raw_schemas:
            _check(environment, raw_schemas, [])
        if models:
            _check(transformer, [], models)
    except psycopg.Error as error:
        raise RunError(f"The database cannot be used: {error.diag.message_primary or error}.") from None


def _check(environment: Mapping[str, str], raw_schemas: Sequence[str], model_schemas: Sequence[str]) -> None:
    """Check that one role can load into some schemas and build models in others."""
    read = [crm.raw_schema(environment) for crm in CRMS.values()] if model_schemas else []
    with connected(environment) as connection:
        for problem in (
            *_problems(connection, raw_schemas, model_schemas),
            *_reading_problems(connection, read),
            *_connection_problems(connection, _connections(environment)),
        ):
            raise RunError(problem)


def refuse_outdated(environment: Mapping[str, str], schema: str, table: str, column: str) -> None:
    """Refuse to load into the tables of an earlier tap, which a column identifies.

    Raises:
        RunError: These tables exist; the sentence says how to move them aside.
    """
    with connected(environment) as connection:
        found = connection.execute(
            "select from information_schema.columns "
            "where table_schema = %s and table_name = %s and column_name = %s",
            [schema, table, column],
        ).fetchone()
    if found is not None:
        raise RunError(
            f"The schema {schema} holds the tables of an earlier tap, whose rows have other keys: move it aside "
            f'with `alter schema "{schema}" rename to "{schema}_before"`, and run with --full-refresh.'
        )


def _model_schemas(environment: Mapping[str, str]) -> list[str]:
    """Return the schemas of the seeds and models."""
    compat = ["compat"] if environment.get("COMPAT", "").lower() == "true" else []
    return ["seeds", "staging", "intermediate", "snapshots", "marts", *compat]


def _problems(
    connection: psycopg.Connection, raw_schemas: Sequence[str], model_schemas: Sequence[str]
) -> Iterator[str]:
    version = connection.info.server_version // 10_000
    if version < OLDEST_VERSION:
        yield f"The server is Postgres {version}: {OLDEST_VERSION} or newer is needed."
    database, user, encoding, is_read_only, can_create, may_use_temporary = _row(
        connection,
        "select current_database(), current_user, current_setting('server_encoding'), "
        "pg_is_in_recovery() or current_setting('default_transaction_read_only')::bool, "
        "has_database_privilege(current_database(), 'CREATE'), "
        "has_database_privilege(current_database(), 'TEMPORARY')",
    )
    if encoding != "UTF8":
        yield (
            f"The database {database} is encoded in {encoding}, which cannot hold all characters of a CRM: "
            f"name one that was made with `create database … encoding 'UTF8' template template0`."
        )
    if is_read_only:
        yield f"The database {database} is read-only: name the primary, or lift default_transaction_read_only."
    if not may_use_temporary:
        yield (
            f"The user {user} may not make temporary tables, which the load needs: "
            f'grant temporary on database "{database}" to "{user}".'
        )
    schemas = [*raw_schemas, *model_schemas]
    yield from _schema_problems(connection, schemas, database, user, can_create=can_create)
    yield from _owner_problems(connection, raw_schemas, model_schemas, user)


def _schema_problems(
    connection: psycopg.Connection, schemas: list[str], database: str, user: str, *, can_create: bool
) -> Iterator[str]:
    found: dict[str, bool] = dict(
        connection.execute(
            "select nspname, has_schema_privilege(oid, 'CREATE') and has_schema_privilege(oid, 'USAGE') "
            "from pg_namespace where nspname = any(%s)",
            [schemas],
        ).fetchall()
    )
    missing = [name for name in schemas if name not in found]
    if missing and not can_create:
        yield (
            f"The database {database} lacks the {_named('schema', missing)}, and {user} may not make any: "
            f'grant create on database "{database}" to "{user}", or create them with authorization "{user}".'
        )
    if barred := [name for name, is_usable in found.items() if not is_usable]:
        yield (
            f"The user {user} may not make tables in the {_named('schema', barred)}: "
            f'grant usage, create on schema {", ".join(barred)} to "{user}".'
        )


def _owner_problems(
    connection: psycopg.Connection, raw_schemas: Sequence[str], model_schemas: Sequence[str], user: str
) -> Iterator[str]:
    """Find tables of the project that belong to another role, because only the owner may alter or replace
    them.
    """
    foreign = connection.execute(
        "select format('%%I.%%I', nspname, relname), rolname from pg_class "
        "join pg_namespace on pg_namespace.oid = relnamespace join pg_roles on pg_roles.oid = relowner "
        "where relkind in ('r', 'p', 'v', 'm') and not pg_has_role(relowner, 'USAGE') "
        "and (nspname = any(%s) or nspname = any(%s) and relname = any(%s)) order by 1",
        [list(raw_schemas), list(model_schemas), _model_names()],
    ).fetchall()
    if foreign:
        more = f" and {len(foreign) - 1} more tables belong" if len(foreign) > 1 else " belongs"
        yield (
            f"{foreign[0][0]}{more} to {foreign[0][1]}, and {user} may not change what it does not own: "
            f'grant "{foreign[0][1]}" to "{user}", or reassign them.'
        )


def _reading_problems(connection: psycopg.Connection, schemas: Sequence[str]) -> Iterator[str]:
    """Find raw tables that the role which builds the models may not read."""
    barred = connection.execute(
        "select format('%%I', nspname) from pg_namespace where nspname = any(%s) and ("
        "not has_schema_privilege(oid, 'USAGE') or exists (select from pg_class "
        "where relnamespace = pg_namespace.oid and relkind in ('r', 'p') "
        "and not has_table_privilege(pg_class.oid, 'SELECT'))) order by 1",
        [list(schemas)],
    ).fetchall()
    if barred:
        names = ", ".join(name for (name,) in barred)
        user = connection.info.user
        yield (
            f"The user {user} may not read all tables in the {_named('schema', [name for (name,) in barred])}: "
            f'grant usage on schema {names} to "{user}", and select on all tables in it; '
            "deploy/roles.sql does so for tables to come as well."
        )


def _connections(environment: Mapping[str, str]) -> int:
    """Return how many connections a run needs at a time, including the one that looks at locks."""
    try:
        threads = int(environment.get("DBT_THREADS") or THREADS)
    except ValueError:
        raise RunError(f"DBT_THREADS is not a number: {environment['DBT_THREADS']}.") from None
    return max(LOADING_CONNECTIONS, threads + 2) + 1


def _connection_problems(connection: psycopg.Connection, needed: int) -> Iterator[str]:
    for what, limit, used in (
        (f"The user {connection.info.user}", *_row(connection, _LIMIT_OF_USER)),
        (f"The database {connection.info.dbname}", *_row(connection, _LIMIT_OF_DATABASE)),
        ("The server", *_row(connection, _LIMIT_OF_SERVER)),
    ):
        if 0 <= limit < used + needed:
            yield (
                f"{what} is allowed {limit} connections, {used} are in use, and a run needs {needed}: "
                "raise the limit, or run when fewer are in use."
            )


_LIMIT_OF_USER = (
    "select rolconnlimit, (select count(*) - 1 from pg_stat_activity where usename = current_user) "
    "from pg_roles where rolname = current_user"
)
_LIMIT_OF_DATABASE = (
    "select datconnlimit, (select count(*) - 1 from pg_stat_activity where datname = current_database()) "
    "from pg_database where datname = current_database()"
)
_LIMIT_OF_SERVER = (
    "select current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int, "
    "(select count(*) - 1 from pg_stat_activity where backend_type = 'client backend')"
)


def _row(connection: psycopg.Connection, query: str) -> tuple[Any, ...]:
    row = connection.execute(query.encode()).fetchone()
    assert row is not None  # noqa: S101 (each of these queries has one row)
    return tuple(row)


def _named(noun: str, names: list[str]) -> str:
    return f"{noun}{'s' if len(names) > 1 else ''} {', '.join(names)}"


def _model_names() -> list[str]:
    """Return the names of all models and seeds, and of the table in which dbt-queue records its builds."""
    models = (TRANSFORM / "models").rglob("*.sql")
    seeds = [path for folder in ("seeds", "rules") for path in (TRANSFORM / folder).glob("*.csv")]
    return sorted(["builds", *(path.stem for path in (*models, *seeds))])


def is_empty(environment: Mapping[str, str], schema: str) -> bool:
    """Return whether nothing was loaded yet; a state from runs into another database does not count then."""
    with connected(environment) as connection:
        (count,) = connection.execute(
            "select count(*) from pg_tables where schemaname = %s", [schema]
        ).fetchone() or (0,)
    return bool(count == 0)


# A demo in a database


def mark_demo(environment: Mapping[str, str], schema: str, *, is_demo: bool, is_embedded: bool) -> None:
    """Keep invented data and an account's data apart by marking a demo's schema.

    The marts contain the customers of all CRMs, so invented ones must never be mixed with an account's.

    Args:
        environment: The settings.
        schema: The schema that the run loads into.
        is_demo: Whether the run loads invented data.
        is_embedded: Whether the database is the embedded Postgres, and not one that .env names.

    Raises:
        RunError: The database contains the other kind of data.
    """
    with connected(environment) as connection:
        marks = _marks(connection, environment)
        for name, mark in marks.items():
            if is_demo != (mark == DEMO_MARK):
                there, coming = ("an account", "the sandbox") if is_demo else ("the sandbox", "the account")
                raise RunError(
                    f"The schema {name} of the database holds data of {there}, with which those of {coming} "
                    f"would be mixed: {_way_out(is_demo=is_demo, is_embedded=is_embedded)}."
                )
        if is_demo and schema not in marks:
            connection.execute(SQL("create schema {}").format(Identifier(schema)))
            connection.execute(
                SQL("comment on schema {} is {}").format(Identifier(schema), Literal(DEMO_MARK))
            )


def _way_out(*, is_demo: bool, is_embedded: bool) -> str:
    """Return what lets a run load that the data of the database forbid."""
    if is_embedded:
        return "`make clean` removes the embedded one, or name another database in .env"
    return "name another database in .env" + (
        "" if is_demo else "; `make drop-demo` removes the demo from it"
    )


def holds_demo(connection: psycopg.Connection, environment: Mapping[str, str], schema: str) -> bool:
    """Return whether a raw schema has the mark of a demo."""
    return _marks(connection, environment).get(schema) == DEMO_MARK


def drop_demo(environment: Mapping[str, str]) -> list[str]:
    """Remove the demo from a database: its raw schemas, and what dbt built.

    Returns:
        The names of the schemas that were dropped.

    Raises:
        RunError: There is no demo, or other objects depend on its tables.
    """
    with connected(environment) as connection:
        raw = [name for name, mark in _marks(connection, environment).items() if mark == DEMO_MARK]
        if not raw:
            raise RunError("The database holds no demo.")
        models = ["seeds", "staging", "intermediate", "snapshots", "marts", "compat"]
        try:
            with connection.transaction():
                _drop(connection, models, "relname = any(%s)", [_model_names()])
                connection.execute("drop function if exists marts.pipeline_waterfall")
                _drop(connection, raw, "true", [])
                empty = _empty_schemas(connection, [*raw, *models])
                for name in empty:
                    connection.execute(SQL("drop schema {}").format(Identifier(name)))
        except psycopg.errors.DependentObjectsStillExist as error:
            dependents = "; ".join(
                (error.diag.message_detail or str(error.diag.message_primary)).splitlines()
            )
            raise RunError(
                f"The demo was not removed: {dependents}. Drop the dependent objects first."
            ) from None
    return empty


def _marks(connection: psycopg.Connection, environment: Mapping[str, str]) -> dict[str, str | None]:
    """Return the comments on the raw schemas that exist."""
    found = connection.execute(
        "select nspname, obj_description(oid, 'pg_namespace') from pg_namespace where nspname = any(%s)",
        [[crm.raw_schema(environment) for crm in CRMS.values()]],
    )
    return dict(found.fetchall())


def _drop(connection: psycopg.Connection, schemas: list[str], condition: str, values: list[Any]) -> None:
    """Drop all tables in one statement and all views in another, because they may depend on each other."""
    for kind, relkinds in (("view", "v"), ("table", "rp")):
        found = connection.execute(
            f"select nspname, relname from pg_class join pg_namespace on pg_namespace.oid = relnamespace "
            f"where nspname = any(%s) and relkind = any(%s) and {condition}".encode(),
            [schemas, list(relkinds), *values],
        ).fetchall()
        if found:
            connection.execute(
                SQL("drop {} {}").format(SQL(kind), SQL(", ").join(Identifier(*row) for row in found))
            )


def _empty_schemas(connection: psycopg.Connection, schemas: list[str]) -> list[str]:
    found = connection.execute(
        "select nspname from pg_namespace where nspname = any(%s) and not exists "
        "(select from pg_class where relnamespace = pg_namespace.oid) order by 1",
        [schemas],
    )
    return [name for (name,) in found.fetchall()]
