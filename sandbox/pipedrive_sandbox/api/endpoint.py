"""An endpoint of the API, and a request to it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pipedrive_sandbox.account.store import Account
from pipedrive_sandbox.records.model import Record, Test
from pipedrive_sandbox.records.viewer import Viewer

if TYPE_CHECKING:
    from multidict import MultiMapping


@dataclass(frozen=True)
class Endpoint:
    """One line of the table of endpoints."""

    path: str
    """The path template, e.g. `/api/v2/deals/{id}`; v1 paths also work without `/api`."""
    cost: int
    """The tokens of the daily budget that one request costs."""
    answer: Callable[[Call], Record]
    entity: str = ""
    paging: Literal["cursor", "flat", "nested", "bare", "none"] = "none"
    params: tuple[str, ...] = ()
    """Accepted query parameters besides those of paging and `sort`/`include`; v1 ignores others."""
    sort: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    """Values that `include_fields` accepts; they are absent from the answer otherwise."""
    where: Test | None = None
    """A condition for the rows of the entity that the endpoint can return."""
    required: tuple[str, ...] = ()
    """Parameters in `params` that are required."""
    shows: tuple[str, ...] = ()
    """The keys of the rows that are shown; all of them if empty."""
    own: bool = False
    """Whether only the rows of the token's user (`user_id`) are listed."""
    most: int = 500
    """The largest page."""
    admin: bool = False
    """Whether only administrators' tokens are accepted."""
    feature: str = ""
    """The feature that the company's plan must include; see `features.FEATURES`."""

    @property
    def strict(self) -> bool:
        """Return whether unknown parameters are refused, as in v2."""
        return self.path.startswith("/api/v2/")


@dataclass(frozen=True)
class Call:
    """One authenticated request to an endpoint."""

    endpoint: Endpoint
    account: Account
    viewer: Viewer
    query: MultiMapping[str]
    leaves_unset_out: bool
    """Whether v2 leaves out custom fields without a value instead of showing null."""
    without_features: Collection[str]
    """Features that the company lacks; see `features.FEATURES`."""
    key: str
    """The value of `{id}` or `{field_code}`."""
