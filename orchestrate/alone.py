"""`make stop` and `make clean` run their commands with this program, which refuses while a run is at work."""

import os
import sys

import click

from orchestrate.errors import RunError
from orchestrate.paths import RUN
from orchestrate.processes import locked

LOCK = RUN / "run.lock"
"""The lock that `make run` holds while it is at work; it contains the id of its process."""


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--target", required=True, help="The target of `make` to name in the message.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def main(target: str, command: tuple[str, ...]) -> None:
    """Run a command if no run is at work; none can begin before the command has ended."""
    with locked(LOCK, stays=True) as is_held:
        if not is_held:
            raise RunError(
                f"`make run` is at work in this folder (process {LOCK.read_text()}): wait until it has ended, "
                f"or stop it with Ctrl-C where it runs, and then repeat `make {target}`."
            )
        sys.stdout.flush()
        os.execvp(command[0], command)  # noqa: S606 (this program may be among the files to remove)


if __name__ == "__main__":
    main()
