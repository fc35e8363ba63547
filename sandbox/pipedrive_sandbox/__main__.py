"""The command `pipedrive-sandbox`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import orjson

from pipedrive_sandbox.account.change import change
from pipedrive_sandbox.account.clock import Clock, parse
from pipedrive_sandbox.account.store import Account
from pipedrive_sandbox.data.figures import write_figures
from pipedrive_sandbox.data.generate import ALL_TROUBLES, generate
from pipedrive_sandbox.records.refusals import Refusal
from pipedrive_sandbox.server.application import Server, Settings
from pipedrive_sandbox.server.faults import Fault, fault
from pipedrive_sandbox.server.features import FEATURES
from pipedrive_sandbox.server.listen import serve_until_stopped
from pipedrive_sandbox.server.oauth import App
from pipedrive_sandbox.testing import TOKEN

DEFAULTS = Settings()
TROUBLES = click.Choice(sorted(ALL_TROUBLES))


def read_fault(text: str) -> Fault:
    """Read a fault given on the command line. Raises ValueError."""
    try:
        return fault(orjson.loads(text))
    except (Refusal, TypeError) as error:
        raise ValueError(str(error)) from None


@click.group(context_settings={"show_default": True})
def main() -> None:
    """A local Pipedrive to develop, demonstrate and test against."""


@main.command("serve")
@click.option(
    "--deals",
    type=click.IntRange(min=1),
    default=2000,
    help="Number of deals; everything else scales with it.",
)
@click.option("--seed", default=1, help="Equal seeds give equal accounts.")
@click.option("--host", default="127.0.0.1")
@click.option("--port", default=8765, help="0 takes a free one.")
@click.option("--token", "tokens", multiple=True, default=[TOKEN], help="Accepted token; repeatable.")
@click.option("--burst", default=DEFAULTS.burst, help="Requests per token in 2 s; 0: unlimited.")
@click.option("--daily-budget", default=DEFAULTS.daily_budget, help="Tokens per day.")
@click.option(
    "--daily-headers/--no-daily-headers",
    default=True,
    help="Send the x-daily-ratelimit-token-* headers.",
)
@click.option("--latency", default=0.0, help="Seconds added to every answer.")
@click.option(
    "--unset-fields",
    type=click.Choice(["null", "absent"]),
    default=DEFAULTS.unset_fields,
    help="How v2 shows custom fields without a value.",
)
@click.option(
    "--without-feature",
    "without_features",
    type=click.Choice(sorted(FEATURES)),
    multiple=True,
    help="A feature that the company's plan lacks; repeatable.",
)
@click.option(
    "--limited-token",
    "limited_tokens",
    multiple=True,
    help="Accepted token of a user who is no administrator and sees a share of the rows; repeatable.",
)
@click.option(
    "--limited-share",
    type=click.FloatRange(0, 1),
    default=0.3,
    help="The share of the rows that limited tokens see.",
)
@click.option("--client-id", default=DEFAULTS.app.client_id, help="The OAuth app's.")
@click.option("--client-secret", default=DEFAULTS.app.client_secret, help="The OAuth app's.")
@click.option(
    "--refresh-token", default=DEFAULTS.app.refresh_token, help="The first refresh token of the OAuth app."
)
@click.option(
    "--access-seconds", default=DEFAULTS.app.token_seconds, help="Lifetime of OAuth access tokens in seconds."
)
@click.option(
    "--fault",
    "faults",
    type=read_fault,
    metavar="JSON",
    multiple=True,
    help="A fault as POST /sandbox/faults takes it; repeatable.",
)
@click.option(
    "--now",
    type=parse,
    metavar="ISO",
    help="Time up to which the account's history is generated; default: now.",
)
@click.option("--clock-offset", default=0.0, help="Seconds by which the account's clock is ahead of --now.")
@click.option(
    "--live-at",
    "lived",
    type=parse,
    metavar="ISO",
    multiple=True,
    help="Moment, after --now, when 1 % of everything changed; repeatable.",
)
@click.option("--troubles", type=TROUBLES, multiple=True, help="Only these injected troubles.")
@click.option("--without-trouble", type=TROUBLES, multiple=True, help="All troubles except these.")
@click.option("--manifest", type=click.Path(path_type=Path), help="Write the troubles' ids here.")
@click.option(
    "--figures",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write exchange rates, acquisition costs and category spellings into this folder, as CSV.",
)
@click.option("--ready-file", type=click.Path(path_type=Path), help='Write {"url","pid","token"} here.')
def serve_command(  # noqa: PLR0913, PLR0917  (the command line is the table of options)
    deals: int,
    seed: int,
    host: str,
    port: int,
    tokens: Sequence[str],
    burst: int,
    daily_budget: int,
    daily_headers: bool,
    latency: float,
    unset_fields: str,
    without_features: Sequence[str],
    limited_tokens: Sequence[str],
    limited_share: float,
    client_id: str,
    client_secret: str,
    refresh_token: str,
    access_seconds: int,
    faults: Sequence[Fault],
    now: datetime | None,
    clock_offset: float,
    lived: Sequence[datetime],
    troubles: Sequence[str],
    without_trouble: Sequence[str],
    manifest: Path | None,
    figures: Path | None,
    ready_file: Path | None,
) -> None:
    """Serve a generated account until interrupted.

    The same --deals, --seed, --now and troubles give the same account, and the same --live-at gives the same
    changes after that.
    """
    anchor = now or datetime.now(UTC).replace(microsecond=0)
    chosen = set(troubles or ALL_TROUBLES) - set(without_trouble)
    dataset = generate(deals, seed, anchor, chosen)
    clock = Clock(anchor + timedelta(seconds=clock_offset))
    account = Account(dataset, clock, tokens)
    account.let_in_limited(limited_tokens, limited_share)
    for i, moment in enumerate(sorted(lived), start=1):
        if moment > clock.now():
            raise click.UsageError(f"--live-at {moment.isoformat()} is later than the clock.")
        with clock.held(moment):
            change(account, share=0.01, seed=i)
    account.purge()
    if manifest:
        manifest.write_bytes(orjson.dumps(dataset.manifest, option=orjson.OPT_INDENT_2))
    if figures:
        write_figures(figures, deals, seed, anchor, clock.now())
    app = App(client_id, client_secret, refresh_token, access_seconds)
    settings = Settings(
        burst, daily_budget, daily_headers, latency, unset_fields, frozenset(without_features), app
    )
    server = Server(account, settings)
    server.state.faults.extend(faults)
    asyncio.run(
        serve_until_stopped(server, host, port, name="Pipedrive", token=tokens[0], ready_file=ready_file)
    )


if __name__ == "__main__":
    main()
