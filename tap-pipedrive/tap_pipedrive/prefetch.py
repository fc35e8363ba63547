"""Several requests in flight: pages of the next lists are fetched while those of one list are written.

Pages come out in order, list by list. Pages that wait stay JSON (see `Answer`), and their bytes are bounded.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, wait
from queue import SimpleQueue
from typing import Any, TypeVar

from tap_pipedrive.source import Page

T = TypeVar("T")
R = TypeVar("R")

MOST_BYTES = 8 * 2**20
"""Bytes of JSON that may wait for their turn; each list may have one page more."""

SIGNAL_SECONDS = 1
"""Longest wait for a condition, in seconds: a signal that comes right before a wait does not interrupt it."""


class Pool:
    """Threads that send requests. They also end with the process: an interrupted run does not wait for answers."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._tasks: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()

    def submit(self, function: Callable[..., R], *args: Any) -> "Future[R]":
        """Call a function as soon as a thread is free."""
        future: Future[R] = Future()

        def task() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(function(*args))
                except BaseException as error:  # noqa: BLE001  the thread that waits for the result raises it
                    future.set_exception(error)

        with self._lock:
            if len(self._threads) < self.size:
                thread = threading.Thread(target=self._work, daemon=True)
                thread.start()
                self._threads.append(thread)
        self._tasks.put(task)
        return future

    def in_order(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """Apply a function to each item, as many at a time as there are threads; yield the results in order."""
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

    def close(self) -> None:
        """Let the threads end, without waiting for them. Otherwise they would keep the whole run in memory."""
        with self._lock:
            for _ in self._threads:
                self._tasks.put(None)
            self._threads.clear()

    def _work(self) -> None:
        while task := self._tasks.get():
            task()


def _result(future: "Future[R]") -> R:
    while not future.done():
        wait([future], SIGNAL_SECONDS)
    return future.result()


class _Queue:
    """The fetched pages of one list that wait to be read."""

    def __init__(self, pages: Iterator[Page]) -> None:
        self.pages = pages
        self.waiting: deque[tuple[Page | None, BaseException | None]] = deque()
        self.is_fetching = False
        self.is_over = False


class Prefetcher:
    """Fetches the pages of several lists ahead of their turn.

    At any time as many pages are being fetched as the pool has threads, those of earlier lists first. A reader
    that asks for the pages of one list is done with the earlier lists.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._queues: list[_Queue] = []
        self._bytes = self._in_flight = 0
        self._changed = threading.Condition()

    def add(self, pages: Iterator[Page]) -> Iterator[Page]:
        """Add the pages of the next list, and return an iterator to read instead of them."""
        queue = _Queue(pages)
        self._queues.append(queue)
        return self._read(queue)

    def _read(self, queue: _Queue) -> Iterator[Page]:
        with self._changed:
            for earlier in self._queues[: self._queues.index(queue)]:
                self._leave(earlier)
        try:
            while True:
                with self._changed:
                    self._schedule()
                    while not queue.waiting:
                        self._changed.wait(SIGNAL_SECONDS)
                    page, error = queue.waiting.popleft()
                    self._bytes -= page.size if page else 0
                if error:
                    raise error
                if page is None:
                    return
                yield page
        finally:
            with self._changed:
                self._leave(queue)

    def _leave(self, queue: _Queue) -> None:
        """Drop the rest of a list, which nobody will read."""
        queue.is_over = True
        self._bytes -= sum(page.size for page, _ in queue.waiting if page)
        queue.waiting.clear()

    def _schedule(self) -> None:
        """Start what may be fetched now. The caller holds the lock."""
        unfinished = [queue for queue in self._queues if not queue.is_over][: self._pool.size]
        for queue in unfinished:
            has_room = not queue.waiting or self._bytes < MOST_BYTES
            if self._in_flight < self._pool.size and not queue.is_fetching and has_room:
                self._pool.submit(self._fetch, queue)
                queue.is_fetching = True
                self._in_flight += 1

    def _fetch(self, queue: _Queue) -> None:
        page: Page | None = None
        error: BaseException | None = None
        try:
            page = next(queue.pages, None)
        except BaseException as problem:  # noqa: BLE001  the reader raises it
            error = problem
        with self._changed:
            queue.is_fetching = False
            self._in_flight -= 1
            if not queue.is_over:
                queue.waiting.append((page, error))
                self._bytes += page.size if page else 0
                queue.is_over = page is None
            self._changed.notify_all()  # before a fetch that may fail to start a thread: the reader must not wait
            self._schedule()
