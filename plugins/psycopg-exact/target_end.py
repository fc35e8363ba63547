"""The target ends soon after it is asked to.

On SIGTERM and SIGINT, the SDK's target writes what it has buffered, in threads. That may never end: when the
signal comes in the middle of a log line, the threads wait for the log, which waits for them. What is not committed
then is read again by the next run.
"""

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

GRACE = 20
"""Seconds for which the target may go on."""


def end_in_time() -> None:
    """Have the system end this process, whatever it waits for, `GRACE` seconds after it was asked to end."""
    if threading.current_thread() is threading.main_thread() and hasattr(signal, "alarm"):
        for number in (signal.SIGTERM, signal.SIGINT):
            if callable(handler := signal.getsignal(number)):
                signal.signal(number, _in_time(handler))


def _in_time(handler: Callable[[int, FrameType | None], Any]) -> Callable[[int, FrameType | None], Any]:
    def handle(number: int, frame: FrameType | None) -> Any:
        signal.alarm(GRACE)
        return handler(number, frame)

    return handle
