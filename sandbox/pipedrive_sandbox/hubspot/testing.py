"""A HubSpot for tests: `with HubspotSandbox(deals=50) as hubspot: ... hubspot.url ...`."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Callable, Collection
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from pipedrive_sandbox.hubspot.api import SCOPES
from pipedrive_sandbox.hubspot.generate import ALL_TROUBLES, generate
from pipedrive_sandbox.hubspot.server import Limits, Seen, Server, State
from pipedrive_sandbox.server.faults import fault
from pipedrive_sandbox.server.listen import serve
from pipedrive_sandbox.testing import NOW, Reply, Trap

if TYPE_CHECKING:
    from types import TracebackType

TOKEN = "pat-sandbox-token"  # noqa: S105  (not a secret: the sandbox's own)
UNLIMITED = Limits(burst=0, searches=0)


class HubspotSandbox:
    """A HubSpot account served by a thread of this process on a free port, without limits by default."""

    def __init__(
        self,
        deals: int = 100,
        *,
        seed: int = 1,
        now: datetime = NOW,
        troubles: Collection[str] = ALL_TROUBLES,
        properties: int = 0,
        limits: Limits = UNLIMITED,
        without_scopes: Collection[str] = (),
    ) -> None:
        self.portal, self.manifest = generate(deals, seed, now, troubles, properties)
        scopes = frozenset(SCOPES).difference(without_scopes)
        self.state = State(self.portal, TOKEN, self.manifest, limits=limits, scopes=scopes)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.token = TOKEN
        self.url = ""
        """Where it serves, e.g. `http://127.0.0.1:43210`."""

    def __enter__(self) -> HubspotSandbox:
        self._thread.start()
        starting = serve(Server(self.state), "127.0.0.1", 0)
        self._runner, port = asyncio.run_coroutine_threadsafe(starting, self._loop).result()
        self.url = f"http://127.0.0.1:{port}"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def send(self, method: str, path: str, body: Any = None, token: str = TOKEN) -> Reply:
        """Send a request to the API."""
        data = None if body is None else json.dumps(body).encode()
        return _sent(Request(self.url + path, data, {"Authorization": f"Bearer {token}"}, method=method))  # noqa: S310

    def form(self, path: str, fields: str) -> Reply:
        """POST a form without a token."""
        return _sent(Request(self.url + path, fields.encode(), method="POST"))  # noqa: S310

    def get(self, path: str, **params: Any) -> Any:
        """GET from the API, and return its answer."""
        return self.send("GET", f"{path}?{urlencode(params, doseq=True)}" if params else path).granted()

    def post(self, path: str, body: Any) -> Any:
        """POST to the API, and return its answer."""
        return self.send("POST", path, body).json()

    def truth(self, kind: str) -> list[dict[str, Any]]:
        """Return all records that a list contains, with every property."""
        rows: list[dict[str, Any]] = self.get(f"/sandbox/truth/{kind}")
        return rows

    def requests(self, path: str = "") -> list[Seen]:
        """Return the requests so far whose path contains `path`."""
        return [seen for seen in self.state.requests if path in seen.path]

    def trouble(self, **given: Any) -> None:
        """Set a fault, e.g. `trouble(kind="burst429", path="/objects/deals", at=[2])`."""
        self.state.faults.append(fault(given))

    def at_request(self, number: int, path: str, call: Callable[[], object]) -> None:
        """Call a function in the server's thread at the request of that number for a path, counted from now
        on.
        """
        self.state.faults.append(Trap("trap", re.compile(path), frozenset([number]), spring=call))


def _sent(request: Request) -> Reply:
    try:
        with urlopen(request, timeout=60) as answer:  # noqa: S310
            return Reply(answer.status, answer.headers, answer.read().decode())
    except HTTPError as refused:
        with refused:
            return Reply(refused.code, refused.headers, refused.read().decode())
