"""The ways in: in the open, and for clients that know only HubSpot's host, through a proxy."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import trustme
from aiohttp import web

from .server import Server

HOST = "api.hubapi.com"
"""HubSpot's own name; for no other does the proxy open a connection."""


class Address(NamedTuple):
    """Where a sandbox can be reached."""

    url: str
    """For clients that can be told an address."""
    proxy: str
    """For those that cannot: an HTTPS proxy behind which HubSpot's host is the sandbox."""
    authority: str
    """File of the certificate authority that those have to trust."""


class Listener:
    """A server that listens: in the open, and through a proxy as HubSpot's host with a certificate of its own."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._folder = TemporaryDirectory()

    async def start(self, host: str, port: int) -> Address:
        """Start listening, and return the addresses. Raises OSError."""
        authority = trustme.CA(organization_name="HubSpot sandbox")
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert(HOST).configure_cert(context)
        self._runner = web.ServerRunner(web.Server(self._server.handle, access_log=None), shutdown_timeout=1)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host, port).start()
            await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=context).start()
        except OSError:
            await self._runner.cleanup()
            raise
        open_port, self._tls_port = (self._runner.addresses[place][1] for place in (0, -1))
        self._proxy = await asyncio.start_server(self._tunnel, "127.0.0.1", 0)
        proxy_port = self._proxy.sockets[0].getsockname()[1]
        authority_file = Path(self._folder.name) / "authority.pem"
        authority.cert_pem.write_to_path(str(authority_file))
        return Address(f"http://{host}:{open_port}", f"http://127.0.0.1:{proxy_port}", str(authority_file))

    async def stop(self) -> None:
        """Stop listening."""
        self._proxy.close()
        await self._runner.cleanup()
        self._folder.cleanup()

    async def _tunnel(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer CONNECT, and hand bytes to and fro until either side has hung up."""
        try:
            request = await reader.readuntil(b"\r\n\r\n")
            if request.split()[:2] != [b"CONNECT", f"{HOST}:443".encode()]:
                writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
                return
            there, back = await asyncio.open_connection("127.0.0.1", self._tls_port)
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await asyncio.gather(_pour(reader, back), _pour(there, writer))
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()
