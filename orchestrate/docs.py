"""`make docs`: the site of the dbt project, one page that needs no server.

The types of the columns come from the database that `make run` fills; where it was not run, they are left out.
"""

import subprocess
from contextlib import ExitStack

import click

from orchestrate import environment
from orchestrate.errors import RunError
from orchestrate.output import say
from orchestrate.paths import BIN, ROOT, TRANSFORM
from orchestrate.plugins import install
from orchestrate.processes import end_by_exception
from orchestrate.warehouse import embedded_postgres

SITE = TRANSFORM / "target" / "static_index.html"


@click.command()
def main() -> None:
    """Make the site, and say where it is."""
    end_by_exception()
    variables = environment.settings()
    with ExitStack() as cleanup:
        if not variables.get("TARGET_POSTGRES_HOST"):
            variables |= cleanup.enter_context(embedded_postgres())
        install(variables, ["dbt-postgres"])
        say("Asking the database for the columns, and writing the site")
        command = [str(BIN / "meltano"), "invoke", "dbt-postgres:docs"]
        result = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)
    if result.returncode:
        raise RunError(f"dbt docs failed:\n{(result.stdout + result.stderr)[-2000:]}")
    say(f"Open in a browser: {SITE}")


if __name__ == "__main__":
    main()
