"""Requests that the account refuses, in Pipedrive's JSON error envelopes."""

from collections.abc import Mapping

from pipedrive_sandbox.records.model import Record

SCHEMA_ERROR = "ERR_SCHEMA_VALIDATION_FAILED"


class Refusal(Exception):
    """A refused request, which becomes Pipedrive's JSON error envelope.

    `code` is the symbolic code of v2 answers; v1 and gateway answers repeat the number instead.
    """

    def __init__(
        self,
        status: int,
        error: str,
        *,
        info: str = "Please check developers.pipedrive.com",
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(error)
        self.status = status
        self.headers = dict(headers or {})
        self.body: Record = {"success": False, "error": error, "error_info": info}
        if status in (401, 429):
            self.body["errorCode"] = status
        else:
            self.body |= {"data": None, "additional_data": None}
        if code:
            self.body["code"] = code


def invalid(error: str) -> Refusal:
    """Return the 400 of a request whose parameters violate the endpoint's schema."""
    return Refusal(400, error, info="Parameter validation failed", code=SCHEMA_ERROR)


def not_found(error: str = "Entity was not found") -> Refusal:
    """Return the 404 of a record that does not exist or that the token may not see."""
    return Refusal(404, error, info="Object was not found.")
