"""Rows that can only be listed by the ids of their parents: line items of deals, followers, changes.

The list of the parents tells which of them changed and which have children, see `parents.py`. Only those are
asked about, in the order of their change, so that the bookmark moves with them.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from typing import Any, ClassVar, NamedTuple

from tap_pipedrive.errors import BudgetSpent, Fatal, NotAllowed, PipedriveError, Refused
from tap_pipedrive.http_listing import GONE
from tap_pipedrive.listings import CursorListing, OffsetListing, WholeListing
from tap_pipedrive.memory import MOST_UNREAD, Memory
from tap_pipedrive.parents import ALL_TIME, ParentIndex, Parents
from tap_pipedrive.source import Checkpoint, Listing, Page, Source

AGAIN = 2**62
"""Stands for the time of change of a parent that earlier runs could not read; it is later than any."""

Batch = Sequence[tuple[int, int]]
"""Parents of one request: second of change and id of each."""

Answered = tuple[Sequence[Any], PipedriveError | None]
"""All rows of a batch, or why there are none."""

MANY_REFUSALS = 20
"""When the API refuses this many requests before it answers one, the token may see none of the parents, or those
that changed first are deleted: witnesses tell."""

WITNESSES = 5
"""How many of the parents that wait are asked about then."""

MANY_FAILURES = 10
"""After this many requests in a row without an answer, a witness tells whether the endpoint works at all."""


class Asked(NamedTuple):
    """What came of asking about some parents; one that could not be read stands alone."""

    batch: Batch
    rows: Sequence[Any]
    problem: PipedriveError | None
    share: float
    """The share of the requests that have been sent."""

    left: int
    """Parents of the requests that have not been sent."""

    is_answered: bool
    """Whether the API has answered for any parent so far."""


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
    is_read_once: ClassVar[bool] = False
    """Whether no later run asks about all parents again, so that those that appear later have to be found."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", self.key or f"{self.parents.stream.removesuffix('s')}_id")

    @property
    def bookmark(self) -> str | None:
        """The parents' time of change."""
        return f"{self.parents.stream}.{self.parents.moved}" if self.parents.moved else None

    def pages(
        self, source: Source, *, since: datetime | None = None, checkpoint: Checkpoint
    ) -> Iterator[Page]:
        """Ask about the parents that changed, oldest change first, then about those that earlier runs could not
        read, or that are listed now and were not before.

        The checkpoint tells apart parents that changed in the same second, by a bulk edit for example: they may
        be more than the tokens of a run suffice for. The checkpoint stays before the last minute before the
        parents were listed, as others may have changed in it that were not to be seen yet.
        """
        finds_all = self.is_read_once and source.run.settings.reconcile
        index = source.run.parent_index(self.parents.stream, None if finds_all else since, source)
        changed = _after(checkpoint, index.changed(self.parents, since))
        memory = source.run.memory(source.stream)
        if self.is_read_once:
            self._find_those_not_asked_about(source, memory, index, since)
        unread = set(memory.unread)
        unsettled = unread.union(memory.unasked)
        again = sorted(unsettled.difference(parent for _, parent in changed)) if unsettled else []
        batches = [*self._batches(changed), *self._batches([(AGAIN, parent) for parent in again])]
        lookback = source.run.settings.lookback_seconds
        settled = index.began.timestamp() - lookback if index.began else ALL_TIME
        # Parents that could not be read wait until one is answered: if none is, the bookmark may stay before them.
        left_to_ask = source.run.left_to_ask
        left = sum(map(len, batches))
        left_to_ask[source.stream] = left, self._cost(left)
        held: list[Asked] = []
        is_answered = False

        def released() -> Iterator[Page]:
            nonlocal checkpoint
            for asked in held:
                moved, parent = asked.batch[-1]
                checkpoint = {"moved": moved, "id": parent} if moved < settled else checkpoint
                yield self._page(asked, checkpoint, index, unread, unsettled, is_answered=is_answered)
            held.clear()

        for asked in self._answers(source, batches):
            is_answered = asked.is_answered
            held.append(asked)
            left_to_ask[source.stream] = asked.left, self._cost(asked.left)
            if is_answered:
                yield from released()
            elif len(held) + len(unread) > MOST_UNREAD:
                break
        forbidden = [each.problem for each in held if _status(each.problem) == 403]
        if forbidden and forbidden[0] and not memory.has_had_rows:
            raise forbidden[0]
        yield from released()
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

    def _find_those_not_asked_about(
        self, source: Source, memory: Memory, index: ParentIndex, since: datetime | None
    ) -> None:
        """Note the parents that no run would ask about: they are listed now and were not before, or have moved
        while they were not."""

        def moved_since(moment: datetime | None) -> set[int]:
            return {parent for _, parent in index.changed(self.parents, moment)}

        wanted = index.wanted(self.parents, source.run.settings.start_date)
        left_out = index.wanted(self.parents, None) - wanted
        memory.note_parents(index.ids - left_out, wanted, is_whole=index.is_whole)
        memory.note_moves(moved_since(since), moved_since, index.began if index.is_whole else None)

    @property
    def has_records(self) -> bool:
        """A parent can always be asked about."""
        return True

    def pages_of(self, source: Source, ids: Sequence[str]) -> Iterator[Page]:
        """Ask about some parents. Raises what one of them answers, unless it is gone."""
        parents = [(AGAIN, int(each)) for each in ids if each.isdecimal()]
        for asked in self._answers(source, self._batches(parents)):
            if asked.problem and _status(asked.problem) not in GONE:
                raise asked.problem
            yield Page(partial(list, asked.rows), {}, source.client.last_served_at)

    def _batches(self, parents: Batch) -> list[Batch]:
        return [parents[start : start + self.batch] for start in range(0, len(parents), self.batch)]

    def _cost(self, parents: int) -> int:
        """Return the API tokens that it takes to ask about some parents, if each answer is one page."""
        return -(-parents // self.batch) * self.list_of.price

    def _page(
        self,
        asked: Asked,
        checkpoint: Checkpoint,
        index: ParentIndex,
        unread: set[int],
        unsettled: set[int],
        *,
        is_answered: bool,
    ) -> Page:
        """Return the page of what came of some parents, and keep `unread` up to date. Raises PipedriveError when
        too many parents could not be read."""
        moved, _ = asked.batch[-1]
        ids = {parent for _, parent in asked.batch}
        is_unread = asked.problem is not None and not (is_answered and _status(asked.problem) in GONE)
        settled = dict.fromkeys(ids, asked.problem) if is_unread else dict.fromkeys(ids & unsettled)
        unread -= ids
        unread |= ids if is_unread else set()
        if len(unread) > MOST_UNREAD:
            raise PipedriveError(
                f"More than {MOST_UNREAD:,} rows of {self.parents.stream} have lists that cannot be read; the "
                f"last said: {asked.problem}"
            )
        return Page(
            partial(list, asked.rows),
            checkpoint,
            index.served_at,
            began=index.began,
            reached=datetime.fromtimestamp(moved, UTC) if moved not in (ALL_TIME, AGAIN) else None,
            parents=settled,
            left=asked.left,
            share=asked.share,
        )

    def _answers(self, source: Source, batches: Sequence[Batch]) -> Iterator[Asked]:
        """Yield what came of each batch; one that fails is split until each parent that fails stands alone.

        Raises the refusal when MANY_REFUSALS come before the first answer and the API answers for no witness, and
        the failure when the endpoint does not answer for a witness either: a parent that it has answered for in
        this run, else the last one.
        """
        refusals, failures, is_answered = 0, 0, False
        witness: Batch = batches[-1][-1:] if batches else ()
        left = sum(map(len, batches))
        answers = source.run.in_flight(partial(self._read, source), batches)
        for sent, (batch, answer) in enumerate(zip(batches, answers, strict=True), 1):
            left -= len(batch)
            parts: list[tuple[Batch, Answered | None]] = [(batch, answer)]
            while parts:
                part, known = parts.pop()
                rows, problem = known or self._read(source, part)
                if problem is None:
                    is_answered, failures, witness = True, 0, part[-1:]
                elif isinstance(problem, NotAllowed | Refused):
                    refusals, failures = refusals + 1, 0
                    if not is_answered and refusals == MANY_REFUSALS:
                        others = chain(*(waits for waits, _ in reversed(parts)), *batches[sent:])
                        waiting = [*(part if len(part) > 1 else ()), *others]
                        is_answered = self._answers_for_one_of(source, waiting)
                        if not is_answered:
                            if part[-1][0] == AGAIN:
                                return  # it is known that these are refused, and the next run asks again
                            raise problem
                else:
                    failures += 1
                    if failures == MANY_FAILURES:
                        failures = 0
                        self._raise_without_answer(source, witness)
                if problem and len(part) > 1:
                    middle = len(part) // 2
                    parts += [(part[middle:], None), (part[:middle], None)]  # the earlier half is next
                else:
                    yield Asked(part, rows, problem, sent / len(batches), left, is_answered)

    def _answers_for_one_of(self, source: Source, waiting: Batch) -> bool:
        """Return whether the API answers for one of WITNESSES parents: the one that changed last, which is hardly
        ever deleted, or others between it and the first."""
        newest_first = waiting[::-1]
        witnesses = newest_first[:: -(-len(waiting) // WITNESSES) or 1]
        return any(self._read(source, [witness])[1] is None for witness in witnesses)

    def _raise_without_answer(self, source: Source, witness: Batch) -> None:
        _, problem = self._read(source, witness)
        if problem and not isinstance(problem, NotAllowed | Refused):
            raise problem

    def _read(self, source: Source, batch: Batch) -> Answered:
        """Return all rows of a batch, or why one of its parents cannot be read."""
        ids = [parent for _, parent in batch]
        if self.many:
            params = {**self.list_of.params, self.many: ",".join(map(str, ids))}
            listing = replace(self.list_of, params=params)
        else:
            listing = replace(self.list_of, ids={"id": ids[0]})
        try:
            rows = _all_rows(listing, source)
        except (Fatal, BudgetSpent):
            raise
        except PipedriveError as error:
            if isinstance(error, NotAllowed) and error.status not in (403, *GONE):
                raise  # the plan does not cover the endpoint, whatever the parent
            return [], error
        return rows if self.many else self.of_parent(ids[0], rows), None

    def of_parent(self, parent: int, rows: Sequence[Any]) -> Sequence[Any]:
        """Return the rows of one parent with the parent's id."""
        return [{**row, self.key: parent} if isinstance(row, dict) else row for row in rows]


def _status(problem: PipedriveError | None) -> int | None:
    return problem.status if isinstance(problem, NotAllowed) else None


def _after(checkpoint: Checkpoint, changed: Sequence[tuple[int, int]]) -> Sequence[tuple[int, int]]:
    """Return the parents after a checkpoint; all of them if it is empty."""
    moved, parent = checkpoint.get("moved"), checkpoint.get("id")
    if not (isinstance(moved, int) and isinstance(parent, int)):
        return changed
    return changed[bisect_right(changed, (moved, parent)) :]


def _all_rows(listing: Listing, source: Source) -> list[Any]:
    return [row for page in listing.pages(source, checkpoint={}) for row in page.rows]
