# Over 400 lines: order, bounds and endings are tested with the same slow server.
"""Concurrent requests: results stay in order, memory is bounded, and fetching stops when the reader leaves."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tap_pipedrive import prefetch
from tap_pipedrive.prefetch import Pool, Prefetcher
from tap_pipedrive.source import Page

from .harness import TOKEN, Asked, Say, account, fake, run, say

T = TypeVar("T")

DEADLOCK_SECONDS = 20
PAGE_BYTES = 10


class Door:
    """Releases the waiting fetches one by one in random order."""

    def __init__(self, seed: int, width: int) -> None:
        self.most_inside = 0
        self._waiting: list[threading.Event] = []
        self._changed = threading.Condition()
        self._chance = random.Random(seed)
        self._width = width
        self._is_open = True
        self._thread = threading.Thread(target=self._let_out, daemon=True)

    def __enter__(self) -> Door:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._is_open = False
            self._changed.notify_all()
        self._thread.join()

    def pass_through(self) -> None:
        """Wait until it is this caller's turn."""
        turn = threading.Event()
        with self._changed:
            self._waiting.append(turn)
            self.most_inside = max(self.most_inside, len(self._waiting))
            self._changed.notify_all()
        turn.wait(DEADLOCK_SECONDS)

    def _let_out(self) -> None:
        while self._is_open or self._waiting:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or not self._is_open)
                crowd = self._chance.randint(1, self._width)  # sometimes wait for several callers
                if len(self._waiting) < crowd:
                    self._changed.wait(timeout=0.0005)
                if self._waiting:
                    self._waiting.pop(self._chance.randrange(len(self._waiting))).set()


def page(name: Any, size: int = PAGE_BYTES) -> Page:
    return Page(lambda: [name], {}, None, size=size)


def names(pages: Iterator[Page]) -> list[Any]:
    return [each.rows[0] for each in pages]


def within_time(function: Callable[[], T]) -> T:
    """Call a function in a thread, and raise what it raises, or AssertionError if it does not end."""
    result: list[tuple[T | None, BaseException | None]] = []

    def call() -> None:
        try:
            result.append((function(), None))
        except BaseException as error:  # noqa: BLE001
            result.append((None, error))

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(DEADLOCK_SECONDS)
    assert result, "it hangs"
    ((value, error),) = result
    if error:
        raise error
    return value  # type: ignore[return-value]  # there is one where there is no error


class Trouble(Exception):
    """The error of one walk."""


Walk = tuple[int, bool, int | None]
"""The number of pages, whether an error follows them, and after how many pages the reader leaves."""

walks = st.lists(
    st.tuples(st.integers(0, 5), st.booleans(), st.none() | st.integers(0, 4)), min_size=1, max_size=6
)


def run_all(plan: Sequence[Walk], size: int, door: Door, fetched: list[tuple[int, int]]) -> list[Any]:
    """Read all walks in turn, as the streams of a run do, and return their pages and errors."""

    def walk(number: int, pages: int, *, fails: bool) -> Iterator[Page]:
        for place in range(pages):
            door.pass_through()
            fetched.append((number, place))
            yield page((number, place))
        door.pass_through()
        if fails:
            raise Trouble(number)

    prefetcher = Prefetcher(Pool(size))
    lines = [
        prefetcher.add(walk(number, pages, fails=fails)) for number, (pages, fails, _) in enumerate(plan)
    ]
    seen: list[Any] = []
    for (_, _, leaves), line in zip(plan, lines, strict=True):
        try:
            for place, each in enumerate(line):
                if place == leaves:
                    break
                seen.append(each.rows[0])
        except Trouble as trouble:
            seen.append(trouble.args[0])
        line.close()  # type: ignore[attr-defined]  # a generator, whose reader may go away
    return seen


def wanted(plan: Sequence[Walk]) -> list[Any]:
    """Return the expected result: each walk's pages until its reader leaves, and its error if the reader
    stays.
    """
    out: list[Any] = []
    for number, (pages, fails, leaves) in enumerate(plan):
        stays = leaves is None or leaves >= pages
        out += [(number, place) for place in range(pages if stays else leaves or 0)]
        out += [number] if fails and stays else []
    return out


@settings(max_examples=150, deadline=None)
@given(plan=walks, size=st.integers(1, 4), seed=st.integers(0, 2**32))
def test_results_are_in_order_whatever_is_fetched_first(plan: list[Walk], size: int, seed: int) -> None:
    """Some walks raise errors, and some readers leave early."""
    with Door(seed, size) as door:
        assert within_time(lambda: run_all(plan, size, door, [])) == wanted(plan)
        assert door.most_inside <= size


def test_as_many_pages_are_fetched_at_once_as_there_are_threads() -> None:
    barrier = threading.Barrier(4)

    def walk(number: int) -> Iterator[Page]:
        for place in range(3):
            barrier.wait(DEADLOCK_SECONDS)  # no fetch passes the barrier alone
            yield page((number, place))

    prefetcher = Prefetcher(Pool(4))
    lines = [prefetcher.add(walk(number)) for number in range(4)]
    assert within_time(lambda: [name for line in lines for name in names(line)]) == [
        (number, place) for number in range(4) for place in range(3)
    ]


def test_earlier_walks_are_fetched_first() -> None:
    """With two threads and three walks, the third walk waits while the first two have pages to fetch."""
    fetched: list[str] = []

    def walk(name: str, pages: int) -> Iterator[Page]:
        for _ in range(pages):
            fetched.append(name)
            yield page(name)

    prefetcher = Prefetcher(Pool(2))
    lines = [prefetcher.add(walk(name, pages)) for name, pages in (("a", 6), ("b", 6), ("c", 2))]
    assert (
        within_time(lambda: [name for line in lines for name in names(line)])
        == ["a"] * 6 + ["b"] * 6 + ["c"] * 2
    )
    assert fetched.index("c") >= 6, "one of the first two had ended"


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 12), min_size=1, max_size=4),
    size=st.integers(1, 4),
    seed=st.integers(0, 2**32),
)
def test_waiting_pages_are_bounded_in_bytes(lengths: list[int], size: int, seed: int) -> None:
    most, made, read = 5 * PAGE_BYTES, count(), 0
    waiting: list[int] = []

    def walk(length: int) -> Iterator[Page]:
        for _ in range(length):
            door.pass_through()
            waiting.append((next(made) + 1 - read) * PAGE_BYTES)
            yield page("x")

    def read_all() -> None:
        nonlocal read
        for line in [prefetcher.add(walk(length)) for length in lengths]:
            for _ in line:
                door.pass_through()  # writing takes time as well
                read += 1

    with pytest.MonkeyPatch.context() as patch, Door(seed, size) as door:
        patch.setattr(prefetch, "MOST_BYTES", most)
        prefetcher = Prefetcher(Pool(size))
        within_time(read_all)
    assert read == sum(lengths)
    assert all(held <= most + (2 * size + 1) * PAGE_BYTES for held in waiting)


def test_a_page_beyond_the_bound_causes_no_deadlock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefetch, "MOST_BYTES", 1)
    prefetcher = Prefetcher(Pool(3))
    lines = [prefetcher.add(iter([page(number, size=10**9)] * 5)) for number in range(6)]
    assert within_time(lambda: [name for line in lines for name in names(line)]) == [
        number for number in range(6) for _ in range(5)
    ]


def test_a_walk_without_a_reader_is_not_fetched_to_its_end() -> None:
    fetched = count()
    is_left = threading.Event()

    def endless() -> Iterator[Page]:
        for number in count():
            next(fetched)
            if number:
                is_left.wait(DEADLOCK_SECONDS)
            yield page(number)

    prefetcher = Prefetcher(Pool(2))
    first, second = prefetcher.add(endless()), prefetcher.add(iter([page("x")] * 50))
    within_time(lambda: next(first))
    first.close()  # type: ignore[attr-defined]
    is_left.set()
    assert within_time(lambda: names(second)) == ["x"] * 50
    assert next(fetched) <= 3


def test_a_reader_of_a_later_walk_ends_the_earlier_ones() -> None:
    """This happens when a stream ends early: its other lists are never requested."""
    fetched = count()

    def endless() -> Iterator[Page]:
        while True:
            next(fetched)
            yield page("never read", size=prefetch.MOST_BYTES)

    prefetcher = Prefetcher(Pool(1))
    prefetcher.add(endless())
    last = prefetcher.add(iter([page(number) for number in range(9)]))
    assert within_time(lambda: names(last)) == list(range(9))
    assert next(fetched) == 0


@pytest.mark.parametrize("death", [SystemExit(3), KeyboardInterrupt(), MemoryError("no more"), Trouble("x")])
def test_any_exception_of_a_fetch_is_raised_to_its_reader(death: BaseException) -> None:
    def dying() -> Iterator[Page]:
        yield page(1)
        raise death

    prefetcher = Prefetcher(Pool(2))
    first, second = prefetcher.add(dying()), prefetcher.add(iter([page(2)]))
    with pytest.raises(type(death)):
        within_time(lambda: names(first))
    assert within_time(lambda: names(second)) == [2]


@pytest.mark.parametrize("walks_there", [1, 3])
@pytest.mark.parametrize("started", [0, 1])
def test_a_thread_that_cannot_be_started_causes_an_error_and_no_deadlock(
    monkeypatch: pytest.MonkeyPatch, started: int, walks_there: int
) -> None:
    """It may be started by the reader, or by a thread that has just fetched a page."""
    really, before, here = threading.Thread.start, count(), threading.Event()

    def start(thread: threading.Thread) -> None:
        if "_work" in thread.name and next(before) >= started:
            raise RuntimeError("can't start new thread")
        really(thread)

    def read() -> list[Any]:
        prefetcher = Prefetcher(Pool(4))
        lines = [prefetcher.add(iter([page(1), page(2), page(3)])) for _ in range(walks_there)]
        here.set()
        return [name for line in lines for name in names(line)]

    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        within_time(read)
    assert here.is_set()


# Items in order


@settings(max_examples=100, deadline=None)
@given(items=st.integers(0, 12), size=st.integers(1, 5), seed=st.integers(0, 2**32), fails=st.integers(0, 12))
def test_results_are_in_the_order_of_their_items(items: int, size: int, seed: int, fails: int) -> None:
    """They end at the first failing item, and no more items are in flight than there are threads."""

    def work(item: int) -> int:
        door.pass_through()
        if item == fails:
            raise Trouble(item)
        return item

    def collect() -> list[int]:
        out = []
        try:
            for result in Pool(size).in_order(work, range(items)):
                out.append(result)
        except Trouble:
            out.append(-1)
        return out

    with Door(seed, size) as door:
        expected = list(range(items)) if fails >= items else [*range(fails), -1]
        assert within_time(collect) == expected
        assert door.most_inside <= size


def test_items_are_taken_only_when_needed() -> None:
    taken = count()
    results = Pool(3).in_order(lambda item: item, (next(taken) for _ in range(100)))
    assert within_time(lambda: [next(results) for _ in range(5)]) == list(range(5))
    results.close()  # type: ignore[attr-defined]
    assert next(taken) <= 8


def test_lists_and_items_share_the_threads_without_a_deadlock() -> None:
    """Children are requested while later lists are prefetched."""
    pool = Pool(2)
    prefetcher = Prefetcher(pool)
    first, last = prefetcher.add(iter([page("a")] * 3)), prefetcher.add(iter([page("b")] * 200))

    def read() -> list[Any]:
        out = names(first)
        out += pool.in_order(lambda item: item, range(20))
        return out + names(last)

    assert within_time(read) == ["a"] * 3 + list(range(20)) + ["b"] * 200


# Interrupted runs


@pytest.mark.parametrize(
    ("path", "hangs", "number"),
    [
        ("/api/v2/persons", True, signal.SIGTERM),
        ("/api/v2/persons", False, signal.SIGINT),
        ("/api/v1/deals/1/changelog", True, signal.SIGINT),
        ("/api/v1/deals/1/changelog", False, signal.SIGTERM),
    ],
)
def test_an_interrupted_run_ends_at_once(
    tmp_path: Path, path: str, number: signal.Signals, hangs: bool
) -> None:
    """The run waits for an answer or for its next try; every line that it wrote is complete."""
    has_asked, is_over = threading.Event(), threading.Event()

    def stuck(request: Asked) -> Say | None:
        if request.path != path:
            return None
        has_asked.set()
        if hangs:
            is_over.wait(DEADLOCK_SECONDS)
        return say({"success": False}, 503, Retry_After="60")

    moved = "2026-11-02T00:00:00Z"
    deals = [{"id": id_, "stage_change_time": moved, "update_time": moved} for id_ in range(1, 9)]
    with fake(account({"/api/v2/deals": deals}, spoil=stuck)) as server:
        (tmp_path / "config.json").write_text(json.dumps({"api_url": server.url, "api_token": TOKEN}))
        tap = Path(sys.executable).with_name("tap-pipedrive")
        with (
            (tmp_path / "out").open("wb") as out,
            (tmp_path / "log").open("wb") as log,
            subprocess.Popen([tap, "--config", tmp_path / "config.json"], stdout=out, stderr=log) as process,
        ):
            assert has_asked.wait(DEADLOCK_SECONDS)
            asked = time.monotonic()
            process.send_signal(number)
            process.wait(DEADLOCK_SECONDS)
            took = time.monotonic() - asked
        is_over.set()
    said = (tmp_path / "log").read_text()
    assert process.returncode == 128 + number
    assert took < 4
    assert "Interrupted: the next run continues" in said
    assert "Traceback" not in said
    assert all(json.loads(line)["type"] for line in (tmp_path / "out").read_bytes().splitlines())


def test_a_run_leaves_no_threads() -> None:
    with fake(account({})) as server:
        before = set(threading.enumerate())
        run(server.url).good()
        left = [thread for thread in set(threading.enumerate()) - before if "_work" in thread.name]
    for thread in left:
        thread.join(DEADLOCK_SECONDS)
    assert not any(thread.is_alive() for thread in left)
