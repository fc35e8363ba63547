"""Processes that end with the one that started them, however that one ends.

Clean-up code does not run after a `kill -9`. Therefore a watcher holds the read end of a pipe whose only
write end is in this process: when this process is gone, the pipe is closed, and the watcher does the
clean-up. The watcher has its own session, where neither Ctrl-C nor the end of a terminal reaches it. The
clean-up after a normal end is the same code.
"""

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import psutil

STOPPING_SECONDS = 10
"""Seconds that a process may take to stop after SIGTERM before it is killed."""

WATCHER = 'trap "" INT TERM HUP; cat > /dev/null; exec "$@"'


@contextmanager
def at_the_end(*command: str | Path) -> Iterator[Callable[[], None]]:
    """Run a command when this block ends, or when this process ends without leaving it.

    Yields:
        A function that cancels the command.
    """
    called_off = False

    def call_off() -> None:
        nonlocal called_off
        called_off = True

    with subprocess.Popen(
        ["/bin/sh", "-c", WATCHER, "watcher", *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    ) as watcher:
        try:
            yield call_off
        finally:
            if called_off:
                os.killpg(watcher.pid, signal.SIGKILL)


@contextmanager
def owned(command: Sequence[str | Path], **options: Any) -> Iterator[subprocess.Popen[str]]:
    """Start a command whose whole process group ends with this block, or with this process.

    Args:
        command: Program and arguments.
        options: Further arguments of `subprocess.Popen`.
    """
    with (
        subprocess.Popen(command, process_group=0, **options) as process,
        at_the_end(sys.executable, "-m", "orchestrate.processes", str(process.pid)),
    ):
        try:
            yield process
        finally:
            if process.stderr:  # a full pipe would prevent it from stopping
                threading.Thread(target=process.stderr.read, daemon=True).start()


def end_group(group: int) -> None:
    """Send SIGTERM to all processes of a group, and kill those that have not ended after `STOPPING_SECONDS`."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if not _members(group):
            return
        with suppress(ProcessLookupError):
            os.killpg(group, number)
        deadline = time.monotonic() + STOPPING_SECONDS
        while _members(group) and time.monotonic() < deadline:
            time.sleep(0.05)


def _members(group: int) -> list[int]:
    """Return the process ids of a group without zombies, which only their parent can remove."""
    found = []
    for process in psutil.process_iter(["status"]):
        with suppress(ProcessLookupError, PermissionError):
            if os.getpgid(process.pid) == group and process.info["status"] != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
    return found


def end_by_exception() -> None:
    """Raise KeyboardInterrupt when asked to end, so that everything that was started is stopped.

    That is on SIGINT, SIGTERM and SIGHUP, and when the parent is `make` and ends.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # as under nohup
            signal.signal(number, _interrupt)
    if "MAKELEVEL" in os.environ:
        threading.Thread(target=_follow, args=[os.getppid()], daemon=True).start()


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _follow(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def locked(path: Path, *, stays: bool = False) -> Iterator[bool]:
    """Try to hold a lock that ends with this process, and yield whether it is held.

    The file contains the id of the process that holds it.

    Args:
        path: The file of the lock.
        stays: Whether a program that replaces this one in its process keeps the lock.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        os.set_inheritable(file.fileno(), stays)
        yield True


if __name__ == "__main__":
    end_group(int(sys.argv[1]))
