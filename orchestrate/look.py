"""`make report` and `make open`: the page of the dashboards, which each `make run` writes as well."""

import webbrowser
from collections.abc import Mapping
from contextlib import ExitStack

import click
import psycopg
from postgres_sessions import as_transformer

from analyze.report import write_report
from orchestrate import database, environment
from orchestrate.errors import RunError
from orchestrate.output import say
from orchestrate.paths import RUN
from orchestrate.processes import end_by_exception
from orchestrate.warehouse import embedded_postgres

PAGE = RUN / "report" / "index.html"


@click.command()
@click.option("--open", "opens", is_flag=True, help="Open the existing page without writing it.")
def main(opens: bool) -> None:
    """Write the page of the dashboards, or open it."""
    end_by_exception()
    if opens:
        show()
        return
    variables = environment.settings()
    with ExitStack() as cleanup:
        if not variables.get("TARGET_POSTGRES_HOST"):
            variables |= cleanup.enter_context(embedded_postgres())
        with database.connected(as_transformer(variables)) as connection:
            write(connection, variables)
    say(f"Open in a browser: {PAGE}")


def write(connection: psycopg.Connection, variables: Mapping[str, str]) -> None:
    """Write the page. Raises RunError if the marts are missing or cannot be read."""
    currency = variables.get("REPORTING_CURRENCY") or "USD"
    try:
        write_report(connection, PAGE, reporting_currency=currency)
    except psycopg.Error as error:
        said = str(error).partition("\n")[0]
        raise RunError(
            f"The page of the dashboards could not be written: {said}. Run `make run` first."
        ) from None


def show() -> None:
    """Open the page in the user's browser. Raises RunError if there is no page."""
    if not PAGE.exists():
        raise RunError("There is no page yet: `make report` writes it.")
    if not webbrowser.open(PAGE.as_uri()):
        say(f"No browser could be started here. Open in one: {PAGE}")


if __name__ == "__main__":
    main()
