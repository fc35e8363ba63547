"""The HTTP side: who asks, and whether anything stands in the way."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson
from aiohttp import web

from ..faults import Fault
from . import api
from .portal import Portal

NOT_FOUND_CREDENTIALS = "Authentication credentials not found. This API supports OAuth 2.0 authentication."
TOO_FAST = "You have reached your ten_secondly_rolling limit."


class Seen(NamedTuple):
    """A request as the sandbox saw it."""

    method: str
    path: str
    query: dict[str, str]
    status: int


@dataclass
class State:
    """All that a running sandbox remembers."""

    portal: Portal
    token: str
    manifest: Mapping[str, Any]
    faults: list[Fault] = field(default_factory=list)
    requests: list[Seen] = field(default_factory=list)


class Server:
    """Answers requests on behalf of an account."""

    def __init__(self, state: State) -> None:
        self.state = state

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request, to the API or for the truth."""
        body = await request.read()
        if request.path.startswith("/sandbox/"):
            return _answer(200, self._told(request.path.removeprefix("/sandbox/")))
        status, content = self._answered(request, body)
        self.state.requests.append(Seen(request.method, request.path, dict(request.query), status))
        return _answer(status, content)

    def _told(self, path: str) -> Any:
        """What tests and people may ask without a token."""
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
        try:
            if request.headers.get("Authorization") != f"Bearer {self.state.token}":
                raise api.Refused(401, NOT_FOUND_CREDENTIALS, "INVALID_AUTHENTICATION")
            self._strike(request.path_qs)
            given = _read(body)
            content = api.answer(self.state.portal, request.method, request.path, request.query, given)
        except api.Refused as refusal:
            return refusal.status, refusal.body
        return (204 if content is None else 201 if request.method == "POST" else 200), content

    def _strike(self, target: str) -> None:
        """Refuse a request that a fault waits for: with too many requests, or another status."""
        for fault in self.state.faults:
            if fault.strikes(target):
                if fault.kind == "burst429":
                    raise api.Refused(429, TOO_FAST, "RATE_LIMITS")
                raise api.Refused(fault.status, "internal error", "INTERNAL_ERROR")


def _read(body: bytes) -> Any:
    try:
        return json.loads(body) if body else None
    except ValueError:
        raise api.Refused(400, "Invalid input JSON") from None


def _answer(status: int, content: Any) -> web.Response:
    body = b"" if status == 204 else orjson.dumps(content)
    return web.Response(status=status, body=body, content_type="application/json")
