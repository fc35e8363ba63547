"""The limits of a token: the burst window, the daily budget, and the block after ignoring them."""

from __future__ import annotations

import math
from collections import Counter, deque
from datetime import datetime, timedelta

from pipedrive_sandbox.account.clock import Clock
from pipedrive_sandbox.records.refusals import Refusal

WINDOW = timedelta(seconds=2)
PATIENCE = 10
"""The number of refused requests within one window that cause no block."""
BLOCKED = timedelta(seconds=60)
BLOCK_PAGE = b"""<!DOCTYPE html>
<html><head><title>Access denied | sandbox used Cloudflare to restrict access</title></head>
<body><h1>Error 1015</h1><p>You are being rate limited.</p></body></html>
"""


class Blocked(Exception):
    """The edge blocks the token, and answers with 403 and an HTML page."""


def too_fast() -> Refusal:
    """Return the 429 of a full window; its body is not documented, but its headers are."""
    return Refusal(429, "request over limit", headers={"x-ratelimit-remaining": "0"})


class Window:
    """Requests of one token in the last two seconds, and those that it sent after being refused."""

    def __init__(self, size: int, clock: Clock) -> None:
        self._size = size
        self._clock = clock
        self._taken: deque[datetime] = deque()
        self._refused: deque[datetime] = deque()
        self._blocked_until: datetime | None = None

    def enter(self) -> None:
        """Count a request in the window. Raises Refusal (429) if the window is full, or Blocked."""
        now = self._clock.now()
        if self._blocked_until and now < self._blocked_until:
            raise Blocked
        _forget(self._taken, now)
        if len(self._taken) < self._size:
            self._taken.append(now)
            return
        _forget(self._refused, now)
        self._refused.append(now)
        if len(self._refused) > PATIENCE:
            self._refused.clear()
            self._blocked_until = now + BLOCKED
            raise Blocked
        raise too_fast()

    def headers(self) -> dict[str, str]:
        """Return the window's state in Pipedrive's headers."""
        now = self._clock.now()
        _forget(self._taken, now)
        reset = self._taken[0] + WINDOW - now if self._taken else WINDOW
        return {
            "x-ratelimit-limit": str(self._size),
            "x-ratelimit-remaining": str(self._size - len(self._taken)),
            "x-ratelimit-reset": str(math.ceil(reset.total_seconds())),
        }


def _forget(moments: deque[datetime], now: datetime) -> None:
    """Remove times outside the window, including future ones that remain when the clock is set back."""
    while moments and not now - WINDOW < moments[0] <= now:
        moments.popleft()


class Budget:
    """The company's tokens of the day, which ends at midnight UTC of the account's clock."""

    def __init__(self, limit: int, clock: Clock, *, headers: bool) -> None:
        self._limit = limit
        self._clock = clock
        self._headers = headers
        self._spent: Counter[str] = Counter()

    @property
    def _today(self) -> str:
        return self._clock.now().date().isoformat()

    def remaining(self) -> int:
        """Return the tokens left today."""
        return self._limit - self._spent[self._today]

    def spend(self, tokens: int) -> None:
        """Take tokens from the day's budget. Raises Refusal (429) if there are too few."""
        if tokens > self.remaining():
            raise self.exhausted()
        self._spent[self._today] += tokens

    def exhausted(self) -> Refusal:
        """Return the 429 that refuses requests until tomorrow."""
        now = self._clock.now()
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
        wait = math.ceil((midnight - now).total_seconds())
        return Refusal(429, "daily request budget exceeded", headers={"retry-after": str(wait)})

    def headers(self) -> dict[str, str]:
        """Return the undocumented headers about the day's tokens, unless they are switched off."""
        if not self._headers:
            return {}
        return {
            "x-daily-ratelimit-token-limit": str(self._limit),
            "x-daily-ratelimit-token-remaining": str(self.remaining()),
        }
