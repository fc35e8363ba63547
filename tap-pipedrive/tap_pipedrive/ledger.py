"""What is known about the limits of one token, and what follows for the next request.

The record does no input or output. A request is admitted against all three limits in one step and settled in
another, so that a store can make each step atomic, for threads as for processes (`shared.py`). Libraries for the
single limits do not give that: `limits` has no margin for requests that overtake each other, and `pybreaker`
holds a lock during the request and tries a host anew once per process.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from tap_pipedrive.errors import BudgetSpent, TryAgain

DEFAULT_BURST = 20
"""Requests per window on the smallest plan; the header `x-ratelimit-limit` says how many there are."""

WINDOW_SECONDS = 2.0
"""Length of Pipedrive's rolling burst window."""

MARGIN_SECONDS = 0.05
"""Clocks differ by some milliseconds."""

UNANSWERED_SECONDS = 6.0
"""How long a request without an answer takes a slot of the window: its process may have been killed."""

FAILURES_TO_OPEN = 5
"""This many failures in a row, of any process, open the circuit breaker."""

OPEN_SECONDS = 60.0
"""How long an open breaker lets nothing be sent; then one request tries, and the others wait for its outcome."""

TRIAL_SECONDS = 5.0
"""How long the others wait before they ask for that outcome."""

CLOCK_SECONDS = 10.0
"""How far clocks may be set back before a ledger is discarded."""

MOST_UNSETTLED = 10_000
"""Tokens of requests in flight and of those whose process was killed; more are a mistake."""

MOST_SLOTS, MOST_TOKENS, MOST_COUNTED = 10**5, 10**9, 10**15
"""Bounds of what a ledger may hold."""

_HEADERS = (
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-daily-ratelimit-token-limit",
    "x-daily-ratelimit-token-remaining",
    "x-ratelimit-reset",
)


class Permit(NamedTuple):
    """The permission to send one request."""

    number: int
    price: int
    sent_at: float
    mark: int
    """Tokens of all requests that had been settled by then."""


class RateLimitHeaders(NamedTuple):
    """The rate-limit headers of an answer; None where one is missing or makes no sense."""

    burst: int | None = None
    burst_remaining: int | None = None
    tokens: int | None = None
    tokens_remaining: int | None = None
    burst_reset: int | None = None
    """Seconds until the burst window is empty again."""

    @classmethod
    def read(cls, headers: Mapping[str, str]) -> "RateLimitHeaders":
        """Read the limits from an answer's headers. Those of the day are undocumented and may be missing."""
        texts = [headers.get(name, "") for name in _HEADERS]
        read = cls(*(int(text) if re.fullmatch("[0-9]{1,9}", text) else None for text in texts))
        if not read.burst or (read.burst_remaining or 0) > read.burst:
            read = read._replace(burst=None, burst_remaining=None, burst_reset=None)
        if read.tokens == 0 or (read.tokens and (read.tokens_remaining or 0) > read.tokens):
            read = read._replace(tokens=None, tokens_remaining=None)
        return read


class Ledger(msgspec.Struct):
    """The limits of one token. Times are seconds since 1970."""

    burst: int = DEFAULT_BURST
    number: int = 0
    """Requests so far."""

    slots: dict[int, float] = {}
    """Until when the latest requests take a slot of the window. A request arrives between its sending and its
    answer, so that two seconds after the answer it has left Pipedrive's window as well."""

    others: int = 0
    """Slots of the window that other programs had taken by the latest answer."""

    window_seen: float = 0
    """When that answer came."""

    limit: int | None = None
    """The company's tokens per day."""

    remaining: int | None = None
    """How many of them remain today by Pipedrive's latest answer."""

    left: int | None = None
    """How many of them remain at least when all requests in flight have been counted."""

    reserved: int = 0
    """Tokens of all requests so far."""

    settled: int = 0
    """Tokens of the requests that are no longer in flight."""

    mark: int = 0
    """`Permit.mark` of the request whose headers were used last."""

    failures: int = 0
    """Requests in a row without a usable answer."""

    open_until: float = 0
    """When an open breaker lets a request try."""

    on_trial: bool = False
    """Whether that request is in flight."""

    def is_plausible(self, now: float) -> bool:
        """Return whether this can be true at a moment. A ledger of a clock that was set back since, or that
        somebody else wrote, could stop every run or make it wait without end."""
        counts = (self.number, self.settled, self.mark, self.failures)
        remaining = [amount for amount in (self.remaining, self.left) if amount is not None]
        return (
            all(0 <= count <= MOST_COUNTED for count in counts)
            and self.mark <= self.settled <= self.reserved <= self.settled + MOST_UNSETTLED
            and 0 <= self.others <= MOST_TOKENS
            and 0 < self.burst <= MOST_TOKENS
            and len(self.slots) <= MOST_SLOTS
            and self.window_seen <= now + CLOCK_SECONDS
            and self.open_until <= now + OPEN_SECONDS + CLOCK_SECONDS
            and (self.limit is None or 0 < self.limit <= MOST_TOKENS)
            and all(-MOST_UNSETTLED <= amount <= MOST_TOKENS for amount in remaining)
        )

    def admit(self, now: float, price: int, share: float, *, is_first: bool) -> Permit | float:
        """Admit a request, or return in how many seconds to ask again. Raises BudgetSpent and TryAgain. The
        first request of a run is not refused for the tokens that remained before: a new day may have begun."""
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
        self.slots = self._slots(now) | {self.number: now + UNANSWERED_SECONDS}
        self.reserved += price
        if self.left is not None:
            self.left -= price
        return Permit(self.number, price, now, self.settled)

    def settle(
        self,
        now: float,
        permit: Permit,
        headers: RateLimitHeaders,
        *,
        is_up: bool | None,
        is_refused: bool = False,
    ) -> bool:
        """Note how a request ended, and return whether this opened the breaker. `is_up`: whether the host
        works, None if that is unknown; `is_refused`: the answer was a 429."""
        if is_refused and headers.burst_remaining is not None:
            # The window was full without this request, and the headers count the others.
            self.slots.pop(permit.number, None)
        elif permit.number in self.slots:
            self.slots[permit.number] = now + WINDOW_SECONDS + MARGIN_SECONDS
        is_ours = permit.mark <= self.settled  # else it is that of a ledger that was discarded
        if is_ours and permit.mark >= self.mark and headers != RateLimitHeaders():  # later headers are newer
            self.mark = permit.mark
            self._learn_window(now, permit, headers)
            self._learn_tokens(permit, headers)
        self.settled = min(self.settled + permit.price, self.reserved)
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
        """Return the tokens of the day that are kept for other tools."""
        return self.limit - int(share * self.limit) if self.limit else 0

    def _slots(self, now: float) -> dict[int, float]:
        """Return the slots of the last seconds, without those that a clock set back left far in the future."""
        longest = UNANSWERED_SECONDS + 1
        return {number: until for number, until in self.slots.items() if abs(until - now) < longest}

    def _wait(self, now: float) -> float:
        """Return the seconds until the window may have a free slot; 0 if it has one. Other programs keep their
        slots, and a twentieth stays free for new ones; one slot is always ours."""
        ours = sorted(until for until in self._slots(now).values() if until > now)
        others = self.others if now - self.window_seen < WINDOW_SECONDS else 0
        too_many = len(ours) - max(self.burst - self.burst // 20 - others, 1)
        return min(ours[too_many] - now, WINDOW_SECONDS) if too_many >= 0 else 0

    def _learn_window(self, now: float, permit: Permit, headers: RateLimitHeaders) -> None:
        """Take the window from an answer; a larger one only from a request sent after the smaller was known."""
        if headers.burst is None or (headers.burst > self.burst and permit.sent_at < self.window_seen):
            return
        self.burst, self.others, self.window_seen = headers.burst, 0, now
        if headers.burst_remaining is not None:
            ours = sum(until > permit.sent_at for until in self._slots(now).values())
            self.others = max(headers.burst - headers.burst_remaining - ours, 0)

    def _learn_tokens(self, permit: Permit, headers: RateLimitHeaders) -> None:
        """Correct our own count.

        An answer does not include requests that the server counted after it. Requests that had not been settled
        when this one was sent may be among them. They are subtracted, so that `left` is never too large, even
        after an answer that comes late.
        """
        self.limit = headers.tokens or self.limit
        if headers.tokens_remaining is not None:
            self.remaining = headers.tokens_remaining
            self.left = headers.tokens_remaining - (self.reserved - permit.mark - permit.price)
        elif self.left is None and self.limit:
            self.left = self.limit - self.reserved
