"""The HTTP server of both sandboxes: its address and its end."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Protocol

import click
import orjson
from aiohttp import web


class Handler(Protocol):
    """An object that answers requests."""

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request."""


async def serve(server: Handler, host: str, port: int) -> tuple[web.ServerRunner, int]:
    """Start listening; return the runner, to be cleaned up, and the port. Raises OSError."""
    runner = web.ServerRunner(web.Server(server.handle, access_log=None), shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError:
        await runner.cleanup()
        raise
    return runner, runner.addresses[0][1]


async def serve_until_stopped(
    server: Handler, host: str, port: int, *, name: str, token: str, ready_file: Path | None
) -> None:
    """Serve until SIGINT or SIGTERM. `name` says whose sandbox it is, e.g. `Pipedrive`.

    Once it listens, `ready_file` holds its URL, process id and token as JSON.
    """
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    try:
        runner, port = await serve(server, host, port)
    except OSError as error:
        raise click.ClickException(
            f"Cannot serve on {host}:{port}: {os.strerror(error.errno or 0)}."
            " Choose another --port, or 0 for a free one."
        ) from None
    url = f"http://{host}:{port}"
    if ready_file:
        ready = {"url": url, "pid": os.getpid(), "token": token}
        partial = ready_file.with_name(ready_file.name + ".part")
        partial.write_bytes(orjson.dumps(ready))
        partial.replace(ready_file)
    click.echo(f"{name} sandbox at {url}")
    await stopped.wait()
    await runner.cleanup()
