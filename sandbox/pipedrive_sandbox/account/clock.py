"""The account's own clock, which may differ from the host's."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta


def stamp(moment: datetime) -> str:
    """Return the time as v2 writes it: UTC, whole seconds, `Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def stamp_ms(moment: datetime) -> str:
    """Return the time as leads write it: UTC, milliseconds, `Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse(text: str) -> datetime:
    """Parse an ISO time; without an offset it is UTC. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class Clock:
    """A clock that starts at a given time, runs in real time, and can be moved or stopped."""

    def __init__(self, start: datetime) -> None:
        self.set(start)
        self._held: datetime | None = None

    def now(self) -> datetime:
        """Return the account's time, in UTC."""
        if self._held:
            return self._held
        return self._start + timedelta(seconds=time.monotonic() - self._started)

    def set(self, moment: datetime) -> None:
        """Let the clock continue from the time."""
        self._start, self._started = moment.astimezone(UTC), time.monotonic()

    def advance(self, seconds: float) -> None:
        """Move the clock forward, or back if negative."""
        self._start += timedelta(seconds=seconds)

    @contextmanager
    def held(self, moment: datetime) -> Iterator[None]:
        """Stop the clock at a time within the block."""
        self._held = moment.astimezone(UTC)
        try:
            yield
        finally:
            self._held = None
