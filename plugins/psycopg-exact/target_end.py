"""Makes the target end soon after SIGTERM or SIGINT.

On these signals, the SDK's target writes its buffers in threads. That may never end: if the signal arrives
while a log line is written, the threads wait for the log, which waits for them. The next run reads
uncommitted rows again.
"""

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

GRACE = 20
"""Seconds for which the target may continue."""


def end_in_time() -> None:
    """Make the system end this process, whatever it waits for, `GRACE` seconds after a signal to end."""
    if threading.current_thread() is threading.main_thread() and hasattr(signal, "alarm"):
        for number in (signal.SIGTERM, signal.SIGINT):
            if callable(handler := signal.getsignal(number)):
                signal.signal(number, _in_time(handler))


def _in_time(handler: Callable[[int, FrameType | None], Any]) -> Callable[[int, FrameType | None], Any]:
    def handle(number: int, frame: FrameType | None) -> Any:
        signal.alarm(GRACE)
        return handler(number, frame)

    return handle
