"""`make docs`: the site of the dbt project, one page that needs no server.

The types of the columns come from the database that `make run` fills; where it was not run, they are left out.
"""

import subprocess
from contextlib import ExitStack

from run import BIN, ROOT, RunError, embedded_postgres, install, say, settings

SITE = ROOT / "transform" / "target" / "static_index.html"


def main() -> None:
    """Make the site, and say where it is."""
    environment = settings()
    with ExitStack() as cleanup:
        if not environment.get("TARGET_POSTGRES_HOST"):
            environment |= cleanup.enter_context(embedded_postgres())
        install(environment, ["dbt-postgres"])
        say("Asking the database for the columns, and writing the site")
        command = [str(BIN / "meltano"), "invoke", "dbt-postgres:docs"]
        result = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
    if result.returncode:
        raise RunError(f"dbt docs failed:\n{(result.stdout + result.stderr)[-2000:]}")
    say(f"Open in a browser: {SITE}")


if __name__ == "__main__":
    try:
        main()
    except RunError as error:
        error.show()
        raise SystemExit(error.exit_code) from None
