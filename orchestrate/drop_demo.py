"""`make drop-demo` removes the invented data from the database."""

from contextlib import ExitStack

import click

from orchestrate import database, environment, masking
from orchestrate.output import say
from orchestrate.processes import end_by_exception
from orchestrate.warehouse import embedded_postgres


@click.command()
def main() -> None:
    """Drop the tables and views of a demo, and print the schemas that were dropped."""
    end_by_exception()
    variables = environment.settings()
    with ExitStack() as cleanup:
        if not variables.get("TARGET_POSTGRES_HOST"):
            variables |= cleanup.enter_context(embedded_postgres())
        masking.learn(variables)
        schemas = database.drop_demo(variables)
    say(f"The demo is gone; these schemas were dropped: {', '.join(schemas)}")


if __name__ == "__main__":
    main()
