"""The HTTP server: it authenticates and checks requests, and sends answers with their headers."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from dataclasses import dataclass, field
from decimal import Decimal
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qsl

import orjson
from aiohttp import web

from pipedrive_sandbox.account.store import Account
from pipedrive_sandbox.api.endpoint import Call, Endpoint
from pipedrive_sandbox.api.endpoints import Route, route
from pipedrive_sandbox.records.refusals import Refusal, not_found
from pipedrive_sandbox.records.viewer import Viewer
from pipedrive_sandbox.server import control
from pipedrive_sandbox.server.control import Seen, State
from pipedrive_sandbox.server.faults import LIES, Fault
from pipedrive_sandbox.server.features import lacking, not_an_admin
from pipedrive_sandbox.server.limits import BLOCK_PAGE, Blocked, Budget, Window, too_fast
from pipedrive_sandbox.server.oauth import App, Authority, Denied

UNLIMITED = 1_000_000
"""The size of the burst window for `burst=0`, which no client reaches."""

OAUTH_BURST = 4
"""The factor by which an access token may send more requests than an API token."""

FORM = "application/x-www-form-urlencoded"

GATEWAY_PAGE = b"<html><head><title>%d</title></head><body>Bad gateway</body></html>"


@dataclass(frozen=True)
class Settings:
    """The sandbox's behaviour towards its clients."""

    burst: int = 20
    """Requests per token in two seconds; 0 means practically unlimited."""
    daily_budget: int = 300_000
    """Tokens of the company per day; the default is that of the cheapest plan with ten seats."""
    daily_headers: bool = True
    """Whether answers have the undocumented headers about the day's tokens."""
    latency: float = 0.0
    """Seconds of real time added to every answer."""
    unset_fields: str = "null"
    """How v2 shows a custom field without a value: `null` or `absent`."""
    without_features: frozenset[str] = frozenset()
    """Features that the company lacks; see `features.FEATURES`."""
    app: App = field(default_factory=App)
    """The OAuth app that the company has installed."""


@dataclass
class Answer:
    """An answer to the client."""

    status: int
    body: bytes
    type: str = "application/json"
    headers: dict[str, str] | None = None


def exact(value: object) -> orjson.Fragment:
    """Serialise a Decimal with all its digits."""
    if isinstance(value, Decimal):
        return orjson.Fragment(str(value))
    raise TypeError(type(value).__name__)


def _exactly(body: bytes) -> Any:
    return json.loads(body, parse_float=Decimal)


def refusal(error: Refusal) -> Answer:
    """Return the answer for a refusal."""
    return Answer(error.status, orjson.dumps(error.body), headers=error.headers)


def html(status: int, page: bytes) -> Answer:
    """Return an HTML page, as an edge server sends it."""
    return Answer(status, page, "text/html; charset=UTF-8")


def failure(status: int) -> Answer:
    """Return an error of the service (500, 503 and refusals: JSON) or of its edge (others: HTML)."""
    if status in REFUSALS:
        return refusal(Refusal(status, REFUSALS[status]))
    if status in (500, 503):
        body = {"success": False, "error": "Internal Server Error", "code": "ERR_UNKNOWN"}
        return Answer(status, orjson.dumps(body))
    return html(status, GATEWAY_PAGE % status)


REFUSALS = {
    402: "Company account is not open",
    404: "Unknown method",
    410: "Resource is gone",
    415: "Feature is not enabled",
}
"""Refusals that a fault can send instead of an answer."""

INSTEAD = {
    "html": html(200, b"<html><body>Please come back later.</body></html>"),
    "null": Answer(200, b"null"),
    "empty": Answer(200, b""),
    "reset": Answer(0, b""),
}
"""Faults that always send the same answer."""


class Server:
    """Answers requests on behalf of an account."""

    def __init__(self, account: Account, settings: Settings) -> None:
        self._account = account
        self._leaves_unset_out = settings.unset_fields == "absent"
        self._without_features = settings.without_features
        self._burst = settings.burst or UNLIMITED
        self._windows = {token: Window(self._burst, account.clock) for token in account.viewers}
        self._budget = Budget(settings.daily_budget, account.clock, headers=settings.daily_headers)
        authority = Authority(settings.app, next(iter(account.viewers.values())), account.clock)
        self.state = State(account, settings.latency, authority)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request to the API or to the controls."""
        if request.path.startswith("/sandbox/"):
            return self._response(self._controlled(request, await request.read()))
        return await self._api(request)

    def _controlled(self, request: web.BaseRequest, body: bytes) -> Answer:
        try:
            result = control.run(self.state, request.method, request.path, request.query, body)
        except Refusal as error:
            return refusal(error)
        return Answer(200, orjson.dumps(result, default=exact))

    def _authorized(self, request: web.BaseRequest, body: str) -> Answer:
        """Answer a request to the authorization server, which costs no tokens."""
        try:
            match request.method, request.path:
                case "GET", "/oauth/authorize":
                    return _redirect(302, self.state.authority.authorize(request.query))
                case "POST", "/oauth/token":
                    return self._granted_tokens(request, body)
                case _, "/oauth/token/":
                    return _redirect(301, "/oauth/token")
        except Denied as error:
            return Answer(400, orjson.dumps(error.body))
        return refusal(not_found("Unknown method"))

    def _granted_tokens(self, request: web.BaseRequest, body: str) -> Answer:
        if request.content_type != FORM:
            raise Denied("invalid_request", f"Invalid request: content must be {FORM}")
        form = dict(parse_qsl(body, keep_blank_values=True))
        credentials = request.headers.get("Authorization", "")
        tokens = self.state.authority.grant(credentials, form, f"{request.scheme}://{request.host}")
        return Answer(200, orjson.dumps(tokens))

    async def _api(self, request: web.BaseRequest) -> web.StreamResponse:
        found = route(request.path)
        struck = [f for f in self.state.faults if f.strikes(request.path_qs)]
        for fault in struck:
            if fault.kind == "change" and fault.call:
                self._run_change(fault.call)
        delay = self.state.latency + sum(f.seconds for f in struck if f.kind == "slow")
        if delay:
            await asyncio.sleep(delay)
        besides = {"change", "slow", "truncate", *LIES}
        instead = next((f for f in struck if f.kind not in besides), None)
        tokens = 0
        if instead:
            answer = self._faulty(request, instead)
        elif request.path.startswith("/oauth/"):
            answer = self._authorized(request, await request.text())
        else:
            answer, tokens = self._granted(request, found)
            for fault in struck:
                if fault.kind in LIES and answer.status == 200:
                    answer.body = orjson.dumps(fault.told(_exactly(answer.body)), default=exact)
        self.state.requests.append(
            Seen(
                request.method,
                request.path,
                dict(request.query),
                f"{request.method} {found.endpoint.path if found else request.path}",
                answer.status,
                tokens,
            )
        )
        if not answer.status:
            return _reset(request)
        if any(fault.kind == "truncate" for fault in struck):
            return await self._truncated(request, answer)
        return self._response(answer)

    def _run_change(self, call: dict[str, Any]) -> None:
        control.call(self.state, call.get("method", "POST"), call["path"], {}, call.get("json", {}))

    def _faulty(self, request: web.BaseRequest, fault: Fault) -> Answer:
        """Return the answer that a fault sends instead of the real one; status 0 is a reset."""
        if fault.kind in INSTEAD:
            return INSTEAD[fault.kind]
        if fault.kind == "status":
            return failure(fault.status)
        error = self._budget.exhausted() if fault.kind == "daily429" else too_fast()
        return self._with_limits(refusal(error), self._token(request))

    def _granted(self, request: web.BaseRequest, found: Route | None) -> tuple[Answer, int]:
        """Check a request's token, burst window and budget, and return the answer and the tokens spent."""
        token, tokens = self._token(request), 0
        try:
            viewer = self._viewer(token)
            self._windows[token].enter()
            wanted = self._demand(request, found)
            self._permit(wanted.endpoint, viewer)
            self._budget.spend(wanted.endpoint.cost)
            tokens = wanted.endpoint.cost
            answer = self._answer(request, wanted, viewer)
        except Blocked:
            return html(403, BLOCK_PAGE), 0
        except Refusal as error:
            answer = refusal(error)
        return self._with_limits(answer, token), tokens

    def _answer(self, request: web.BaseRequest, found: Route, viewer: Viewer) -> Answer:
        call = Call(
            found.endpoint,
            self._account,
            viewer,
            request.query,
            self._leaves_unset_out,
            self._without_features,
            found.key,
        )
        return Answer(200, orjson.dumps(found.endpoint.answer(call), default=exact))

    @staticmethod
    def _token(request: web.BaseRequest) -> str:
        scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
        if token := request.headers.get("x-api-token"):
            return token
        return bearer if scheme.lower() == "bearer" else request.query.get("api_token", "")

    def _viewer(self, token: str) -> Viewer:
        if token in self._account.viewers:
            return self._account.viewers[token]
        if viewer := self.state.authority.viewer(token):
            self._windows.setdefault(token, Window(self._burst * OAUTH_BURST, self._account.clock))
            return viewer
        raise Refusal(401, "unauthorized access", headers={"x-401-by-gw": "true"})

    @staticmethod
    def _demand(request: web.BaseRequest, found: Route | None) -> Route:
        if found is None:
            raise not_found("Unknown method")
        if request.method != "GET":
            raise Refusal(405, "the sandbox's API only reads", info="Use /sandbox/ to change it")
        return found

    def _permit(self, endpoint: Endpoint, viewer: Viewer) -> None:
        """Refuse a request for a feature outside the plan, or without the necessary rights."""
        if endpoint.feature in self._without_features:
            raise lacking(endpoint.feature)
        if endpoint.admin and not viewer.admin:
            raise not_an_admin()

    def _with_limits(self, answer: Answer, token: str) -> Answer:
        if window := self._windows.get(token):
            answer.headers = {
                **window.headers(),
                **self._budget.headers(),
                **(answer.headers or {}),
            }
        return answer

    def _response(self, answer: Answer) -> web.Response:
        return web.Response(status=answer.status, body=answer.body, headers=self._headers(answer))

    def _headers(self, answer: Answer) -> dict[str, str]:
        date = format_datetime(self._account.clock.now(), usegmt=True)
        return {"Date": date, "Content-Type": answer.type, **(answer.headers or {})}

    async def _truncated(self, request: web.BaseRequest, answer: Answer) -> web.StreamResponse:
        """Announce the whole answer, send half of it, and close the connection."""
        response = web.StreamResponse(status=answer.status, headers=self._headers(answer))
        response.content_length = len(answer.body)
        await response.prepare(request)
        await response.write(answer.body[: len(answer.body) // 2])
        if request.transport:
            request.transport.close()
        return response


def _redirect(status: int, location: str) -> Answer:
    return Answer(status, b"", headers={"Location": location})


def _reset(request: web.BaseRequest) -> web.Response:
    """Reset the connection, so that the client sees it break before any answer."""
    transport = request.transport
    if transport:
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return web.Response(status=500)
