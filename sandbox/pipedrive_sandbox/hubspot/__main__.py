"""The command `hubspot-sandbox`."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import orjson

from pipedrive_sandbox.account.clock import parse
from pipedrive_sandbox.data.figures import write_figures
from pipedrive_sandbox.hubspot.api import SCOPES
from pipedrive_sandbox.hubspot.csv_files import write_csv_files
from pipedrive_sandbox.hubspot.figures import FIGURES
from pipedrive_sandbox.hubspot.generate import ALL_TROUBLES, generate, live
from pipedrive_sandbox.hubspot.portal import Portal
from pipedrive_sandbox.hubspot.server import Limits, Server, State
from pipedrive_sandbox.hubspot.testing import TOKEN
from pipedrive_sandbox.server.listen import serve_until_stopped

TROUBLES = click.Choice(sorted(ALL_TROUBLES))
DEFAULTS = Limits()


@click.group(context_settings={"show_default": True})
def main() -> None:
    """A local HubSpot to develop, demonstrate and test against."""


def account_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of the account; the command receives the account, its manifest and its time."""

    @click.option("--deals", default=2000, help="Number of deals; everything else scales with it.")
    @click.option("--seed", default=1, help="Equal seeds give equal accounts.")
    @click.option(
        "--properties", default=0, help="Number of properties of each object, if more than the account uses."
    )
    @click.option(
        "--now",
        type=parse,
        metavar="ISO",
        help="Time up to which the account's history is generated; default: now.",
    )
    @click.option("--troubles", type=TROUBLES, multiple=True, help="Only these injected troubles.")
    @click.option("--without-trouble", type=TROUBLES, multiple=True, help="All troubles except these.")
    @click.option("--manifest", type=click.Path(path_type=Path), help="Write the troubles' ids here.")
    @functools.wraps(command)
    def with_account(
        *,
        deals: int,
        seed: int,
        properties: int,
        now: datetime | None,
        troubles: Sequence[str],
        without_trouble: Sequence[str],
        manifest: Path | None,
        **rest: Any,
    ) -> None:
        anchor = now or datetime.now(UTC).replace(microsecond=0)
        chosen = set(troubles or ALL_TROUBLES) - set(without_trouble)
        portal, spoilt = generate(deals, seed, anchor, chosen, properties)
        if manifest:
            manifest.write_bytes(orjson.dumps(spoilt, option=orjson.OPT_INDENT_2))
        command(portal=portal, spoilt=spoilt, anchor=anchor, **rest)

    return with_account


@main.command("csv")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@account_options
def csv_command(folder: Path, portal: Portal, spoilt: Any, anchor: datetime) -> None:
    """Write an account as files for HubSpot's importer: companies, contacts, then deals."""
    for path, rows in write_csv_files(portal, folder):
        click.echo(f"{path}: {rows:,} rows")


@main.command("serve")
@account_options
@click.option("--host", default="127.0.0.1")
@click.option("--port", default=8766, help="0 takes a free one.")
@click.option("--token", default=TOKEN, help="Accepted token.")
@click.option("--burst", default=DEFAULTS.burst, help="Requests in 10 s; 0: unlimited.")
@click.option("--searches", default=DEFAULTS.searches, help="Searches in a second; 0: unlimited.")
@click.option("--daily", default=DEFAULTS.daily, help="Requests in all; 0: unlimited.")
@click.option("--search-lag", default=0.0, help="Seconds after which a search finds a change.")
@click.option(
    "--without-scope",
    "without_scopes",
    type=click.Choice(SCOPES),
    multiple=True,
    help="A scope that the token lacks; repeatable.",
)
@click.option("--clock-offset", default=0.0, help="Seconds by which the account's clock is ahead of --now.")
@click.option(
    "--live-at",
    "lived",
    type=parse,
    metavar="ISO",
    multiple=True,
    help="Time after --now at which 1 % of the deals changed and as many were added; repeatable.",
)
@click.option(
    "--figures",
    type=click.Path(path_type=Path),
    help="Write exchange rates, acquisition costs and category synonyms here.",
)
@click.option("--ready-file", type=click.Path(path_type=Path), help='Write {"url","pid","token"} here.')
def serve_command(  # noqa: PLR0913, PLR0917  (the command line is the table of options)
    portal: Portal,
    spoilt: Any,
    anchor: datetime,
    host: str,
    port: int,
    token: str,
    burst: int,
    searches: int,
    daily: int,
    search_lag: float,
    without_scopes: Sequence[str],
    clock_offset: float,
    lived: Sequence[datetime],
    figures: Path | None,
    ready_file: Path | None,
) -> None:
    """Serve a generated HubSpot account until interrupted."""
    portal.clock.set(anchor + timedelta(seconds=clock_offset))
    for i, moment in enumerate(sorted(lived), start=1):
        if moment > portal.clock.now():
            raise click.UsageError(f"--live-at {moment.isoformat()} is later than the clock.")
        with portal.clock.held(moment):
            live(portal, i)
    if figures:
        write_figures(figures, spoilt["deals"], spoilt["seed"], anchor, portal.clock.now(), FIGURES)
    state = State(
        portal,
        token,
        spoilt,
        limits=Limits(burst, searches, daily),
        scopes=frozenset(SCOPES).difference(without_scopes),
        search_lag=search_lag,
    )
    asyncio.run(
        serve_until_stopped(Server(state), host, port, name="HubSpot", token=token, ready_file=ready_file)
    )


if __name__ == "__main__":
    main()
