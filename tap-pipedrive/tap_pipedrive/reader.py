"""Ends the tap when nobody reads its output any more, also while it waits for Pipedrive.

A tap whose runner was killed would otherwise spend tokens until its next write.
"""

import logging
import os
import select
import signal
import stat
import sys
import threading

GRACE_SECONDS = 2
"""How long the tap has to notice by itself that its output is closed, as it does when it writes."""

noticed = threading.Event()
"""Set when the tap has noticed, or ends anyhow."""


def stop_without_reader() -> None:
    """Stop this process as SIGTERM does when the reader of its standard output, a pipe or socket, is gone."""
    try:
        descriptor = sys.stdout.fileno()
        mode = os.fstat(descriptor).st_mode
    except (AttributeError, OSError):  # there is no standard output
        return
    if hasattr(select, "poll") and (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        threading.Thread(target=_watch, args=(descriptor,), daemon=True).start()


def _watch(descriptor: int) -> None:
    poll = select.poll()
    poll.register(descriptor, select.POLLERR | select.POLLHUP)
    poll.poll()
    if noticed.wait(GRACE_SECONDS):
        return
    logging.getLogger("tap-pipedrive").error("Nobody reads the output of the tap any more.")
    os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)  # so that the exit has nothing to flush
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
