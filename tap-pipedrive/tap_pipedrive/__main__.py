"""The command line: `tap-pipedrive`, `python -m tap_pipedrive`."""

import ctypes
import gc
import logging
import os
import signal
import sys

from tap_pipedrive.errors import PipedriveError
from tap_pipedrive.reader import noticed, stop_without_reader
from tap_pipedrive.tap import TapPipedrive

M_ARENA_MAX = -8
"""A parameter of glibc's `mallopt`."""


def keep_memory_together() -> None:
    """Have glibc use one arena. Else each thread has its own, and all keep what they once needed."""
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(M_ARENA_MAX, 1)


def collect_garbage_rarely() -> None:
    """Have Python look for objects that hold each other a hundred times less often. Rows never do, and to look
    through them all the time took a tenth of the CPU time."""
    gc.freeze()
    gc.set_threshold(100_000)


def main() -> None:
    """Run the tap. An error that it cannot solve is logged as one sentence, and the exit code is 1."""
    if sys.stdout is None:  # else the next file that is opened would take its place
        raise SystemExit("tap-pipedrive has no standard output: start it with one.")
    keep_memory_together()
    collect_garbage_rarely()
    stop_without_reader()
    for name in ("NO_PROXY", "no_proxy"):  # no proxy can reach this machine's own addresses, as of a sandbox
        os.environ[name] = f"{os.environ.get(name, '')},localhost,127.0.0.1,::1".lstrip(",")
    try:
        TapPipedrive.cli()
    except PipedriveError as error:
        logging.getLogger(TapPipedrive.name).error("%s", error)
        raise SystemExit(1) from None
    finally:
        noticed.set()
        for number in signal.SIGTERM, signal.SIGINT:  # else one of them would interrupt the clean-up
            signal.signal(number, signal.SIG_DFL)


if __name__ == "__main__":
    main()
