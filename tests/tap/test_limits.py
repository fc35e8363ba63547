# Over 400 lines: rate limit and circuit breaker are tested with the same simulated clock.
"""The burst limit and the circuit breaker: in one thread, in many, beside other clients, with a failing host."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any

import pytest
from pipedrive_sandbox.testing import Sandbox
from tap_pipedrive.auth import ApiToken
from tap_pipedrive.client import Client
from tap_pipedrive.errors import Down, PipedriveError, TryAgain, Unavailable
from tap_pipedrive.ledger import DEFAULT_BURST, FAILURES_TO_OPEN, OPEN_SECONDS, Ledger, Permit
from tap_pipedrive.limits import Limits

from .harness import RESET, Asked, Say, cost, fake, request, say

THREADS = 6
GOOD = say({"success": True, "data": []})


def client(url: str, token: str = "sandbox-token") -> Client:
    return Client(ApiToken(url, token))


def get(one: Client) -> Any:
    return one.get(request("/api/v2/stages"))


# The rate-limit window, with a clock that moves only by sleeping


@pytest.fixture
def passing(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that only sleeping moves; the one element of the list is its present value."""
    now = [1_000_000.0]
    monkeypatch.setattr(time, "time", lambda: now[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    return now


@pytest.mark.parametrize(
    "sizes",
    [[20], [40], [5], [1], [100], [480], [20, 40], [40, 20], [100, 5], [120, 1, 120], [10, 20, 10, 40]],
    ids=lambda sizes: "-".join(map(str, sizes)),
)
def test_the_window_never_has_more_requests_than_the_server_allows(
    sizes: list[int], passing: list[float]
) -> None:
    """The limit changes while requests are made, as after a change of the plan."""
    limits = Limits()
    sent: list[float] = []
    told = DEFAULT_BURST
    for size in sizes:
        for _ in range(150):
            with limits.request(*cost("/api/v2/stages")) as exchange:
                sent.append(passing[0])
                assert len([moment for moment in sent if moment > passing[0] - 2]) <= told
                exchange.answered(200, {"x-ratelimit-limit": str(size)})
            told = size
    assert sent[-1] - sent[0] <= 2.2 * sum(150 / size + 1 for size in sizes), "slower than necessary"


def test_a_clock_that_is_set_back_blocks_no_request(passing: list[float]) -> None:
    limits = Limits()
    for step in range(100):
        with limits.request(*cost("/api/v2/stages")):
            passing[0] -= 3_600 * (step == 50)
    assert passing[0] < 1_000_000 - 3_600 + 30


@pytest.mark.parametrize("size", ["", "0", "-1", "many", "20.5", "\xb2", "9" * 5_000, "1e3", " 20"])
@pytest.mark.parametrize("left", ["", "-1", "?", "9" * 5_000, "21"])
def test_nonsense_in_headers_is_ignored(size: str, left: str, passing: list[float]) -> None:
    limits = Limits()
    for _ in range(100):
        with limits.request(*cost("/api/v2/stages")) as exchange:
            exchange.answered(200, {"x-ratelimit-limit": size, "x-ratelimit-remaining": left})
    assert limits.ledger.burst == DEFAULT_BURST
    assert passing[0] - 1_000_000 < 11


# The window against the sandbox, which refuses requests and locks the token out after ten refusals


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> Callable[[Sandbox], None]:
    """Advance time by sleeping, for tap and sandbox alike, but never while a request is in flight."""
    ahead = [0.0]
    really, on_their_way, idle = time.time, [0], threading.Condition()
    admit, settle = Ledger.admit, Ledger.settle

    def counted_admit(ledger: Ledger, _: float, *args: Any, **kwargs: Any) -> Permit | float:
        with idle:
            ticket = admit(ledger, time.time(), *args, **kwargs)
            on_their_way[0] += isinstance(ticket, Permit)
            return ticket

    def counted_settle(*args: Any, **kwargs: Any) -> bool:
        with idle:
            on_their_way[0] -= 1
            idle.notify_all()
            return settle(*args, **kwargs)

    def with_sandbox(sandbox: Sandbox) -> None:
        def sleep(seconds: float) -> None:
            until = time.time() + seconds
            with idle:
                idle.wait_for(lambda: not on_their_way[0])
                if (left := until - time.time()) > 0:  # others may have slept at the same time
                    sandbox.post("/sandbox/clock", {"advance_seconds": left})
                    ahead[0] += left

        monkeypatch.setattr(time, "time", lambda: really() + ahead[0])
        monkeypatch.setattr(time, "sleep", sleep)
        monkeypatch.setattr(Ledger, "admit", counted_admit)
        monkeypatch.setattr(Ledger, "settle", counted_settle)

    return with_sandbox


def statuses(sandbox: Sandbox) -> Counter[int]:
    return Counter(seen["status"] for seen in sandbox.requests())


@pytest.mark.parametrize("threads", [1, THREADS])
@pytest.mark.parametrize("burst", [1, 5, 20, 30, 120, 0])
def test_the_sandbox_never_has_to_refuse_a_request(
    burst: int, threads: int, hurry: Callable[[Sandbox], None]
) -> None:
    number = 20 if burst == 1 else 150
    with Sandbox(deals=50, burst=burst) as sandbox:
        hurry(sandbox)
        one = client(sandbox.url)
        began = time.time()
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda _: get(one), range(number)))
        took = time.time() - began
        assert statuses(sandbox) == {200: number}
    assert took <= 2.2 * (number // (burst or number) + 1) + 2, "the larger window is used"


def test_a_window_that_shrinks_refuses_only_requests_in_flight(
    hurry: Callable[[Sandbox], None],
) -> None:
    with Sandbox(deals=50, burst=120) as sandbox:
        hurry(sandbox)
        one = client(sandbox.url)

        def step(number: int) -> None:
            if number == 100:
                sandbox._server._windows[sandbox.token]._size = 5
            get(one)

        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(step, range(150)))
        seen = statuses(sandbox)
    assert seen[200] == 150
    assert seen[429] <= THREADS
    assert set(seen) <= {200, 429}


@pytest.mark.parametrize("threads", [4, 32])
def test_the_tap_leaves_room_for_another_client_of_the_same_token(
    threads: int, hurry: Callable[[Sandbox], None]
) -> None:
    """The two clients know about each other only from the headers."""
    with Sandbox(deals=50, burst=20) as sandbox:
        hurry(sandbox)
        both = [client(sandbox.url), client(sandbox.url)]
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda number: get(both[number % 2]), range(300)))
        seen = statuses(sandbox)
    assert seen[200] == 300
    assert seen[429] <= 300 / 20 * min(threads, 10), "requests in flight when the window fills up"
    assert set(seen) <= {200, 429}


def test_a_request_occupies_its_place_until_its_answer_is_two_seconds_old(passing: list[float]) -> None:
    """Its time of arrival is unknown and may be just before the answer."""
    limits = Limits()
    with limits.request(*cost("/api/v2/stages")) as exchange:
        passing[0] += 1.5
        exchange.answered(200, {"x-ratelimit-limit": "1"})
    answered = passing[0]
    with limits.request(*cost("/api/v2/stages")):
        assert passing[0] - answered == pytest.approx(2.05)


def test_places_of_a_killed_process_are_released(passing: list[float]) -> None:
    limits = Limits()
    for _ in range(25):
        limits._is_known, limits._in_flight = True, 0
        limits._admit(5)
    assert passing[0] - 1_000_000 < 10


def test_the_first_request_is_sent_alone() -> None:
    """Only its answer tells how many requests may be sent at once."""
    on_their_way, most = [0], [0]

    def script(asked: Asked) -> Say:
        on_their_way[0] += 1
        most[0] = max(most[0], on_their_way[0] if asked.number == 0 else 0)
        threading.Event().wait(0.1 if asked.number == 0 else 0)
        most[0] = max(most[0], on_their_way[0] if asked.number == 0 else 0)
        on_their_way[0] -= 1
        return GOOD

    with fake(script) as server, ThreadPoolExecutor(4) as pool:
        one = client(server.url)
        list(pool.map(lambda _: get(one), range(8)))
    assert most == [1]


# The circuit breaker


class Host:
    """A host that is up or down, with the times of its requests."""

    def __init__(self, now: list[float]) -> None:
        self.is_up = False
        self.asked: list[float] = []
        self._now = now

    def __call__(self, asked: Asked) -> Say | str:
        self.asked.append(self._now[0])
        return GOOD if self.is_up else say({}, 503)


@pytest.fixture
def host(passing: list[float]) -> Iterator[tuple[Host, Client]]:
    host = Host(passing)
    with fake(host) as server:
        yield host, not_the_first_to_fail(client(server.url))


def not_the_first_to_fail(one: Client) -> Client:
    """Return a client that knows that another endpoint fails."""
    one.limits.ledger.failing = ["/api/v2/pipelines"]
    return one


def test_five_failures_in_a_row_open_the_breaker_for_a_minute(
    host: tuple[Host, Client], passing: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    it, one = host
    with pytest.raises(Unavailable):
        get(one)
    assert len(it.asked) == FAILURES_TO_OPEN
    it.is_up = True
    began = passing[0]
    get(one)
    assert OPEN_SECONDS - 1 < passing[0] - began < OPEN_SECONDS + 1
    assert len(it.asked) == FAILURES_TO_OPEN + 1
    get(one)
    assert passing[0] - began < OPEN_SECONDS + 1, "closed again"
    assert one.limits.breaker_openings == 1
    waits = [line.getMessage() for line in caplog.records if "nothing is sent" in line.getMessage()]
    assert waits == [
        "5 requests in a row failed: nothing is sent for 60 s.",
        "GET /api/v2/stages: nothing is sent after 5 failures in a row; trying again in 60.0 s",
    ]


def test_a_failing_trial_opens_the_breaker_again(host: tuple[Host, Client], passing: list[float]) -> None:
    it, one = host
    for _ in range(2):
        with pytest.raises(Unavailable):
            get(one)
    trials = it.asked[FAILURES_TO_OPEN:]
    assert len(trials) == 2
    assert trials[1] - trials[0] > OPEN_SECONDS - 1
    assert one.limits.breaker_openings == 3


def test_failures_with_a_success_between_them_do_not_open_it(host: tuple[Host, Client]) -> None:
    it, one = host
    for _ in range(FAILURES_TO_OPEN):
        for up in (False, True):
            it.is_up = up
            with nullcontext() if up else pytest.raises(TryAgain):
                one._try(request("/api/v2/stages"))
    assert one.limits.breaker_openings == 0


UNUSABLE: list[Say | str] = [RESET, say({}, 500), Say(502, b"<html>"), Say(body=b"null"), Say(body=b"<html>")]


@pytest.mark.parametrize("answer", UNUSABLE, ids=["reset", "500", "502", "null", "html"])
def test_failures_that_count(answer: Say | str, passing: list[float]) -> None:
    with fake([answer]) as server, pytest.raises(Unavailable):
        get(one := not_the_first_to_fail(client(server.url)))
    assert one.limits.breaker_openings == 1


def test_one_endpoint_that_always_fails_does_not_block_the_others(passing: list[float]) -> None:
    """Neither do two, because an endpoint that has answered before is tried between them."""
    broken = {"/api/v2/stages", "/api/v2/pipelines"}
    with fake(lambda asked: say({}, 503) if asked.path in broken else GOOD) as server:
        one = client(server.url)
        one.get(request("/api/v2/deals"))
        began = passing[0]
        for endpoint in sorted(broken) * 2:
            with pytest.raises(Unavailable):
                one.get(request(endpoint))
            one.get(request("/api/v2/persons"))
    assert one.limits.breaker_openings == 0
    assert passing[0] - began < 2 * OPEN_SECONDS


@pytest.mark.parametrize("answered_before", [True, False])
def test_a_host_that_stops_answering_ends_the_run(passing: list[float], answered_before: bool) -> None:
    is_up = answered_before
    with fake(lambda _: GOOD if is_up else say({}, 503)) as server:
        one = client(server.url)
        if answered_before:
            one.get(request("/api/v2/deals"))
        is_up = False
        if not answered_before:
            with pytest.raises(Unavailable):
                one.get(request("/api/v2/deals"))
        with pytest.raises(Down, match="failed 5 times"):
            get(one)
        asked = len(server.asked)
        with pytest.raises(Down):
            one.get(request("/api/v2/persons"))
        assert len(server.asked) == asked <= 15
    assert one.limits.breaker_openings > 0


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 410, 422, 429])
def test_refusals_are_not_counted_as_failures(status: int, passing: list[float]) -> None:
    with fake([say({"error": "No"}, status)]) as server:
        one = client(server.url)
        for _ in range(FAILURES_TO_OPEN):
            with pytest.raises(PipedriveError):
                get(one)
    assert one.limits.breaker_openings == 0


def test_threads_do_not_flood_a_host_that_is_down(host: tuple[Host, Client]) -> None:
    it, one = host
    with ThreadPoolExecutor(8) as pool:
        ends = [pool.submit(get, one) for _ in range(8)]
        assert all(isinstance(end.exception(), Unavailable) for end in ends)
    minutes = (it.asked[-1] - it.asked[FAILURES_TO_OPEN - 1]) / (OPEN_SECONDS - 1)
    assert len(it.asked) <= FAILURES_TO_OPEN + 8 + minutes, (
        "requests in flight when it opened, then one a minute"
    )


def test_threads_wait_for_the_outcome_of_one_trial(host: tuple[Host, Client], passing: list[float]) -> None:
    it, one = host
    with pytest.raises(Unavailable):
        get(one)
    passing[0] += OPEN_SECONDS
    it.is_up = True
    before = len(it.asked)
    with one.limits.request(*cost("/api/v2/stages")) as trial:
        for _ in range(3):
            with pytest.raises(TryAgain, match="nothing is sent"):
                one._try(request("/api/v2/stages"))
        assert len(it.asked) == before
        trial.answered(200, {})
    get(one)
    assert len(it.asked) == before + 1


def test_a_trial_that_never_ends_is_followed_by_another(
    host: tuple[Host, Client], passing: list[float]
) -> None:
    """Its process may have been killed while other processes share the breaker."""
    it, one = host
    with pytest.raises(Unavailable):
        get(one)
    it.is_up = True
    passing[0] += OPEN_SECONDS
    one.limits._admit(5)
    passing[0] += OPEN_SECONDS
    get(one)


def test_an_interrupted_request_does_not_count_as_success_or_failure(passing: list[float]) -> None:
    limits = Limits()
    for _ in range(2 * FAILURES_TO_OPEN):
        with pytest.raises(KeyboardInterrupt), limits.request(*cost("/api/v2/stages")):
            raise KeyboardInterrupt
    assert limits.breaker_openings == 0


def test_each_opening_is_logged_once(host: tuple[Host, Client], caplog: pytest.LogCaptureFixture) -> None:
    _, one = host
    with pytest.raises(Unavailable):
        get(one)
    opened = [line for line in caplog.records if "requests in a row failed" in line.getMessage()]
    assert [line.levelno for line in opened] == [logging.WARNING]
