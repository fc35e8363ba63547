"""Rows that can only be listed by the ids of their parents: line items of deals, followers, changes.

The list of the parents tells which of them changed and which have children, see `parents.py`. Only those are
asked about, in the order of their change, so that the bookmark moves with them.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, ClassVar

from tap_pipedrive.errors import NotAllowed, PipedriveError, Refused
from tap_pipedrive.listings import CursorListing, OffsetListing, WholeListing
from tap_pipedrive.parents import ALL_TIME, Parents
from tap_pipedrive.source import Checkpoint, Listing, Page, Source

Batch = Sequence[tuple[int, int]]
"""Parents of one request: second of change and id of each."""

Answered = tuple[Sequence[Any], NotAllowed | Refused | None]
"""All rows of a batch, or why there are none."""

MANY_REFUSALS = 20
"""When the API refuses this many requests before it answers one, the token may see none of the parents."""


@dataclass(frozen=True)
class ChildListing(Listing):
    """A list per parent, or per group of parents. Raises NotAllowed when the API answers for none of them."""

    list_of: CursorListing | OffsetListing | WholeListing
    """The list of one request's parents."""

    parents: Parents
    key: str = ""
    """Column for the parent's id; by default `deal_id` for `deals`, and so on."""

    batch: int = 1
    """Parents per request; with more than one, their ids go into the parameter `many`."""

    many: str = ""
    name: str = ""
    can_prefetch: ClassVar[bool] = False
    effort: ClassVar[int] = 2

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", self.key or f"{self.parents.stream.removesuffix('s')}_id")

    @property
    def bookmark(self) -> str | None:
        """The parents' time of change."""
        return f"{self.parents.stream}.{self.parents.moved}" if self.parents.moved else None

    def pages(
        self, source: Source, *, since: datetime | None = None, checkpoint: Checkpoint
    ) -> Iterator[Page]:
        """Ask about the parents that changed, oldest change first.

        The checkpoint tells apart parents that changed in the same second, by a bulk edit for example: they may
        be more than the tokens of a run suffice for. The checkpoint stays before the last minute before the
        parents were listed, as others may have changed in it that were not to be seen yet.
        """
        index = source.run.parent_index(self.parents.stream, since, source)
        changed = _after(checkpoint, index.changed(self.parents, since))
        lookback = source.run.settings.lookback_seconds
        settled = index.began.timestamp() - lookback if index.began else ALL_TIME
        batches = [changed[start : start + self.batch] for start in range(0, len(changed), self.batch)]
        # Refusals wait until the API answers for one parent: if it never does, the bookmark stays before them.
        refused: list[Page] = []
        left, left_to_ask = len(changed), source.run.left_to_ask
        left_to_ask[source.stream] = left, self._cost(left)
        forbidden: NotAllowed | None = None
        is_answered = False
        for batch, rows, refusal, share in self._answers(source, batches):
            moved, parent = batch[-1]
            left -= len(batch)
            left_to_ask[source.stream] = left, self._cost(left)
            checkpoint = {"moved": moved, "id": parent} if moved < settled else checkpoint
            page = Page(
                partial(list, rows),
                checkpoint,
                index.served_at,
                began=index.began,
                reached=datetime.fromtimestamp(moved, UTC) if moved != ALL_TIME else None,
                refusal=refusal and self._of_parent_refused(parent, refusal),
                share=share,
            )
            is_answered = is_answered or refusal is None
            if is_answered:
                yield from [*refused, page]
                refused.clear()
            else:
                refused.append(page)
                if isinstance(refusal, NotAllowed) and refusal.status == 403:
                    forbidden = forbidden or refusal
        if forbidden and not is_answered:
            raise forbidden
        yield from refused  # these parents no longer exist
        missing = PipedriveError(
            f"{index.rows_without_id} rows of {self.parents.stream} have no id to ask about"
        )
        yield Page(
            list,
            {},
            index.served_at,
            began=index.began,
            reached=index.began,
            refusal=missing if index.rows_without_id else None,
        )

    def _cost(self, parents: int) -> int:
        """Return the API tokens that it takes to ask about some parents, if each answer is one page."""
        return -(-parents // self.batch) * self.list_of.price

    def _answers(
        self, source: Source, batches: Sequence[Batch]
    ) -> Iterator[tuple[Batch, Sequence[Any], NotAllowed | Refused | None, float]]:
        """Yield the rows of each batch, why they are missing, and the share of the batches that is read.

        A batch that is refused is split until each parent that is refused stands alone. Raises the refusal
        when MANY_REFUSALS come before the first answer.
        """
        refusals, is_answered = 0, False
        answers = source.run.in_flight(partial(self._read, source), batches)
        for asked, (batch, answer) in enumerate(zip(batches, answers, strict=True), 1):
            parts: list[tuple[Batch, Answered | None]] = [(batch, answer)]
            while parts:
                part, known = parts.pop()
                rows, refusal = known or self._read(source, part)
                is_answered = is_answered or refusal is None
                refusals += refusal is not None
                if refusal and not is_answered and refusals == MANY_REFUSALS:
                    raise refusal
                if refusal and len(part) > 1:
                    middle = len(part) // 2
                    parts += [(part[middle:], None), (part[:middle], None)]  # the earlier half is next
                else:
                    yield part, rows, refusal, asked / len(batches)

    def _read(self, source: Source, batch: Batch) -> Answered:
        """Return all rows of a batch, and why there are none where the API refuses one of its parents."""
        ids = [parent for _, parent in batch]
        if self.many:
            params = {**self.list_of.params, self.many: ",".join(map(str, ids))}
            listing = replace(self.list_of, params=params)
        else:
            listing = replace(self.list_of, ids={"id": ids[0]})
        try:
            rows = _all_rows(listing, source)
        except (NotAllowed, Refused) as error:
            if isinstance(error, NotAllowed) and error.status not in (403, 404, 410):
                raise  # the plan does not cover the endpoint, whatever the parent
            return [], error
        return rows if self.many else self.of_parent(ids[0], rows), None

    def _of_parent_refused(self, parent: int, refusal: NotAllowed | Refused) -> PipedriveError:
        """Return the sentence about one parent that the API refuses while it answers for others."""
        said = refusal.said if isinstance(refusal, NotAllowed) else refusal
        return PipedriveError(f"{self.key} {parent}, which is asked again when it changes: {said}")

    def of_parent(self, parent: int, rows: Sequence[Any]) -> Sequence[Any]:
        """Return the rows of one parent with the parent's id."""
        return [{**row, self.key: parent} if isinstance(row, dict) else row for row in rows]


def _after(checkpoint: Checkpoint, changed: Sequence[tuple[int, int]]) -> Sequence[tuple[int, int]]:
    """Return the parents after a checkpoint; all of them if it is empty."""
    moved, parent = checkpoint.get("moved"), checkpoint.get("id")
    if not (isinstance(moved, int) and isinstance(parent, int)):
        return changed
    return changed[bisect_right(changed, (moved, parent)) :]


def _all_rows(listing: Listing, source: Source) -> list[Any]:
    return [row for page in listing.pages(source, checkpoint={}) for row in page.rows]
