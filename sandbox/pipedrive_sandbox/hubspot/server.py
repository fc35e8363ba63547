"""The HTTP server: authentication, limits and faults."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import parse_qs

import orjson
from aiohttp import web

from pipedrive_sandbox.hubspot import api
from pipedrive_sandbox.hubspot.calls import Refused
from pipedrive_sandbox.hubspot.portal import Portal
from pipedrive_sandbox.server.faults import Fault

NO_CREDENTIALS = "Authentication credentials not found. This API supports OAuth 2.0 authentication."
TOKEN_LIFE_SECONDS = 1800


class Seen(NamedTuple):
    """A request as the sandbox received it."""

    method: str
    path: str
    query: dict[str, str]
    status: int
    target_length: int
    """The number of characters of the path with its query."""


@dataclass(frozen=True)
class Limits:
    """The numbers of allowed requests; 0 means unlimited.

    https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines
    """

    burst: int = 190
    """In 10 s."""
    searches: int = 5
    """Searches in a second."""
    daily: int = 0


@dataclass(frozen=True)
class App:
    """An installed app, with the credentials for its access tokens."""

    client_id: str = "sandbox-client"
    client_secret: str = "sandbox-secret"  # noqa: S105  (not a secret: the sandbox's own)
    refresh_token: str = "sandbox-refresh-token"  # noqa: S105


@dataclass
class State:
    """The state of a running sandbox."""

    portal: Portal
    token: str
    manifest: Mapping[str, Any]
    limits: Limits = Limits()
    scopes: frozenset[str] = frozenset(api.SCOPES)
    search_lag: float = 0.0
    app: App = App()
    faults: list[Fault] = field(default_factory=list)
    requests: list[Seen] = field(default_factory=list)
    access_tokens: dict[str, float] = field(default_factory=dict)
    """The app's access token, and when it expires (by `time.monotonic`)."""
    times: dict[str, deque[float]] = field(default_factory=dict)
    count: int = 0


class Server:
    """Answers requests on behalf of an account."""

    def __init__(self, state: State) -> None:
        self.state = state

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request to the API or to the controls."""
        body = await request.read()
        if request.path.startswith("/sandbox/"):
            return _answer(200, self._told(request.path.removeprefix("/sandbox/")))
        status, content = self._answered(request, body)
        seen = Seen(request.method, request.path, dict(request.query), status, len(request.raw_path))
        self.state.requests.append(seen)
        return content if isinstance(content, web.Response) else _answer(status, content)

    def _told(self, path: str) -> Any:
        """Answer requests of tests and users that need no token."""
        first, _, kind = path.partition("/")
        match first:
            case "truth":
                return self.state.portal.truth(kind)
            case "manifest":
                return self.state.manifest
            case "requests":
                return [seen._asdict() for seen in self.state.requests]
        return None

    def _answered(self, request: web.BaseRequest, body: bytes) -> tuple[int, Any]:
        state = self.state
        try:
            if request.path == "/oauth/v3/token":
                return 200, self._grant(request.method, body)
            self._let_in(request.headers.get("Authorization", ""))
            self._count(request.path)
            if (struck := self._strike(request.path_qs)) is not None:
                return 200, struck
            content = api.answer(
                state.portal,
                request.method,
                request.path,
                request.query,
                _read(body),
                granted=state.scopes,
                search_lag=state.search_lag,
            )
        except Refused as refusal:
            return refusal.status, refusal.body
        if content is None:
            return 204, content
        if isinstance(content, dict) and "numErrors" in content:
            return 207, content
        is_created = request.method == "POST" and request.path.count("/") == 4
        return 201 if is_created else 200, content

    def _let_in(self, header: str) -> None:
        token = header.removeprefix("Bearer ")
        if token == self.state.token or time.monotonic() < self.state.access_tokens.get(token, 0):
            return
        category = "EXPIRED_AUTHENTICATION" if token in self.state.access_tokens else "INVALID_AUTHENTICATION"
        raise Refused(401, NO_CREDENTIALS, category)

    def _grant(self, method: str, body: bytes) -> dict[str, Any]:
        """`POST /oauth/v3/token` with a refresh token."""
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        app = self.state.app
        wanted = {"grant_type": "refresh_token", **vars(app)}
        if method != "POST" or form != wanted:
            words = (
                "missing or invalid refresh token"
                if form.get("client_id") == app.client_id
                else "unknown app"
            )
            raise Refused(400, words, error="invalid_grant", error_description=words)
        token = f"sandbox-access-{len(self.state.access_tokens) + 1}"
        self.state.access_tokens[token] = time.monotonic() + TOKEN_LIFE_SECONDS
        return {
            "token_type": "bearer",
            "access_token": token,
            "refresh_token": app.refresh_token,
            "expires_in": TOKEN_LIFE_SECONDS,
        }

    def _count(self, path: str) -> None:
        """Refuse requests beyond a limit."""
        limits = self.state.limits
        self.state.count += 1
        if limits.daily and self.state.count > limits.daily:
            raise too_many("DAILY")
        if path.endswith("/search"):
            self._count_in("SECONDLY", limits.searches, 1)
        self._count_in("TEN_SECONDLY_ROLLING", limits.burst, 10)

    def _count_in(self, policy: str, most: int, seconds: float) -> None:
        times, now = self.state.times.setdefault(policy, deque()), time.monotonic()
        while times and times[0] <= now - seconds:
            times.popleft()
        if most and len(times) >= most:
            raise too_many(policy)
        times.append(now)

    def _strike(self, target: str) -> web.Response | None:
        """Return the answer of a fault that applies to the request, or None. Raises Refused."""
        for fault in self.state.faults:
            if fault.strikes(target):
                match fault.kind:
                    case "burst429":
                        raise too_many("TEN_SECONDLY_ROLLING")
                    case "daily429":
                        raise too_many("DAILY")
                    case "null" | "empty" | "html":
                        text = {"null": "null", "empty": "", "html": "<html>maintenance</html>"}[fault.kind]
                        return web.Response(text=text)
                    case _:
                        raise Refused(fault.status, "internal error", "INTERNAL_ERROR")
        return None


def too_many(policy: str) -> Refused:
    """Return the answer to a request beyond a limit."""
    return Refused(
        429,
        f"You have reached your {policy.lower()} limit.",
        "RATE_LIMITS",
        errorType="RATE_LIMIT",
        policyName=policy,
    )


def _read(body: bytes) -> Any:
    try:
        return json.loads(body) if body else None
    except ValueError:
        raise Refused(400, "Invalid input JSON") from None


def _answer(status: int, content: Any) -> web.Response:
    body = b"" if status == 204 else orjson.dumps(content)
    return web.Response(status=status, body=body, content_type="application/json")
