"""Authentication: a service key or private app with a permanent token, or an app with OAuth2."""

import json
import logging
import re
import time
from collections.abc import Mapping
from typing import Any, Protocol

import requests

from tap_hubspot.bounds import body_of, bounded_session
from tap_hubspot.errors import HubspotError, TryAgain

TOKEN_PATH = "/oauth/v3/token"  # noqa: S105
"""v1 of this endpoint ends on 2027-02-16: https://developers.hubspot.com/changelog/v1-oauth-api-deprecation"""

MARGIN_SECONDS = 60
"""Seconds before its end at which an access token is renewed; HubSpot's are valid for 30 minutes."""

logger = logging.getLogger("tap-hubspot")


class Auth(Protocol):
    """Authentication as an `auth` of requests, because a `~/.netrc` would override a header."""

    when_refused: str
    """The sentence for the user after a 401."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the credentials to a request."""

    def renew(self) -> bool:
        """Get another token after a 401, and return whether there is one."""

    def masked(self, words: str) -> str:
        """Return words of the server without the secrets that they may repeat."""


def auth_of(url: str, config: Mapping[str, Any]) -> Auth:
    """Return the authentication in the settings. Raises HubspotError if it is missing, incomplete or odd."""
    names = ("client_id", "client_secret", "refresh_token")
    given = {name: str(config.get(name) or "").strip() for name in ("access_token", *names)}
    if odd := [name for name, text in given.items() if not re.fullmatch("[!-~]*", text)]:
        raise HubspotError(
            f"Setting {odd[0]} has blanks, or characters that no credential has: copy it again."
        )
    if given["access_token"]:
        return AccessToken(given["access_token"])
    missing = [name for name in names if not given[name]]
    if missing == list(names):
        raise HubspotError(
            "The tap has no credentials: set access_token, the token of a service key or private app."
        )
    if missing:
        raise HubspotError(f"An app needs {', '.join(names)}: set {' and '.join(missing)}, too.")
    return OAuth(url, *(given[name] for name in names))


def _bearer(request: requests.PreparedRequest, token: str) -> requests.PreparedRequest:
    request.headers["Authorization"] = f"Bearer {token}"
    return request


class AccessToken:
    """The token of a service key or a private app, which is valid until it is rotated."""

    when_refused = "HubSpot does not accept the token; set a valid one in TAP_HUBSPOT_ACCESS_TOKEN."

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the credentials to a request."""
        return _bearer(request, self._token)

    def renew(self) -> bool:
        """Return that there is no other token."""
        return False

    def masked(self, words: str) -> str:
        """Return words without the token."""
        return words.replace(self._token, "…")


class OAuth:
    """OAuth of an app: access tokens are renewed before they expire, or when one is refused.

    Raises HubspotError if the app or its refresh token is refused, and TryAgain if there is no good answer.
    """

    when_refused = (
        "HubSpot does not accept the app's access token, though it is new; install the app again and set its new "
        "TAP_HUBSPOT_REFRESH_TOKEN."
    )

    def __init__(self, url: str, client_id: str, client_secret: str, refresh_token: str) -> None:
        self._url = url.rstrip("/") + TOKEN_PATH
        self._form = {
            "grant_type": "refresh_token",
            "client_id": client_id,
            "client_secret": client_secret,
            "refresh_token": refresh_token,
        }
        self._token = ""
        self._until = 0.0

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the credentials to a request."""
        if time.monotonic() >= self._until:
            self.renew()
        return _bearer(request, self._token)

    def renew(self) -> bool:
        """Get another access token (`POST /oauth/v3/token`)."""
        try:
            response = bounded_session().post(
                self._url, data=self._form, timeout=(10, 60), allow_redirects=False, stream=True
            )
            body = json.loads(body_of(response))
        except (requests.RequestException, ValueError, RecursionError):
            raise TryAgain(f"POST {TOKEN_PATH} has no good answer") from None
        body = body if isinstance(body, dict) else {}
        if response.status_code != 200:
            words = self.masked(str(body.get("message") or body.get("error_description") or response.reason))
            answered = f"POST {TOKEN_PATH} answered {response.status_code} ({words[:300]})"
            if response.status_code == 429 or response.status_code >= 500:
                raise TryAgain(answered)
            raise HubspotError(
                f"{answered}: set TAP_HUBSPOT_CLIENT_ID and TAP_HUBSPOT_CLIENT_SECRET as they stand in the app, "
                "and the TAP_HUBSPOT_REFRESH_TOKEN that it was granted."
            )
        token, lifetime = body.get("access_token"), body.get("expires_in")
        if not isinstance(token, str) or not token:
            raise TryAgain(f"POST {TOKEN_PATH} answered without an access token")
        seconds = lifetime if isinstance(lifetime, int) and lifetime > 0 else 1800
        self._token, self._until = token, time.monotonic() + seconds - min(MARGIN_SECONDS, seconds / 10)
        return True

    def masked(self, words: str) -> str:
        """Return words without the secrets that were sent."""
        for secret in (self._token, *(self._form[name] for name in ("client_secret", "refresh_token"))):
            words = words.replace(secret, "…") if secret else words
        return words
