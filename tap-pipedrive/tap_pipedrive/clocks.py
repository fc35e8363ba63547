"""Which moment it is: by Pipedrive's clock, which may be wrong or unknown, and by this machine's, maybe wrong."""

import threading
import time
from datetime import UTC, datetime, timedelta

UNKNOWN = timedelta(days=1)
"""How far this machine's clock may be ahead where Pipedrive does not say which moment it is."""


def proven(served_at: datetime | None) -> datetime:
    """Return a moment that has certainly come when an answer dated `served_at` is read: the smaller clock's."""
    here = datetime.now(UTC)
    return min(served_at, here) if served_at else here - UNKNOWN


class RunClock:
    """One clock for a whole run: Pipedrive's at the first answer, and then the seconds that this process counts.

    The versions of rows come from it. They never go back during a run, whatever the dates of later answers are.
    Those of two runs can be compared, as both began with Pipedrive's clock; where it is unknown, with the host's.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._first: int | None = None
        self._counted_from = 0.0

    def start(self, served_at: datetime | None) -> None:
        """Set the clock by the first answer; later ones change nothing."""
        with self._lock:
            if self._first is None:
                self._first = int((served_at or datetime.now(UTC)).timestamp())
                self._counted_from = time.monotonic()

    @property
    def began(self) -> int:
        """The second since 1970 of the first answer."""
        self.start(None)
        assert self._first is not None  # noqa: S101
        return self._first

    @property
    def now(self) -> int:
        """The present second. It is rounded up, as `Date` is rounded down: what another run writes after this run
        began must not seem older than it."""
        return self.began + 1 + int(time.monotonic() - self._counted_from)
