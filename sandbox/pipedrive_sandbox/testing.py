"""A sandbox for tests: `with Sandbox(deals=50) as sandbox: ... sandbox.url ...`."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from email.message import Message
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from pipedrive_sandbox.account.clock import Clock
from pipedrive_sandbox.account.store import Account
from pipedrive_sandbox.server.application import Server, Settings
from pipedrive_sandbox.server.faults import Fault
from pipedrive_sandbox.server.listen import serve

if TYPE_CHECKING:
    from types import TracebackType

    from pipedrive_sandbox.data.generate import Dataset

TOKEN = "sandbox-token"  # noqa: S105  (not a secret: the sandbox's own)
NOW = datetime(2026, 11, 20, 15, 30, tzinfo=UTC)
"""The time of all sandboxes: tests see the same account every day, and equal data are generated once."""


@lru_cache(maxsize=4)
def _dataset(deals: int, seed: int, now: datetime, troubles: frozenset[str] | None) -> Dataset:
    from pipedrive_sandbox.data.generate import ALL_TROUBLES, generate  # noqa: PLC0415  (slow import, often not needed)

    return generate(deals, seed, now, ALL_TROUBLES if troubles is None else troubles)


class Reply(NamedTuple):
    """An answer: the status, the headers (any case), the text."""

    status: int
    headers: Message
    text: str

    def json(self) -> Any:
        """Return the content; numbers with a fraction are exact, as Decimal."""
        return json.loads(self.text, parse_float=Decimal)

    def granted(self) -> Any:
        """Return the content of a success. Raises AssertionError with the text of a refusal."""
        if self.status != HTTPStatus.OK:
            raise AssertionError(f"{self.status}: {self.text}")
        return self.json()


@dataclass
class Trap(Fault):
    """A fault that calls a function of the test instead of changing an answer."""

    spring: Callable[[], object] = bool

    def strikes(self, target: str) -> bool:
        """Count a request, and call the function at the chosen number."""
        if super().strikes(target):
            self.spring()
        return False


class Sandbox:
    """A sandbox served by a thread of this process on a free port.

    The account's history ends at `now`, where its clock starts. `settings` are those of `server.Settings`,
    but without burst limit unless one is given. Limited tokens see a share of the rows.
    """

    def __init__(
        self,
        deals: int = 50,
        *,
        seed: int = 1,
        now: datetime = NOW,
        troubles: Collection[str] | None = None,
        dataset: Dataset | None = None,
        tokens: Collection[str] = (TOKEN,),
        limited_tokens: Collection[str] = (),
        limited_share: float = 0.3,
        **settings: Any,
    ) -> None:
        chosen = None if troubles is None else frozenset(troubles)
        data = dataset or _dataset(deals, seed, now, chosen)
        account = Account(data, Clock(now), list(tokens))
        account.let_in_limited(list(limited_tokens), limited_share)
        self._server = Server(account, Settings(**{"burst": 0, **settings}))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.token = next(iter(tokens))
        self.url = ""
        """Where it serves, e.g. `http://127.0.0.1:43210`."""

    def __enter__(self) -> Sandbox:
        self._thread.start()
        starting = serve(self._server, "127.0.0.1", 0)
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

    def send(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """Send any request, with the sandbox's token unless other headers are given."""
        data = None if body is None else json.dumps(body).encode()
        chosen = {"x-api-token": self.token} if headers is None else dict(headers)
        request = Request(self.url + path, data, chosen, method=method)  # noqa: S310
        try:
            with urlopen(request, timeout=60) as answer:  # noqa: S310
                return Reply(answer.status, answer.headers, answer.read().decode())
        except HTTPError as refused:
            with refused:
                return Reply(refused.code, refused.headers, refused.read().decode())

    def api(self, path: str, *, headers: Mapping[str, str] | None = None, **params: Any) -> Reply:
        """GET from the API, e.g. `api("/api/v2/deals", limit=5)`."""
        return self.send("GET", f"{path}?{urlencode(params)}" if params else path, headers=headers)

    def rows(self, path: str, **params: Any) -> list[dict[str, Any]]:
        """Return the rows of all pages of a v2 list."""
        found: list[dict[str, Any]] = []
        cursor: dict[str, Any] = {}
        while True:
            body = self.api(path, **params, **cursor).granted()
            found += body["data"]
            if body["additional_data"]["next_cursor"] is None:
                return found
            cursor = {"cursor": body["additional_data"]["next_cursor"]}

    def get(self, path: str) -> Any:
        """Return a control's answer, e.g. that of `/sandbox/clock`."""
        return self.send("GET", path).granted()

    def post(self, path: str, json: Any = None) -> Any:
        """Post to a control and return its answer."""
        return self.send("POST", path, json).granted()

    def patch(self, path: str, json: Any) -> Any:
        """Change something by a control and return its answer."""
        return self.send("PATCH", path, json).granted()

    def delete(self, path: str) -> Any:
        """Delete something by a control and return its answer."""
        return self.send("DELETE", path).granted()

    def at_request(self, number: int, call: Callable[[], object]) -> None:
        """Call a function in the server's thread at the request of that number to the API, counted from now
        on.

        It is one of the faults, and is removed with them.
        """
        self._server.state.faults.append(Trap("trap", at=frozenset([number]), spring=call))

    def truth(self, entity: str) -> list[dict[str, Any]]:
        """Return all rows of an entity that a list would show to a user with all rights."""
        rows: list[dict[str, Any]] = self.get(f"/sandbox/truth/{entity}")
        return rows

    def stats(self) -> dict[str, Any]:
        """Return requests and tokens, in all and by endpoint."""
        found: dict[str, Any] = self.get("/sandbox/stats")
        return found

    def requests(self, path: str = "") -> list[dict[str, Any]]:
        """Return the requests to the API so far whose path contains `path`."""
        return [seen for seen in self.stats()["log"] if path in seen["path"]]
