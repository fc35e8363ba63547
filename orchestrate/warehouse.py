"""The embedded Postgres of a run."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from embedded_postgres.warehouse import Warehouse
from psycopg.conninfo import conninfo_to_dict

from orchestrate.database import variables
from orchestrate.output import say
from orchestrate.paths import RUN
from orchestrate.processes import at_the_end

HOME = RUN / "warehouse"


@contextmanager
def embedded_postgres() -> Iterator[dict[str, str]]:
    """Start the embedded Postgres unless it is running, and yield its connection as variables.

    After a success it keeps running, so that users can look at the tables. After a failure it is stopped if
    it was started here.
    """
    warehouse = Warehouse(HOME)
    if warehouse.is_up:
        yield connection_of(warehouse)
        return
    say("Starting the embedded Postgres")
    with at_the_end(
        sys.executable, "-m", "embedded_postgres.warehouse", "down", "--data", HOME
    ) as keep_it_up:
        warehouse.up()
        yield connection_of(warehouse)
        keep_it_up()


def connection_of(warehouse: Warehouse) -> dict[str, str]:
    """Return the connection of an embedded Postgres as variables."""
    url = conninfo_to_dict(warehouse.url)
    return variables(**url, database=url["dbname"])
