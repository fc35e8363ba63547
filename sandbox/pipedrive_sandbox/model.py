"""The words the sandbox's rooms share: records, endpoints, calls and refusals."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from zlib import crc32

if TYPE_CHECKING:
    from multidict import MultiMapping

    from .account import Account

Record: TypeAlias = dict[str, Any]
Id: TypeAlias = int | str
Row: TypeAlias = Mapping[str, Any]
Test: TypeAlias = Callable[[Row], bool]

COMPANY_ID = 10_000_001

IN_MILLISECONDS = (
    *("leads", "lead_labels", "note_comments", "call_logs", "mail_threads", "mail_messages"),
    *("webhooks", "projects", "project_boards", "project_phases", "project_templates", "tasks"),
)
"""Entities whose times carry milliseconds."""

TEXT_IDS = (
    *("leads", "lead_labels", "note_comments", "call_logs", "deal_discounts"),
    *("permission_sets", "goals"),
)
"""Entities whose ids are texts, uuids mostly."""

GOAL_TYPES = ("deals_won", "deals_progressed", "activities_completed", "activities_added", "deals_started")

PARENTS: dict[str, tuple[str, str]] = {
    **dict.fromkeys(
        ("deal_products", "deal_installments", "deal_discounts", "deal_followers", "deal_participants"),
        ("deals", "deal_id"),
    ),
    "person_followers": ("persons", "person_id"),
    "organization_followers": ("organizations", "org_id"),
    "product_variations": ("products", "product_id"),
    "note_comments": ("notes", "note_id"),
    "mail_messages": ("mail_threads", "mail_thread_id"),
    "project_phases": ("project_boards", "board_id"),
    "tasks": ("projects", "project_id"),
}
"""Whose children an entity's rows are, and by which key."""

PARTLY_VISIBLE = (
    *("deals", "leads", "persons", "organizations", "activities", "products", "notes", "files"),
    "projects",
)
"""Entities of which a limited token sees a share only."""

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
    admin: bool
    """Whether the endpoints for administrators answer."""
    share: float = 1.0
    """How much of the partly visible entities the user sees; always the same rows."""
    hidden: dict[str, set[Id]] = field(default_factory=dict)

    @property
    def sees_everything(self) -> bool:
        """Tell whether no row of any entity is invisible."""
        return self.share >= 1 and not self.hidden

    def sees(self, entity: str, row: Row) -> bool:
        """Tell whether the row is visible; children are as visible as their parent."""
        return self._sees_id(entity, row["id"]) and (
            entity not in PARENTS or self._sees_id(PARENTS[entity][0], row[PARENTS[entity][1]])
        )

    def _sees_id(self, entity: str, id_: Id) -> bool:
        if id_ in self.hidden.get(entity, ()):
            return False
        return (
            self.share >= 1
            or entity not in PARTLY_VISIBLE
            or crc32(f"{entity}:{id_}".encode()) < self.share * 2**32
        )


@dataclass(frozen=True)
class Endpoint:
    """One line of the table of endpoints."""

    path: str
    """Template with its base, e.g. `/api/v2/deals/{id}`; v1 paths also answer without `/api`."""
    cost: int
    """Tokens of the daily budget one request takes."""
    answer: Callable[[Call], Record]
    entity: str = ""
    paging: Literal["cursor", "flat", "nested", "bare", "none"] = "none"
    params: tuple[str, ...] = ()
    """Accepted query parameters besides those of paging and `sort`/`include`; v1 ignores others."""
    sort: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    """Values that `include_fields` accepts; they are absent from the answer otherwise."""
    where: Test | None = None
    """Which rows of the entity the endpoint is about at all."""
    required: tuple[str, ...] = ()
    """Those of `params` without which the request is refused."""
    shows: tuple[str, ...] = ()
    """The only keys of the rows that are shown; all of them, unless given."""
    own: bool = False
    """Whether only the rows of the token's user (`user_id`) are listed."""
    most: int = 500
    """The largest page."""
    admin: bool = False
    """Whether only administrators' tokens are answered."""
    feature: str = ""
    """What the company must have bought for it, see `features.FEATURES`."""

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
    without_features: Collection[str]
    """What the company lacks, see `features.FEATURES`."""
    key: str
    """What stands in the place of `{id}` or `{field_code}`."""
