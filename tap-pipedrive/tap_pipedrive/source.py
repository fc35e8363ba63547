"""What listings, child listings and streams share: a page, where it is read from, and what a listing is."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, ClassVar, NamedTuple, Protocol, TypeVar

from tap_pipedrive.answers import Answer
from tap_pipedrive.client import Client
from tap_pipedrive.errors import PipedriveError
from tap_pipedrive.memory import Memory
from tap_pipedrive.parents import ParentIndex
from tap_pipedrive.settings import Settings

T = TypeVar("T")
R = TypeVar("R")

Checkpoint = Mapping[str, Any]
"""Where a listing is resumed, as the state keeps it between runs; empty: at its beginning."""


@dataclass(frozen=True)
class Page:
    """Rows as the API sent them."""

    read: Callable[[], Sequence[Any]]
    """Decodes the rows."""

    checkpoint: Checkpoint
    """Where to resume after these rows; empty after the last page."""

    served_at: datetime | None
    """The server's clock when it sent them; None if it did not say."""

    began: datetime | None = None
    """When the reading began, where that is not with its first page, as for children of rows read before."""

    is_first: bool = False
    """Whether the list is read from its beginning with this page, maybe once more."""

    in_order: bool = False
    """Whether all older changes came before these rows, so that the newest of them is a point to resume from."""

    reached: datetime | None = None
    """All changes before this moment have been listed; for rows that do not show it by their own time."""

    refusal: PipedriveError | None = None
    """Why rows are missing, if any are."""

    lost: int = 0
    """Rows that could not be read, at least."""

    parents: Mapping[int, PipedriveError | None] = field(default_factory=dict)
    """Parents that could not be read, each with the reason; None for one that earlier runs could not read."""

    left: int | None = None
    """Parents that are still to be asked about after this page; None where that is unknown."""

    share: float | None = None
    """Which share of the listing is read with this page, 0 to 1; None where that is unknown."""

    size: int = 0
    """Bytes that the page holds while it waits."""

    @cached_property
    def rows(self) -> Sequence[Any]:
        """The rows, decoded when they are first asked for."""
        return self.read()


class Listed(NamedTuple):
    """A list that was read before it is asked for."""

    rows: Sequence[dict[str, Any]]
    served_at: datetime | None
    """When Pipedrive sent it; None if it did not say."""


class CheckContext(Protocol):
    """What a check of what was read needs to know, see `checks.py`."""

    run_id: str
    highest_ids: dict[str, int]
    """The highest id of a stream, as the source has said in this run."""

    def is_due(self) -> bool:
        """Return whether this run makes its checks."""

    def read_up_to(self, stream: str) -> datetime | None:
        """Return up to when this run has read a stream; None unless it has read it to its end."""

    def is_comparable(self, stream: str, columns: Set[str]) -> bool:
        """Return whether the rows of a stream are written as they are, with these columns."""

    def rows_as_written(self, stream: str, records: Sequence[Any]) -> list[dict[str, Any]]:
        """Return records of the API as rows of a stream; none where stream maps change them."""


class RunContext(Protocol):
    """What a listing needs to know of the run that reads it."""

    settings: Settings
    checks: CheckContext
    left_to_ask: dict[str, tuple[int, int]]
    """Parents that each stream has still to ask about, and the API tokens that this takes at least."""

    def field_definitions(self, entity: str) -> "Listed":
        """Return the field definitions of an entity."""

    def cached_list(self, stream: str, endpoint: str) -> Answer | None:
        """Return the list of a stream as an earlier process has read it; None where it is to be read."""

    def keep_list(self, stream: str, endpoint: str, rows: Sequence[Any], served_at: datetime | None) -> None:
        """Keep the list of a stream for later processes."""

    def column_names(self, entity: str) -> Mapping[str, str]:
        """Return the column name of each custom field of an entity, by key."""

    def reads_fields_of(self, entity: str) -> bool:
        """Return whether the field definitions of an entity are part of this run."""

    def parent_index(self, stream: str, since: datetime | None, source: "Source") -> ParentIndex:
        """Return the index of a stream's rows, at least of those that changed since a moment (None: of all).
        Rows that the run has not seen are read from `source`."""

    def memory(self, stream: str) -> Memory:
        """Return what the state keeps of a stream besides its bookmarks."""

    def in_flight(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """Apply a function that sends requests to each item, several at a time; yield the results in order."""


@dataclass(frozen=True)
class Source:
    """Where a listing reads: the API, on behalf of one stream, to which the tokens are charged."""

    stream: str
    client: Client
    run: RunContext


class Listing(ABC):
    """A list of the API that a stream reads; a stream with several has one bookmark for each."""

    name: str
    """Name of the partition in the state; empty for a stream's only listing."""

    is_reference: bool = False
    """Whether it changes rarely, and is read by age, see `references.py`."""

    effort: ClassVar[int] = 0
    """Rank by the number of requests: 0 for a list, 2 for a list per parent, 3 for a history per parent."""

    can_prefetch: ClassVar[bool] = True
    """Whether its pages can be read before its turn: it needs nothing that other streams find out."""

    @property
    def bookmark(self) -> str | None:
        """What the bookmark refers to, where it is not the stream's own replication key."""
        return None

    def is_enabled(self, run: RunContext) -> bool:
        """Return whether the settings ask for this listing."""
        return True

    @property
    def has_records(self) -> bool:
        """Whether it can be asked for some records, or for the rows that belong to some."""
        return False

    def pages_of(self, source: Source, ids: Sequence[str]) -> Iterator[Page]:
        """Read some records, or the rows that belong to some. What is gone does not come."""
        raise NotImplementedError

    @abstractmethod
    def pages(
        self, source: Source, *, since: datetime | None = None, checkpoint: Checkpoint
    ) -> Iterator[Page]:
        """Read the list: all of it from a checkpoint on, or what changed since a moment, oldest change first."""
