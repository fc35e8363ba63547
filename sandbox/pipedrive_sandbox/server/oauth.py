"""The authorization server: an app's access and refresh tokens, as oauth.pipedrive.com grants them."""

from __future__ import annotations

import hashlib
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlencode

from pipedrive_sandbox.account.clock import Clock
from pipedrive_sandbox.records.model import Record
from pipedrive_sandbox.records.viewer import Viewer

CODE_LIVES = timedelta(minutes=5)
REFRESH_LIVES = timedelta(days=60)
"""The lifetime of an unused refresh token; each use restarts it."""
SCOPES = (
    "base deals:read contacts:read activities:read products:read leads:read users:read recents:read"
    " goals:read mail:read projects:read phone-integration admin"
)


@dataclass(frozen=True)
class App:
    """The app that may request tokens, and the company that has installed it."""

    client_id: str = "sandbox-client"
    client_secret: str = "sandbox-secret"  # noqa: S105  (not a secret: the sandbox's own)
    refresh_token: str = "sandbox-refresh-token"  # noqa: S105
    token_seconds: int = 3599
    """The lifetime of an access token."""


class Denied(Exception):
    """A refused request for tokens: always 400."""

    def __init__(self, error: str, message: str) -> None:
        super().__init__(message)
        self.body: Record = {"success": False, "message": message, "error": error}


class Authority:
    """Grants tokens for one user, by the account's clock."""

    def __init__(self, app: App, viewer: Viewer, clock: Clock) -> None:
        self._app = app
        self._viewer = viewer
        self._clock = clock
        self._granted = 0
        self._codes: dict[str, tuple[datetime, str]] = {}
        self._access: dict[str, datetime] = {}
        self._refresh = {app.refresh_token: clock.now() + REFRESH_LIVES}

    def viewer(self, token: str) -> Viewer | None:
        """Return the user of an access token, or None if the token is unknown or has expired."""
        expires = self._access.get(token)
        return self._viewer if expires and self._clock.now() < expires else None

    def authorize(self, query: Mapping[str, str]) -> str:
        """Return the address to which the browser is redirected, with a code, after the user has agreed.
        Raises Denied.
        """
        if query.get("client_id") != self._app.client_id:
            raise Denied("invalid_client", "Invalid client: client is invalid")
        uri = query.get("redirect_uri", "")
        if "://" not in uri:
            raise Denied("invalid_request", "Invalid request: redirect_uri is not a valid URI")
        code = self._token("code")
        self._codes[code] = self._clock.now() + CODE_LIVES, uri
        state = {"state": query["state"]} if "state" in query else {}
        return f"{uri}{'&' if '?' in uri else '?'}{urlencode({'code': code} | state)}"

    def grant(self, authorization: str, form: Mapping[str, str], api_domain: str) -> Record:
        """Return the tokens for a code or a refresh token. Raises Denied."""
        self._identify(authorization)
        match form.get("grant_type"):
            case None:
                raise Denied("invalid_request", "Missing parameter: grant_type")
            case "authorization_code":
                refresh_token = self._exchange(form)
            case "refresh_token":
                refresh_token = self._renew(form.get("refresh_token", ""))
            case _:
                raise Denied("unsupported_grant_type", "Unsupported grant type: grant_type is invalid")
        access_token = self._token("access")
        self._access[access_token] = self._clock.now() + timedelta(seconds=self._app.token_seconds)
        return {
            "access_token": access_token,
            "token_type": "Bearer",
            "expires_in": self._app.token_seconds,
            "refresh_token": refresh_token,
            "scope": SCOPES,
            "api_domain": api_domain,
        }

    def revoke(self) -> None:
        """Revoke all tokens, as when the user uninstalls the app."""
        self._access.clear()
        self._refresh.clear()

    def _identify(self, authorization: str) -> None:
        scheme, _, credentials = authorization.partition(" ")
        try:
            known = scheme.lower() == "basic" and b64decode(credentials, validate=True).decode()
        except (Base64Error, ValueError):
            known = False
        if not known or ":" not in known:
            raise Denied("invalid_client", "Invalid client: cannot retrieve client credentials")
        if known != f"{self._app.client_id}:{self._app.client_secret}":
            raise Denied("invalid_client", "Invalid client: client is invalid")

    def _exchange(self, form: Mapping[str, str]) -> str:
        """Return a new refresh token for a code, which is valid once."""
        expires, uri = self._codes.pop(form.get("code", ""), (None, ""))
        if expires is None:
            raise Denied("invalid_grant", "Invalid grant: authorization_code is invalid")
        if self._clock.now() > expires:
            raise Denied("invalid_grant", "Invalid grant: authorization_code has expired")
        if form.get("redirect_uri") != uri:
            raise Denied("invalid_request", "Invalid request: redirect_uri is invalid")
        token = self._token("refresh")
        self._refresh[token] = self._clock.now() + REFRESH_LIVES
        return token

    def _renew(self, token: str) -> str:
        """Return the same refresh token, valid for another 60 days."""
        if token not in self._refresh or self._clock.now() > self._refresh[token]:
            raise Denied("invalid_grant", "Invalid grant: refresh_token is invalid")
        self._refresh[token] = self._clock.now() + REFRESH_LIVES
        return token

    def _token(self, kind: str) -> str:
        self._granted += 1
        return f"v1u:{hashlib.sha256(f'{kind} {self._granted}'.encode()).hexdigest()}"
