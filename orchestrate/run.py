"""`make run`: from a fresh clone to modelled tables and a summary.

It reads from the account in .env, of Pipedrive or HubSpot, or from the sandbox if .env has none, and writes
to the database in .env, or to the embedded Postgres. The work itself is one Meltano job. This program starts
the services that are missing, shows the important part of the log (all of it is kept in .run/logs), and
prints the result.
"""

import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime

import click
from postgres_sessions import as_transformer

from orchestrate import database, environment, look, masking, report
from orchestrate.alone import LOCK
from orchestrate.crms import CRMS, Crm
from orchestrate.demo import Demo
from orchestrate.errors import RunError
from orchestrate.output import say, warn
from orchestrate.paths import BIN, ROOT
from orchestrate.permissions import make_new_files_private
from orchestrate.plugins import install
from orchestrate.processes import end_by_exception, locked, owned
from orchestrate.progress import Progress
from orchestrate.warehouse import embedded_postgres

DEMO_DEALS = 5000
MOST_DEALS = 1_000_000


@click.command()
@click.option(
    "--deals",
    type=click.IntRange(1, MOST_DEALS),
    default=DEMO_DEALS,
    show_default=True,
    help="Size of the sandbox's account.",
)
@click.option("--crm", "chosen", type=click.Choice(list(CRMS)), default="pipedrive", show_default=True)
@click.option("--demo", is_flag=True, help="Load invented data, also into the database of .env.")
def main(deals: int, chosen: str, demo: bool) -> None:
    """Run the pipeline once, and print what it loaded."""
    make_new_files_private()
    end_by_exception()
    try:
        with _only_run():
            _run(CRMS[chosen], deals, wants_demo=demo)
    except KeyboardInterrupt:
        say("Interrupted. What was committed is kept; the next `make run` continues from there.")
        raise SystemExit(130) from None
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        raise RunError(f"{error.strerror or error}{where}.") from None


@contextmanager
def _only_run() -> Iterator[None]:
    """Make sure that this is the only run in this clone."""
    with locked(LOCK) as is_held:
        if not is_held:
            raise RunError(
                f"Another `make run` is at work in this folder (process {LOCK.read_text()}): "
                "wait until it has ended, or stop it with Ctrl-C where it runs."
            )
        yield


def _run(crm: Crm, deals: int, *, wants_demo: bool) -> None:
    started = time.monotonic()
    variables = environment.settings()
    masking.learn(variables)
    environment.check(variables)
    for sentence in environment.warnings():
        warn(sentence)
    is_embedded = not variables.get("TARGET_POSTGRES_HOST")
    is_demo = wants_demo or not crm.has_account(variables)
    if is_demo and not (is_embedded or wants_demo):
        raise RunError(
            f".env names a database, but no account of {crm.name}: set {crm.credentials[0][0]}, "
            "or load invented data into that database with `make demo`."
        )
    demo = Demo(crm, deals) if is_demo else None
    schema = crm.raw_schema(variables)
    with ExitStack() as cleanup:
        if is_embedded:
            variables |= cleanup.enter_context(embedded_postgres())
            masking.learn(variables)
        database.check(variables, [schema], has_models=True)
        database.mark_demo(variables, schema, is_demo=is_demo, is_embedded=is_embedded)
        install(variables, crm.demo_plugins if is_demo else crm.plugins)
        if demo:
            variables |= cleanup.enter_context(demo.serve())
        since = datetime.now(UTC)
        progress = Progress(crm, is_first=database.is_empty(variables, schema), is_embedded=is_embedded)
        _run_job(crm.jobs[is_demo], variables, progress)
        with database.connected(as_transformer(variables)) as connection:
            report.show_tables(connection, schema, since)
            report.show_figures(connection, crm.figures)
            look.write(connection, variables)
            if crm.summary and (sentence := report.completeness(connection, crm.summary)):
                say(sentence)
    cost = f"{progress.tokens} API tokens, " if progress.tokens else ""
    say(f"{cost}{time.monotonic() - started:.0f} s in all")
    report.show_next_steps(as_transformer(variables), crm, is_embedded=is_embedded)


def _run_job(job: str, variables: Mapping[str, str], progress: Progress) -> None:
    """Run the Meltano job, and show the important part of its log."""
    command = ["run", *(["--full-refresh"] if progress.is_first else []), job]
    if not variables.get("MELTANO_DATABASE_URI"):
        # After a kill -9, Meltano locks a state for five minutes, but the lock here proves that no run is
        # active.
        command.insert(1, "--force")
    say(
        f"{'The warehouse is empty: everything is loaded' if progress.is_first else 'Loading'} (meltano run {job})"
    )
    with owned(
        [BIN / "meltano", *command],
        cwd=ROOT,
        env={**variables, "MELTANO_CLI_LOG_FORMAT": "json"},
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    ) as process:
        for line in process.stderr or ():
            progress.read(line)
        code = process.wait()
    if code:
        raise RunError(progress.failure(f"meltano run {job}"))


if __name__ == "__main__":
    main()
