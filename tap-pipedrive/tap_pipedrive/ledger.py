"""What is known about the limits of one token, and what follows for the next request.

Three limits, one record, no input or output: a request is admitted against all of them in one step and
settled in another, so that a store can make each step atomic, for threads as for processes (`shared.py`).
Libraries for the single limits do not give that: `limits` knows no margin for requests that overtake each
other, and `pybreaker` holds a lock during the request and tries a host anew once per process.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from tap_pipedrive.errors import BudgetSpent, TryAgain

DEFAULT_BURST = 20
"""Requests per window on the smallest plan; the `x-ratelimit-limit` header tells of more."""

WINDOW_SECONDS = 2.0
"""Length of Pipedrive's rolling burst window."""

MARGIN_SECONDS = 0.05
"""Clocks do not agree to the millisecond."""

UNANSWERED_SECONDS = 6.0
"""How long a request takes a place in the window when no answer comes: its process may have been killed."""

FAILURES_TO_OPEN = 5
"""So many failures in a row, whoever met them, open the circuit breaker."""

OPEN_SECONDS = 60.0
"""So long nothing is sent then; after that one request tries, and the others wait for its outcome."""

TRIAL_SECONDS = 5.0
"""How long the others wait before they look for that outcome."""


class Ticket(NamedTuple):
    """Leave to send one request."""

    number: int
    price: int
    sent_at: float
    mark: int
    """Tokens of all requests that had been answered by then."""


class Told(NamedTuple):
    """What the headers of an answer say; None where they are silent or talk nonsense."""

    burst: int | None = None
    burst_left: int | None = None
    tokens: int | None = None
    tokens_left: int | None = None


_NUMBER = re.compile("[0-9]{1,9}")


def told(headers: Mapping[str, str]) -> Told:
    """Read the limits in an answer's headers. Those of the day are undocumented and may be missing."""
    said = Told(
        *(
            int(text) if _NUMBER.fullmatch(text := headers.get(name, "")) else None
            for name in (
                "x-ratelimit-limit",
                "x-ratelimit-remaining",
                "x-daily-ratelimit-token-limit",
                "x-daily-ratelimit-token-remaining",
            )
        )
    )
    if not said.burst or (said.burst_left or 0) > said.burst:
        said = said._replace(burst=None, burst_left=None)
    if said.tokens == 0 or (said.tokens and (said.tokens_left or 0) > said.tokens):
        said = said._replace(tokens=None, tokens_left=None)
    return said


class Ledger(msgspec.Struct):
    """The limits of one token. Times are seconds since 1970."""

    burst: int = DEFAULT_BURST
    number: int = 0
    """Requests so far."""

    places: dict[int, float] = {}
    """Until when the latest of them count in the window: a request arrives between its leaving and its answer, so
    that two seconds after the answer it has left Pipedrive's window as well, however long it was on its way."""

    others: int = 0
    """Places in the window that others had taken when an answer told of it last."""

    window_seen: float = 0
    """When that was."""

    limit: int | None = None
    """The company's tokens per day."""

    left_told: int | None = None
    """What Pipedrive said last that is left of them today."""

    left: int | None = None
    """What is left of them at least, when all requests on their way have been charged."""

    reserved: int = 0
    """Tokens of all requests so far."""

    answered: int = 0
    """Tokens of those that are no longer on their way."""

    mark: int = 0
    """`Ticket.mark` of the request whose answer was learnt from last."""

    failures: int = 0
    """Requests in a row without a usable answer."""

    open_until: float = 0
    """When the breaker, if there are enough failures, lets a request try."""

    on_trial: bool = False
    """Whether that request is on its way."""

    def admit(self, now: float, price: int, share: float, *, is_first: bool) -> Ticket | float:
        """Let a request go, or tell in how many seconds to ask again. Raises BudgetSpent and TryAgain.

        The first request of a run is not refused for what was known of the day before it: it may be over.
        """
        reserve = self._reserve(share)
        if not is_first and self.left is not None and self.left - price < reserve:
            raise BudgetSpent(
                f"{max(self.left, 0):,} of {self.limit or 0:,} API tokens are left today, and "
                f"daily_token_share ({share:g}) keeps {reserve:,} for other tools: run again tomorrow or raise it."
            )
        if self._is_open and now < self.open_until - MARGIN_SECONDS:
            wait = min(self.open_until - now, TRIAL_SECONDS if self.on_trial else OPEN_SECONDS)
            raise TryAgain(f"nothing is sent after {FAILURES_TO_OPEN} failures in a row", wait)
        if wait := self._wait(now):
            return wait
        if self._is_open:
            self.on_trial, self.open_until = True, now + OPEN_SECONDS
        self.number += 1
        self.places = self._places(now) | {self.number: now + UNANSWERED_SECONDS}
        self.reserved += price
        if self.left is not None:
            self.left -= price
        return Ticket(self.number, price, now, self.answered)

    def settle(
        self, now: float, ticket: Ticket, said: Told, *, is_up: bool | None, is_refused: bool = False
    ) -> bool:
        """Take in how a request ended.

        `is_up`: whether the host works, None if nobody knows; `is_refused`: by a 429.

        Return whether this opened the breaker.
        """
        if is_refused and said.burst_left is not None:
            # The window was full without it, and the headers count.
            self.places.pop(ticket.number, None)
        elif ticket.number in self.places:
            self.places[ticket.number] = now + WINDOW_SECONDS + MARGIN_SECONDS
        if ticket.mark >= self.mark and said != Told():  # an answer that others overtook is of the past
            self.mark = ticket.mark
            self._learn_window(now, ticket, said)
            self._learn_tokens(ticket, said)
        self.answered += ticket.price
        if is_up is None:
            return False
        self.failures = 0 if is_up else self.failures + 1
        opens = self._is_open and (self.failures == FAILURES_TO_OPEN or self.on_trial)
        self.on_trial = False
        if self._is_open:
            self.open_until = now + OPEN_SECONDS
        return opens

    @property
    def _is_open(self) -> bool:
        return self.failures >= FAILURES_TO_OPEN

    def _reserve(self, share: float) -> int:
        """Tokens of the day that are other tools'."""
        return self.limit - int(share * self.limit) if self.limit else 0

    def _places(self, now: float) -> dict[int, float]:
        """Places of the last seconds; without those that a clock, set back, left far in the future."""
        longest = UNANSWERED_SECONDS + 1
        return {number: until for number, until in self.places.items() if abs(until - now) < longest}

    def _wait(self, now: float) -> float:
        """Seconds until the window may have a place; 0 if it has one.

        The others have theirs, and a twentieth is free for newcomers; but one place is always ours.
        """
        ours = sorted(until for until in self._places(now).values() if until > now)
        others = self.others if now - self.window_seen < WINDOW_SECONDS else 0
        too_many = len(ours) - max(self.burst - self.burst // 20 - others, 1)
        return min(ours[too_many] - now, WINDOW_SECONDS) if too_many >= 0 else 0

    def _learn_window(self, now: float, ticket: Ticket, said: Told) -> None:
        """A larger window is taken from requests that left after the smaller one was known: it may have shrunk."""
        if said.burst is None or (said.burst > self.burst and ticket.sent_at < self.window_seen):
            return
        self.burst, self.others, self.window_seen = said.burst, 0, now
        if said.burst_left is not None:
            ours = sum(until > ticket.sent_at for until in self._places(now).values())
            self.others = max(said.burst - said.burst_left - ours, 0)

    def _learn_tokens(self, ticket: Ticket, said: Told) -> None:
        """Correct our own count.

        An answer does not tell of requests that the server counted after it. Those that had not been answered
        when this one left may be among them; with these taken off, what is left is never overrated, even by an
        answer that comes late.
        """
        self.limit = said.tokens or self.limit
        if said.tokens_left is not None:
            self.left_told = said.tokens_left
            self.left = said.tokens_left - (self.reserved - ticket.mark - ticket.price)
        elif self.left is None and self.limit:
            self.left = self.limit - self.reserved
