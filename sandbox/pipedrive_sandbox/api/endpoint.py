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
