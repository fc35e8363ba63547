"""`make drop-demo` removes the invented data from the database in .env."""

import click

from orchestrate import database, environment, masking
from orchestrate.errors import RunError
from orchestrate.output import say
from orchestrate.processes import end_by_exception


@click.command()
def main() -> None:
    """Drop the tables and views of a demo, and print the schemas that were dropped."""
    end_by_exception()
    variables = environment.settings()
    if not variables.get("TARGET_POSTGRES_HOST"):
        raise RunError(
            ".env names no database from which a demo could be removed: "
            "`make clean` removes the embedded one, with everything else that the runs have made."
        )
    masking.learn(variables)
    schemas = database.drop_demo(variables)
    say(f"The demo is gone; these schemas were dropped: {', '.join(schemas)}")


if __name__ == "__main__":
    main()
