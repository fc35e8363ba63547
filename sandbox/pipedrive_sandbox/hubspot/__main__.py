"""The command `hubspot-sandbox`."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import orjson

from ..clock import parse
from ..data.figures import write_figures
from .figures import FIGURES
from .generate import ALL_TROUBLES, generate, live
from .listener import HOST, Listener
from .server import Server, State
from .testing import TOKEN

TROUBLES = click.Choice(sorted(ALL_TROUBLES))


@click.command(context_settings={"show_default": True})
@click.option("--deals", default=2000, help="Number of deals; everything else scales with it.")
@click.option("--seed", default=1, help="Equal seeds give equal accounts.")
@click.option("--host", default="127.0.0.1")
@click.option("--port", default=8766, help="0 takes a free one.")
@click.option("--token", default=TOKEN, help="Accepted token.")
@click.option(
    "--now", type=parse, metavar="ISO", help="Moment up to which the account has lived; default: now."
)
@click.option("--clock-offset", default=0.0, help="Seconds the account's clock is ahead of that.")
@click.option(
    "--live-at",
    "lived",
    type=parse,
    metavar="ISO",
    multiple=True,
    help="Moment, after --now, when 1 % of the deals changed and as many came; repeatable.",
)
@click.option("--troubles", type=TROUBLES, multiple=True, help="Only these injected troubles.")
@click.option("--without-trouble", type=TROUBLES, multiple=True, help="All troubles but these.")
@click.option("--manifest", type=click.Path(path_type=Path), help="Write the troubles' ids here.")
@click.option(
    "--figures",
    type=click.Path(path_type=Path),
    help="Write exchange rates, acquisition costs and category synonyms here.",
)
@click.option(
    "--ready-file",
    type=click.Path(path_type=Path),
    help='Write {"url","proxy","authority","pid","token"} here.',
)
def main(  # noqa: PLR0913, PLR0917  (the command line is the table of options)
    deals: int,
    seed: int,
    host: str,
    port: int,
    token: str,
    now: datetime | None,
    clock_offset: float,
    lived: Sequence[datetime],
    troubles: Sequence[str],
    without_trouble: Sequence[str],
    manifest: Path | None,
    figures: Path | None,
    ready_file: Path | None,
) -> None:
    """Serve a generated HubSpot account until interrupted."""
    anchor = now or datetime.now(UTC).replace(microsecond=0)
    portal, spoilt = generate(deals, seed, anchor, set(troubles or ALL_TROUBLES) - set(without_trouble))
    portal.clock.set(anchor + timedelta(seconds=clock_offset))
    for i, moment in enumerate(sorted(lived), start=1):
        if moment > portal.clock.now():
            raise click.UsageError(f"--live-at {moment.isoformat()} is later than the clock.")
        with portal.clock.held(moment):
            live(portal, i)
    if manifest:
        manifest.write_bytes(orjson.dumps(spoilt, option=orjson.OPT_INDENT_2))
    if figures:
        write_figures(figures, deals, seed, anchor, portal.clock.now(), FIGURES)
    listener = Listener(Server(State(portal, token, spoilt)))
    asyncio.run(_serve(listener, host, port, token, ready_file))


async def _serve(listener: Listener, host: str, port: int, token: str, ready_file: Path | None) -> None:
    """Serve until SIGINT or SIGTERM."""
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    try:
        address = await listener.start(host, port)
    except OSError as error:
        raise click.ClickException(
            f"Cannot serve on {host}:{port}: {os.strerror(error.errno or 0)}."
            " Choose another --port, or 0 for a free one."
        ) from None
    if ready_file:
        ready = {**address._asdict(), "pid": os.getpid(), "token": token}
        partial = ready_file.with_name(ready_file.name + ".part")
        partial.write_bytes(orjson.dumps(ready))
        partial.replace(ready_file)
    click.echo(f"HubSpot sandbox at {address.url}")
    click.echo(f"As https://{HOST}: HTTPS_PROXY={address.proxy} SSL_CERT_FILE={address.authority}")
    await stopped.wait()
    await listener.stop()


if __name__ == "__main__":
    main()
