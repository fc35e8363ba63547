"""`make docs` builds the project's pages as a searchable site, with dbt's page of the models, without a
server.

Column types come from the database that `make run` fills; without a run they are left out.
"""

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import click

from orchestrate import environment
from orchestrate.errors import RunError
from orchestrate.output import say
from orchestrate.paths import BIN, ROOT, TRANSFORM
from orchestrate.plugins import install
from orchestrate.processes import end_by_exception
from orchestrate.warehouse import embedded_postgres

SITE = ROOT / ".run" / "docs"
MODELS = TRANSFORM / "target" / "static_index.html"


@click.command()
def main() -> None:
    """Build the site, and print where it is."""
    end_by_exception()
    say("Writing the pages")
    write_pages(SITE)
    say("Asking the database for the columns, and writing the page of the models")
    variables = environment.settings()
    with ExitStack() as cleanup:
        if not variables.get("TARGET_POSTGRES_HOST"):
            variables |= cleanup.enter_context(embedded_postgres())
        install(variables, ["dbt-postgres"])
        _run([BIN / "meltano", "invoke", "dbt-postgres:docs"], variables)
    shutil.copy(MODELS, SITE / "models.html")
    say(f"Open in a browser: {SITE / 'index.html'}")


def write_pages(folder: Path) -> None:
    """Write the site without the models. Raises RunError if a page has a fault, such as a broken link."""
    _run([BIN / "sphinx-build", "-q", "-W", "--keep-going", "-c", ROOT / "docs", ROOT, folder])
    shutil.copy(folder / "README.html", folder / "index.html")


def _run(command: Sequence[str | Path], variables: Mapping[str, str] | None = None) -> None:
    result = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)
    if result.returncode:
        raise RunError(f"{Path(command[0]).name} failed:\n{(result.stdout + result.stderr)[-2000:]}")


if __name__ == "__main__":
    main()
