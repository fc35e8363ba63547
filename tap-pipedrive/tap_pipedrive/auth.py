"""Credentials: a user's API token or an app with OAuth2, and whose account they belong to."""

import logging
import re
import threading
import time
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import requests

from tap_pipedrive.bounds import body_of, bounded_session
from tap_pipedrive.client import Access, Auth, Client, Request
from tap_pipedrive.errors import Blocked, PipedriveError, TryAgain, Unauthorized
from tap_pipedrive.masking import hide, mask
from tap_pipedrive.retries import RETRIED_STATUSES, TIMEOUTS, retrying, seconds_to_wait, without_url
from tap_pipedrive.settings import Settings, one_word, web_address

MARGIN_SECONDS = 60
"""How long before its end an access token is renewed; one with a short life at a tenth of it."""

LONGEST_LIFE = 86_400
"""Longest life of an access token in seconds, also where `expires_in` makes no sense."""

ADMIN_APPS = {"sales": "deals", "global": "the account"}
"""Apps whose admins see everything that the tap reads, by their names in `access` of GET /api/v1/users/me."""

logger = logging.getLogger("tap-pipedrive")


def auth_of(settings: Settings) -> Auth:
    """Return the credentials that the settings hold."""
    if settings.client_id and settings.client_secret and settings.refresh_token:
        return OAuth(
            settings.api_url,
            settings.oauth_url,
            settings.client_id,
            settings.client_secret,
            settings.refresh_token,
        )
    return ApiToken(settings.api_url, settings.api_token or "")


class ApiToken:
    """A user's personal API token, which is valid until somebody renews it."""

    when_refused = "Pipedrive does not accept the API token; set a valid one in TAP_PIPEDRIVE_API_TOKEN."

    def __init__(self, url: str, token: str) -> None:
        hide(token)
        self._access = Access(url, "x-api-token", token)

    def access(self) -> Access:
        """Return the same access each time."""
        return self._access

    def renewed(self, refused: Access) -> None:
        """Return None, as there is no other token."""


@dataclass(frozen=True, slots=True)
class _Grant:
    """An access, and until when it is valid (by `time.monotonic`)."""

    access: Access
    until: float


class OAuth:
    """An app's access tokens from POST /oauth/token, renewed before they expire or when one is refused.

    The server also names the address of the account's API (`api_domain`): access tokens are sent only there.
    Raises Unauthorized when the refresh token or the app is refused, Unavailable when there is no good answer.
    """

    when_refused = (
        "Pipedrive does not accept the app's access token, though it is new; install the app again and set its "
        "new TAP_PIPEDRIVE_REFRESH_TOKEN."
    )

    def __init__(
        self, api_url: str, oauth_url: str, client_id: str, client_secret: str, refresh_token: str
    ) -> None:
        self._api_url = api_url
        self._endpoint = f"{oauth_url}/oauth/token"  # with a slash at the end Pipedrive redirects
        self._client = client_id, client_secret
        hide(
            client_id,
            client_secret,
            refresh_token,
            b64encode(f"{client_id}:{client_secret}".encode()).decode(),
        )
        self._refresh_token = refresh_token
        self._grant: _Grant | None = None
        self._fatal: PipedriveError | None = None
        self._lock = threading.Lock()

    def access(self) -> Access:
        """Return the access that is valid now."""
        with self._lock:
            if self._grant is None or time.monotonic() >= self._grant.until:
                self._grant = self._ask()
            return self._grant.access

    def renewed(self, refused: Access) -> Access:
        """Return another access for one that the API refused; when many threads meet that, one asks for it."""
        with self._lock:
            if self._grant is None or self._grant.access is refused:
                self._grant = self._ask()
            return self._grant.access

    def _ask(self) -> _Grant:
        if self._fatal:
            raise self._fatal
        try:
            return retrying(f"POST {self._endpoint}", "oauth_url", self._try)
        except PipedriveError as problem:
            self._fatal = problem  # further requests of other threads would end the same way
            raise

    def _try(self) -> _Grant:
        try:
            with bounded_session() as session:
                response = session.post(
                    self._endpoint,
                    data={"grant_type": "refresh_token", "refresh_token": self._refresh_token},
                    auth=self._client,
                    timeout=TIMEOUTS,
                    allow_redirects=False,  # a redirect would carry the secrets to another host
                    stream=True,
                )
                content = body_of(response)
        except requests.RequestException as error:
            raise TryAgain(without_url(error)) from None
        except ValueError:  # requests parses the target of a redirect even if it does not follow it
            raise PipedriveError(
                f"POST {self._endpoint} answered a redirect to nowhere: correct oauth_url."
            ) from None
        body = _object(content)
        if response.status_code == 200:
            return self._read(body)
        raise self._problem(response, body)

    def _read(self, body: Mapping[str, Any]) -> _Grant:
        try:
            token = one_word(body.get("access_token"))
        except ValueError:
            raise TryAgain("an answer without an access token") from None
        hide(token)
        lifetime = body.get("expires_in")
        seconds = (
            lifetime if isinstance(lifetime, int | float) and 0 < lifetime < LONGEST_LIFE else LONGEST_LIFE
        )
        self._keep_refresh_token(body.get("refresh_token"))
        logger.info("Pipedrive has granted an access token for %.0f s", seconds)
        access = Access(self._api_domain(body.get("api_domain")), "Authorization", f"Bearer {token}")
        return _Grant(access, time.monotonic() + seconds - min(MARGIN_SECONDS, seconds / 10))

    def _api_domain(self, domain: Any) -> str:
        if domain is None:
            return self._api_url
        try:
            url = web_address(domain)
        except ValueError:
            url = ""
        if not url or (self._endpoint.startswith("https:") and not url.startswith("https:")):
            raise PipedriveError(
                f"POST {self._endpoint} names an api_domain that is no safe address, so the access token is "
                "not sent: check oauth_url."
            )
        return url

    def _keep_refresh_token(self, token: Any) -> None:
        try:
            token = one_word(token)
        except ValueError:
            return
        if token != self._refresh_token:
            self._refresh_token = token
            hide(token)
            logger.warning(
                "Pipedrive has replaced the refresh token: this run continues with the new one, but the next may "
                "need a new TAP_PIPEDRIVE_REFRESH_TOKEN; install the app again to get it."
            )

    def _problem(self, response: requests.Response, body: Mapping[str, Any]) -> Exception:
        words = " ".join(
            str(body.get("message") or body.get("error") or response.reason or "no text").split()
        )
        answered = f"{response.status_code} ({mask(words)[:300]})"
        said = f"POST {self._endpoint} answered {answered}"
        if response.status_code in RETRIED_STATUSES | {429}:
            return TryAgain(answered, seconds_to_wait(response.headers))
        if response.status_code not in (400, 401):
            return PipedriveError(
                f"{said}: set oauth_url to the address of Pipedrive's authorization server."
            )
        if re.search("invalid.client", words, re.IGNORECASE):
            return Unauthorized(
                f"{said}: Pipedrive does not accept the app; set TAP_PIPEDRIVE_CLIENT_ID and "
                "TAP_PIPEDRIVE_CLIENT_SECRET as they stand in Pipedrive's Developer Hub."
            )
        return Unauthorized(
            f"{said}: Pipedrive does not accept the refresh token, which ends when the app is uninstalled or "
            "not used for 60 days; install the app again and set the new TAP_PIPEDRIVE_REFRESH_TOKEN."
        )


def _object(content: bytes) -> Mapping[str, Any]:
    """Return the object in a body; an empty one if there is none."""
    try:
        body = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def log_owner(client: Client) -> None:
    """Log whose token it is (GET /api/v1/users/me), and warn when its user may see only part of the account.
    Only a refused token ends the run: raises Unauthorized and Blocked."""
    try:
        me = client.get(Request("/api/v1/users/me", {}, {}, 2, "account")).data
    except (Unauthorized, Blocked):
        raise
    except PipedriveError as error:
        logger.info("Whose token it is remains unknown: %s", error)
        return
    if not isinstance(me, dict) or not me:
        logger.info("Whose token it is remains unknown, as GET /api/v1/users/me does not say it.")
        return
    admin_of = _admin_rights(me)
    lacking = [ADMIN_APPS[app] for app in ADMIN_APPS if admin_of.get(app) is False]
    logger.info(
        "Reading the account %s (%s) as user %s, %s",
        _words(me.get("company_name")),
        _words(me.get("company_domain")),
        _words(me.get("id")),
        "no admin" if lacking else "an admin" if any(map(admin_of.get, ADMIN_APPS)) else "rights unknown",
        extra={key: me.get(key) for key in ("company_id", "company_name")},
    )
    if lacking:
        logger.warning(
            "The token's user is no admin of %s, so Pipedrive may leave out records without saying so: take "
            "the token of a user who administers deals and the account.",
            " and ".join(lacking),
        )


def _admin_rights(me: Mapping[str, Any]) -> dict[str, bool]:
    """Return whether the user is an admin, by app; older answers have one `is_admin` for all apps."""
    access = me.get("access")
    entries = [entry for entry in access if isinstance(entry, dict)] if isinstance(access, list) else []
    rights = {str(entry.get("app")): bool(entry["admin"]) for entry in entries if "admin" in entry}
    return rights or ({"global": bool(me["is_admin"])} if "is_admin" in me else {})


def _words(value: Any) -> str:
    """Return a name without characters that would break a log line."""
    return "".join(letter for letter in str(value or "?")[:100] if letter.isprintable())
