"""Several requests in flight: pages of the next lists are fetched while those of one are written.

What comes out is in order, list by list. What waits stays JSON (see `Answer`) and is bounded in bytes.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, wait
from queue import SimpleQueue
from typing import Any, TypeVar

from tap_pipedrive.listings import Page

T = TypeVar("T")
R = TypeVar("R")

MOST_BYTES = 32 * 2**20
"""JSON that may wait for its turn; each list may have one page more."""

SIGNAL_SECONDS = 1
"""Nothing waits longer without a look around: a signal that comes right before a wait does not interrupt it."""


class Pool:
    """Threads that ask the API. They end with the process: an interrupted run does not wait for answers."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._tasks: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()

    def submit(self, function: Callable[..., R], *args: Any) -> "Future[R]":
        """Have a function called as soon as a thread is free."""
        future: Future[R] = Future()

        def task() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(function(*args))
                except BaseException as error:  # noqa: BLE001  whoever waits for the result raises it
                    future.set_exception(error)

        with self._lock:
            if len(self._threads) < self.size:
                thread = threading.Thread(target=self._work, daemon=True)
                thread.start()
                self._threads.append(thread)
        self._tasks.put(task)
        return future

    def in_order(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """Apply a function to each item, as many at a time as there are threads; results in the items' order."""
        waiting: deque[Future[R]] = deque()
        try:
            for item in items:
                waiting.append(self.submit(function, item))
                if len(waiting) >= self.size:
                    yield _result(waiting.popleft())
            while waiting:
                yield _result(waiting.popleft())
        finally:
            for future in waiting:
                future.cancel()

    def _work(self) -> None:
        while True:
            self._tasks.get()()


def _result(future: "Future[R]") -> R:
    while not future.done():
        wait([future], SIGNAL_SECONDS)
    return future.result()


class _Line:
    """One list: what was fetched of it and waits."""

    def __init__(self, pages: Iterator[Page]) -> None:
        self.pages = pages
        self.waiting: deque[tuple[Page | None, BaseException | None]] = deque()
        self.is_fetching = False
        self.is_over = False


class LookAhead:
    """Walks through lists, read together and handed out one by one.

    At any time as many pages are being fetched as the pool has threads, those of earlier walks first. Whoever
    asks for the pages of a walk is done with the earlier ones.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._lines: list[_Line] = []
        self._bytes = self._in_flight = 0
        self._changed = threading.Condition()

    def add(self, pages: Iterator[Page]) -> Iterator[Page]:
        """Take a walk on, in the order in which they will be asked for; return what to read instead of it."""
        line = _Line(pages)
        self._lines.append(line)
        return self._read(line)

    def _read(self, line: _Line) -> Iterator[Page]:
        with self._changed:
            for earlier in self._lines[: self._lines.index(line)]:
                self._leave(earlier)
        try:
            while True:
                with self._changed:
                    self._go_on()
                    while not line.waiting:
                        self._changed.wait(SIGNAL_SECONDS)
                    page, error = line.waiting.popleft()
                    self._bytes -= page.size if page else 0
                if error:
                    raise error
                if page is None:
                    return
                yield page
        finally:
            with self._changed:
                self._leave(line)

    def _leave(self, line: _Line) -> None:
        """Nobody comes back for the rest."""
        line.is_over = True
        self._bytes -= sum(page.size for page, _ in line.waiting if page)
        line.waiting.clear()

    def _go_on(self) -> None:
        """Start what may be fetched now; the lock is held."""
        ahead = [line for line in self._lines if not line.is_over][: self._pool.size]
        for line in ahead:
            has_room = not line.waiting or self._bytes < MOST_BYTES
            if self._in_flight < self._pool.size and not line.is_fetching and has_room:
                self._pool.submit(self._fetch, line)
                line.is_fetching = True
                self._in_flight += 1

    def _fetch(self, line: _Line) -> None:
        page: Page | None = None
        error: BaseException | None = None
        try:
            page = next(line.pages, None)
        except BaseException as problem:  # noqa: BLE001  the reader raises it
            error = problem
        with self._changed:
            line.is_fetching = False
            self._in_flight -= 1
            if not line.is_over:
                line.waiting.append((page, error))
                self._bytes += page.size if page else 0
                line.is_over = page is None
            self._changed.notify_all()  # first: where no thread can be started, the reader is to hear of it
            self._go_on()
