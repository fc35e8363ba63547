"""Prepare what runs on several machines share, before the first of them and after each upgrade.

This is Meltano's system database in Postgres, with the states and the run lock. Each Meltano process would
create or upgrade it at its start, and two of them at once would disturb each other. The warehouse is checked
as well. Run it as `python -m orchestrate.prepare`; running it again, or in several places at once, does no
harm.
"""

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import urlsplit

import click
import psycopg

from orchestrate import database, environment, masking
from orchestrate.crms import CRMS
from orchestrate.errors import RunError
from orchestrate.output import say
from orchestrate.paths import BIN, ROOT

DRIVER = "postgresql+psycopg"
"""The driver in MELTANO_DATABASE_URI for a Postgres."""

LOCK = "pipedrive-warehouse prepare"
"""The name of the advisory lock that makes one preparation wait for another; Postgres uses its hash."""


@click.command()
def main() -> None:
    """Prepare Meltano's database, and check the warehouse."""
    variables = environment.settings()
    masking.learn(variables)
    environment.check(variables)
    with _turn(variables.get("MELTANO_DATABASE_URI", "")) as where:
        _migrate(variables)
    say(f"Meltano's system database is ready ({where}).")
    if variables.get("TARGET_POSTGRES_HOST"):
        schemas = [crm.raw_schema(variables) for crm in CRMS.values() if crm.has_account(variables)]
        database.check(variables, schemas, has_models=True)
        say(f"The warehouse is ready: {', '.join(schemas) or 'no raw schema'} and the schemas of the models.")


@contextmanager
def _turn(address: str) -> Iterator[str]:
    """Hold the lock in the system database, and yield a description of its location.

    Raises:
        RunError: The address is not that of a Postgres, or nothing answers there.
    """
    if not address.startswith(f"{DRIVER}://"):
        raise RunError(
            "MELTANO_DATABASE_URI is not the address of a Postgres: set it to "
            f"{DRIVER}://user:password@host:5432/meltano, as docs/operate.md says."
        )
    try:
        plain = address.replace(DRIVER, "postgresql", 1)
        with psycopg.connect(plain, connect_timeout=10, autocommit=True) as connection:
            connection.execute("select pg_advisory_lock(hashtextextended(%s, 0))", [LOCK])
            place = urlsplit(address)
            yield f"{place.hostname}, database {connection.info.dbname}"
    except psycopg.Error as error:
        said = str(error).splitlines()[0]
        raise RunError(f"Meltano's system database cannot be used: {said} (MELTANO_DATABASE_URI).") from None


def _migrate(variables: Mapping[str, str]) -> None:
    """Let Meltano create or upgrade its tables, as any of its commands that reads states does.

    Raises:
        RunError: Meltano could not do it.
    """
    result = subprocess.run(
        [BIN / "meltano", "state", "list"],
        cwd=ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        said = (result.stdout + result.stderr)[-2000:]
        raise RunError(f"Meltano could not prepare its system database:\n{said}")


if __name__ == "__main__":
    main()
