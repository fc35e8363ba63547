# Written by make generate, from bounds.py of tap-pipedrive.
"""Bounds of an exchange by HTTP: a deadline from the request to the end of the body, and a largest body.

The timeouts of requests bound each silence only: a server that sends a byte now and then, or `100 Continue`
without end, never meets them.
"""

import io
import time
from http.client import HTTPResponse
from socket import socket
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter

from tap_hubspot.errors import TryAgain

EXCHANGE_SECONDS = 300
"""From the request to the end of its answer."""

LARGEST_BODY = 64 * 2**20
"""Bytes, unpacked. A page of 500 deals has some 2 MB."""

CHUNK = 2**18
"""Bytes that are unpacked at a time, so that a few packed ones cannot fill the memory."""


class Late(TimeoutError):
    """The answer is not complete at the deadline."""


def bounded_session() -> requests.Session:
    """Return a session whose exchanges end within EXCHANGE_SECONDS; else its requests raise a timeout."""
    session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, _Adapter())
    return session


def body_of(response: requests.Response) -> bytes:
    """Return the body of a response that was asked for with `stream`, unpacked. Raises TryAgain when it is too
    large, and requests.RequestException."""
    body = bytearray()
    with response:
        for chunk in response.iter_content(CHUNK):
            body += chunk
            if len(body) > LARGEST_BODY:
                size = f"{LARGEST_BODY / 2**20:,.0f} MB"
                raise TryAgain(f"an answer of more than {size}", is_heavy=True)
    return bytes(body)


class _Timed(io.RawIOBase):
    """What is read from a socket until the deadline, and no longer."""

    def __init__(self, raw: io.RawIOBase, sock: socket) -> None:
        self._raw = raw
        self._sock = sock
        self._silence = sock.gettimeout() or EXCHANGE_SECONDS
        self._until = time.monotonic() + EXCHANGE_SECONDS

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._until - time.monotonic()
        if left <= 0:
            raise Late
        self._sock.settimeout(min(self._silence, left))
        try:
            return self._raw.readinto(buffer)
        except TimeoutError:
            if left < self._silence:
                raise Late from None
            raise

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(HTTPResponse):
    def __init__(self, sock: socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_Timed(self.fp.detach(), sock))


class _Http(urllib3.connection.HTTPConnection):
    response_class = _Response


class _Https(urllib3.connection.HTTPSConnection):
    response_class = _Response


class _Adapter(HTTPAdapter):
    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        pool.ConnectionCls = _Https if pool.scheme == "https" else _Http
        return pool
