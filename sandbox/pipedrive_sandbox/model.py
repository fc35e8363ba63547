"""The words the sandbox's rooms share: records, endpoints, calls and refusals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from multidict import MultiMapping

    from .account import Account

Record: TypeAlias = dict[str, Any]
Id: TypeAlias = int | str
Row: TypeAlias = Mapping[str, Any]
Test: TypeAlias = Callable[[Row], bool]

SCHEMA_ERROR = "ERR_SCHEMA_VALIDATION_FAILED"


class Refusal(Exception):
    """A request the account does not grant; becomes Pipedrive's JSON error envelope.

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
    """Return the 400 of a request whose parameters break the endpoint's schema."""
    return Refusal(400, error, info="Parameter validation failed", code=SCHEMA_ERROR)


def not_found(error: str = "Entity was not found") -> Refusal:
    """Return the 404 of a record that does not exist or that the token may not see."""
    return Refusal(404, error, info="Object was not found.")


@dataclass
class Viewer:
    """A token: the user it belongs to and the rows that user may not see, by entity."""

    token: str
    user_id: int
    hidden: dict[str, set[Id]] = field(default_factory=dict)

    def sees(self, entity: str, row: Row) -> bool:
        """Tell whether the row is visible; line items are as visible as their deal."""
        if row["id"] in self.hidden.get(entity, ()):
            return False
        return entity != "deal_products" or row["deal_id"] not in self.hidden.get("deals", ())


@dataclass(frozen=True)
class Endpoint:
    """One line of the table of endpoints."""

    path: str
    """Template with its base, e.g. `/api/v2/deals/{id}`; v1 paths also answer without `/api`."""
    cost: int
    """Tokens of the daily budget one request takes."""
    answer: Callable[[Call], Record]
    entity: str = ""
    paging: Literal["cursor", "flat", "nested", "none"] = "none"
    params: tuple[str, ...] = ()
    """Accepted query parameters besides those of paging and `sort`/`include`; v1 ignores others."""
    sort: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    """Values that `include_fields` accepts; they are absent from the answer otherwise."""
    where: Test | None = None
    """Which rows of the entity the endpoint is about at all."""

    @property
    def strict(self) -> bool:
        """Tell whether unknown parameters are refused, as v2 does."""
        return self.path.startswith("/api/v2/")


@dataclass(frozen=True)
class Call:
    """One authenticated request to an endpoint."""

    endpoint: Endpoint
    account: Account
    viewer: Viewer
    query: MultiMapping[str]
    leaves_unset_out: bool
    """Whether v2 leaves custom fields without value out, rather than showing null."""
    key: str
    """What stands in the place of `{id}` or `{field_code}`."""
