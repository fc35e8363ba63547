"""The REST API of a running Metabase, 58 or newer."""

from typing import Any, NamedTuple

import requests

Json = dict[str, Any]

SECONDS = 60
"""The longest time in seconds to wait for an answer."""

LONGEST_QUOTE = 300
"""The number of characters of Metabase's own message in an error."""


class MetabaseError(Exception):
    """A refusal by Metabase, in one sentence."""


class Account(NamedTuple):
    """The credentials: an API key, or the e-mail address and password of an admin."""

    api_key: str = ""
    email: str = ""
    password: str = ""


class Metabase:
    """A session with a running Metabase. All methods raise MetabaseError if it refuses or does not answer."""

    def __init__(self, url: str, account: Account) -> None:
        self._url = url.rstrip("/")
        self._http = requests.Session()
        self.done: list[str] = []
        """Sentences about what was created or changed."""
        if account.api_key:
            self._http.headers["x-api-key"] = account.api_key
        else:
            self._sign_in(account)

    def _sign_in(self, account: Account) -> None:
        """Start a session. A Metabase without a user yet gets this account as its first one."""
        properties = self.get("session/properties")
        token = properties.get("setup-token")
        if token and not properties.get("has-user-setup"):
            user = {"email": account.email, "password": account.password}
            self.post("setup", {"token": token, "user": user, "prefs": {"site_name": "Pipedrive"}})
            self.done.append("Metabase was set up with its first user")
        session = self.post("session", {"username": account.email, "password": account.password})
        self._http.headers["X-Metabase-Session"] = session["id"]

    def get(self, path: str) -> Any:
        """Return the answer to a GET."""
        return self._answer("GET", path)

    def find(self, path: str) -> Any:
        """Return the answer to a GET, or None if it is 404."""
        return self._answer("GET", path, may_be_missing=True)

    def post(self, path: str, body: Json) -> Any:
        """Return the answer to a POST."""
        return self._answer("POST", path, body)

    def put(self, path: str, body: Json) -> Any:
        """Return the answer to a PUT."""
        return self._answer("PUT", path, body)

    def _answer(
        self, method: str, path: str, body: Json | None = None, *, may_be_missing: bool = False
    ) -> Any:
        try:
            answer = self._http.request(method, f"{self._url}/api/{path}", json=body, timeout=SECONDS)
        except requests.RequestException as error:
            kind = type(error).__name__
            raise MetabaseError(
                f"Metabase at {self._url} does not answer ({kind}): is it up, and is METABASE_URL right?"
            ) from None
        if may_be_missing and answer.status_code == requests.codes.not_found:
            return None
        if not answer.ok:
            raise MetabaseError(_refusal(method, path, answer))
        try:
            return answer.json() if answer.content else None
        except requests.JSONDecodeError:
            raise MetabaseError(
                f"{self._url} answers {method} /api/{path} with a page that is not Metabase's: "
                "check METABASE_URL."
            ) from None


def _refusal(method: str, path: str, answer: requests.Response) -> str:
    if answer.status_code in (requests.codes.unauthorized, requests.codes.forbidden):
        return (
            f"Metabase does not let this account do {method} /api/{path}: set METABASE_API_KEY to a key of the "
            "group Administrators, or METABASE_EMAIL and METABASE_PASSWORD to an admin's."
        )
    said = " ".join(answer.text.split())[:LONGEST_QUOTE]
    return f"Metabase refuses {method} /api/{path} with status {answer.status_code}: {said}"


def listed(answer: Any) -> list[Json]:
    """Return the items of a list: some answers wrap them in `data`."""
    items: list[Json] = answer["data"] if isinstance(answer, dict) else answer
    return items
