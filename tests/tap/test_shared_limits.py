# Over 400 lines: all tests use the same processes and the same Redis.
"""Limits that several processes share through Redis, and that each process keeps alone if Redis is away."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from pipedrive_sandbox.testing import Sandbox
from tap_pipedrive import shared
from tap_pipedrive.auth import ApiToken
from tap_pipedrive.client import Client
from tap_pipedrive.errors import BudgetSpent, Down, PipedriveError, Unavailable
from tap_pipedrive.ledger import Ledger
from tap_pipedrive.limits import Limits
from tap_pipedrive.shared import RedisStore

from .harness import Say, cost, discover, fake, request, run, say, select
from .valkey import PASSWORD, Valkey

TAP = str(Path(sys.executable).with_name("tap-pipedrive"))
TOKEN = "c0ffee5ecret70ken"


@pytest.fixture(scope="module")
def server() -> Iterator[Valkey]:
    with Valkey() as valkey:
        yield valkey


@pytest.fixture
def redis(server: Valkey) -> Valkey:
    """An empty Redis database."""
    server.client().flushall()
    return server


def client(sandbox: Sandbox, redis: Valkey, **limits: Any) -> Client:
    store = RedisStore(redis.url, sandbox.url, sandbox.token)
    return Client(ApiToken(sandbox.url, sandbox.token), Limits(store, **limits))


def in_redis(redis: Valkey) -> Ledger:
    (key,) = redis.client().keys()
    ledger: Ledger = shared._decode(redis.client().get(key))  # type: ignore[arg-type]
    return ledger


def redis_warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [line.getMessage() for line in caplog.records if "Redis" in line.getMessage()]


# Contents of Redis


def test_redis_holds_numbers_under_a_hash_for_an_hour(redis: Valkey) -> None:
    with Sandbox(deals=50, tokens=[TOKEN]) as sandbox:
        catalog = select(discover(sandbox.url, api_token=TOKEN), "users", "deals")
        run(sandbox.url, token=TOKEN, catalog=catalog, redis_url=redis.url).good()
        (key,) = redis.client().keys()
        text = redis.client().get(key)
        assert isinstance(text, bytes)
        assert isinstance(key, bytes)
        assert key.startswith(b"tap-pipedrive:ledger:")
        assert len(key) == len("tap-pipedrive:ledger:") + 32
        assert 3_000 < redis.client().ttl(key) <= 3_600
        for secret in (TOKEN, sandbox.url, PASSWORD):
            assert secret not in f"{key!r} {text!r}"
    found = json.loads(text)
    assert found.pop("failing") == []
    for value in found.values():
        numbers = value.values() if isinstance(value, dict) else [value]
        assert all(number is None or isinstance(number, int | float) for number in numbers)


def test_other_tokens_and_hosts_have_their_own_limits(redis: Valkey) -> None:
    for host, token in [("https://a.example", "x"), ("https://b.example", "x"), ("https://a.example", "y")]:
        with Limits(RedisStore(redis.url, host, token)).request(*cost("/api/v2/stages")):
            pass
    assert len(redis.client().keys()) == 3


@pytest.mark.parametrize("text", [b"", b"null", b"{", b'{"burst":"many"}', b"\xff", b"[]"])
def test_foreign_data_in_redis_is_replaced(redis: Valkey, text: bytes) -> None:
    store = RedisStore(redis.url, "https://a.example", "x")
    redis.client().set(store._key, text)
    with Limits(store).request(*cost("/api/v2/stages")):
        pass
    assert in_redis(redis).reserved == 5


# With several processes


def test_threads_of_several_clients_never_exceed_the_window(redis: Valkey) -> None:
    """The test sends three windows' worth of requests in real time, because Redis's clock cannot be moved."""
    with Sandbox(deals=50, burst=40) as sandbox:
        clients = [client(sandbox, redis) for _ in range(3)]
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(lambda number: clients[number % 3].get(request("/api/v2/stages")), range(120)))
        statuses = Counter(seen["status"] for seen in sandbox.requests())
    assert statuses == {200: 120}


def test_a_window_learned_by_one_client_is_used_by_all(redis: Valkey) -> None:
    with Sandbox(deals=50, burst=120) as sandbox:
        client(sandbox, redis).get(request("/api/v2/stages"))
        other = client(sandbox, redis)
        with other.limits.request(*cost("/api/v2/stages")):
            assert other.limits.ledger.burst == 120


@pytest.mark.parametrize("headers", [True, False], ids=["headers", "first only"])
def test_the_daily_share_is_kept_by_all_clients_together(redis: Valkey, headers: bool) -> None:
    """This holds even if Pipedrive sends headers only once, and to one client only."""
    day, spent, lock = 1_000, [0], threading.Lock()

    def script(asked: Any) -> Any:
        with lock:
            spent[0] += 10
            left = day - spent[0]
        time.sleep(0.01 * (asked.number % 3))  # answers arrive in another order than requests
        told = {"x-daily-ratelimit-token-limit": str(day), "x-daily-ratelimit-token-remaining": str(left)}
        return Say(headers={"x-ratelimit-limit": "1000"} | (told if headers or asked.number == 0 else {}))

    def spend(one: Client) -> None:
        with suppress(BudgetSpent):
            for _ in range(200):
                one.get(request("/api/v2/deals"))

    with fake(script) as server:
        clients = [
            Client(
                ApiToken(server.url, "x"),
                Limits(RedisStore(redis.url, server.url, "x"), daily_token_share=0.5),
            )
            for _ in range(2)
        ]
        clients[0].get(request("/api/v2/deals"))
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(spend, clients * 3))
    assert 400 <= spent[0] <= 500 + 10, "each run's first request may always be sent"


def test_the_breaker_of_one_client_stops_the_other(redis: Valkey, sleeps: list[float]) -> None:
    with fake([say({}, 503)]) as server:
        stores = [RedisStore(redis.url, server.url, "x") for _ in range(2)]
        one, other = (Client(ApiToken(server.url, "x"), Limits(store)) for store in stores)
        for endpoint in ("/api/v2/pipelines", "/api/v2/stages"):
            with pytest.raises((Unavailable, Down)):
                one.get(request(endpoint))
        asked = len(server.asked)
        with pytest.raises(Unavailable, match="nothing is sent"):
            other.get(request("/api/v2/stages"))
        assert len(server.asked) == asked <= 12
        assert one.limits.breaker_openings == 1
    (key,) = redis.client().keys()
    ledger = in_redis(redis)
    ledger.open_until = 0
    redis.client().set(key, shared._encode(ledger))
    with fake([say({"data": []})]) as server:
        other._auth = ApiToken(server.url, "x")
        other.get(request("/api/v2/stages"))
    assert in_redis(redis).failures == 0


def start(folder: Path, name: str, **settings: Any) -> subprocess.Popen[str]:
    """Start a tap as a process of its own."""
    config = folder / f"{name}.json"
    config.write_text(json.dumps(settings))
    with (folder / f"{name}.out").open("w") as out:
        return subprocess.Popen([TAP, "--config", str(config)], stdout=out, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("faults", [False, True], ids=["a good day", "a bad day"])
def test_two_taps_at_once_keep_the_limits(redis: Valkey, tmp_path: Path, faults: bool) -> None:
    """Both read everything; Pipedrive refuses no request, and the daily share is not exceeded."""
    with Sandbox(deals=60, burst=40, tokens=[TOKEN], daily_budget=30_000) as sandbox:
        if faults:
            for number, kind in enumerate(("reset", "status", "truncate", "null")):
                sandbox.post("/sandbox/faults", {"kind": kind, "at": [7 + 9 * number, 60 + 7 * number]})
        names = ("a", "b")
        taps = [
            start(tmp_path, name, api_url=sandbox.url, api_token=TOKEN, redis_url=redis.url, history="none")
            for name in names
        ]
        said = [tap.communicate(timeout=180)[1] for tap in taps]
        assert [tap.returncode for tap in taps] == [0, 0], said
        statuses = Counter(seen["status"] for seen in sandbox.requests())
        expected = {entity: len(sandbox.truth(entity)) for entity in ("deals", "notes", "activities")}
    assert set(statuses) <= ({200, 500, 0} if faults else {200})
    for name in names:
        records = Counter(
            json.loads(line)["stream"]
            for line in (tmp_path / f"{name}.out").read_text().splitlines()
            if '"RECORD"' in line
        )
        assert {entity: records[entity] for entity in expected} == expected
    for text in said:
        assert TOKEN not in text
        assert PASSWORD not in text


# If Redis fails


def test_a_missing_redis_causes_one_warning_and_a_complete_run(
    living: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    url = f"redis://user:{PASSWORD}@127.0.0.1:1/0"
    began = time.monotonic()
    done = run(living.url, redis_url=url, history="none").good()
    assert time.monotonic() - began < 20
    assert done.records("deals")
    assert len(redis_warnings(caplog)) == 1
    assert PASSWORD not in caplog.text


def test_a_redis_that_does_not_answer_is_waited_for_once(
    living: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=50) as deaf:
        port = deaf.getsockname()[1]
        began = time.monotonic()
        one = Client(
            ApiToken(living.url, living.token),
            Limits(RedisStore(f"redis://127.0.0.1:{port}", living.url, living.token)),
        )
        for _ in range(20):
            one.get(request("/api/v2/stages"))
    assert time.monotonic() - began < 2
    assert len(redis_warnings(caplog)) == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"-NOAUTH Authentication required.\r\n" * 9,
        b"$-1\r\n$4\r\nlate\r\n",  # instead of a time
        b"$-1\r\n*1\r\n$1\r\n5\r\n",
        b"$-1\r\n*2\r\n$1\r\nx\r\n$1\r\ny\r\n",
        b"$-1\r\n*2\r\n$400\r\n" + b"9" * 400 + b"\r\n$1\r\n0\r\n",
        b"*1\r\n$1\r\nx\r\n*2\r\n$10\r\n1700000000\r\n$1\r\n0\r\n",  # a list instead of a text
        b"*1\r\n" * 5_000,
    ],
)
def test_a_server_other_than_redis_is_ignored(
    living: Sandbox, caplog: pytest.LogCaptureFixture, answer: bytes
) -> None:

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(1000)
            self.request.sendall(answer)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as wrong:
        threading.Thread(target=wrong.serve_forever, daemon=True).start()
        url = f"redis://127.0.0.1:{wrong.server_address[1]}"
        one = Client(ApiToken(living.url, living.token), Limits(RedisStore(url, living.url, living.token)))
        for _ in range(5):
            one.get(request("/api/v2/stages"))
        wrong.shutdown()
    assert len(redis_warnings(caplog)) == 1


def test_a_wrong_redis_password_is_a_warning_that_does_not_show_it(
    living: Sandbox, redis: Valkey, caplog: pytest.LogCaptureFixture
) -> None:
    url = redis.url.replace(PASSWORD, "wr0ng-one")
    one = Client(ApiToken(living.url, living.token), Limits(RedisStore(url, living.url, living.token)))
    one.get(request("/api/v2/stages"))
    assert len(redis_warnings(caplog)) == 1
    assert "wr0ng-one" not in caplog.text


def test_a_redis_killed_during_a_run_is_used_again_when_it_is_back(
    living: Sandbox, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared, "AWAY_SECONDS", 0.2)
    with Valkey() as redis, Sandbox(deals=50, burst=30) as sandbox:
        one = client(sandbox, redis, daily_token_share=0.5)
        for number in range(90):
            if number == 20:
                redis.kill()
            if number == 50:
                redis.start()
                known = one.limits.ledger
            one.get(request("/api/v2/stages"))
        assert in_redis(redis).reserved == 90 * 5 > known.reserved, (
            "Redis receives the spending that it missed"
        )
        statuses = Counter(seen["status"] for seen in sandbox.requests())
    assert statuses == {200: 90}
    assert len(redis_warnings(caplog)) == 1


def test_a_slow_redis_is_not_waited_for(living: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    """The process is stopped, as on a busy host: it accepts connections but does not answer."""
    with Valkey() as redis:
        one = client(living, redis)
        for number in range(30):
            if number == 10:
                os.kill(redis._process.pid, signal.SIGSTOP)
                began = time.monotonic()
            one.get(request("/api/v2/stages"))
        took = time.monotonic() - began
        os.kill(redis._process.pid, signal.SIGCONT)
    assert took < 5
    assert len(redis_warnings(caplog)) == 1


def test_two_taps_complete_after_their_redis_is_killed(tmp_path: Path) -> None:
    with Valkey() as redis, Sandbox(deals=60, burst=20, tokens=[TOKEN]) as sandbox:
        taps = [
            start(tmp_path, name, api_url=sandbox.url, api_token=TOKEN, redis_url=redis.url, history="none")
            for name in "ab"
        ]
        while len(sandbox.requests()) < 12:
            time.sleep(0.05)
        redis.kill()
        said = [tap.communicate(timeout=180)[1] for tap in taps]
        assert [tap.returncode for tap in taps] == [0, 0], said
        statuses = Counter(seen["status"] for seen in sandbox.requests())
    assert set(statuses) <= {200, 429}, "no firewall"
    assert [text.count("Redis at") for text in said] == [1, 1]
    assert not any(secret in text for text in said for secret in (TOKEN, PASSWORD))


# Settings


@pytest.mark.parametrize(
    "url",
    ["localhost:6379", "http://localhost", "redis://", "redis://h:port", "redis://h:99999", "unix://", "x"],
)
def test_a_wrong_redis_url_is_reported_without_its_password(url: str) -> None:
    problem = run("http://127.0.0.1:1", redis_url=url).error
    assert isinstance(problem, PipedriveError)
    assert str(problem) == "Setting redis_url: is not an address like redis://localhost:6379."


@pytest.mark.parametrize("option", ["db=many", "nonsense=1", "socket_timeout=x", "protocol=9"])
def test_wrong_options_of_redis_are_reported(option: str) -> None:
    problem = run("http://127.0.0.1:1", redis_url=f"redis://:{PASSWORD}@127.0.0.1:1/0?{option}").error
    assert isinstance(problem, PipedriveError)
    assert "redis_url" in str(problem)
    assert PASSWORD not in str(problem)


@pytest.mark.parametrize(
    "option", ["ssl_cert_reqs=bogus", "ssl_cert_reqs=9", "encoding=x", "credential_provider=1"]
)
def test_wrong_options_of_an_encrypted_redis_are_reported(option: str) -> None:
    problem = run("http://127.0.0.1:1", redis_url=f"rediss://:{PASSWORD}@127.0.0.1:1/0?{option}").error
    assert str(problem) == "Setting redis_url has options that Redis does not know: correct it."


def test_a_redis_client_that_returns_texts_works(redis: Valkey, living: Sandbox) -> None:
    store = RedisStore(f"{redis.url}?decode_responses=true", living.url, living.token)
    one = Client(ApiToken(living.url, living.token), Limits(store))
    for _ in range(3):
        one.get(request("/api/v2/stages"))
    assert in_redis(redis).settled == 15


# Inconsistent ledgers

POISON: list[dict[str, Any]] = [
    {"reserved": 10**18},
    {"reserved": 10**18, "settled": 10**18},
    {"reserved": 50_000},
    {"settled": 5},
    {"mark": 5},
    {"failures": 5, "open_until": 4e9},
    {"failures": -1},
    {"window_seen": 4e9, "others": 19},
    {"others": 10**12},
    {"burst": 0},
    {"burst": -5},
    {"limit": 10, "left": -(10**9), "remaining": 0},
    {"limit": -5},
    {"limit": 100, "left": 10**12},
    {"number": -1},
    {"slots": dict.fromkeys(range(200_000), 0.0)},
]


@pytest.mark.parametrize("poison", POISON, ids=lambda poison: str(poison)[:40])
def test_an_inconsistent_ledger_is_discarded(
    redis: Valkey, living: Sandbox, poison: dict[str, Any], sleeps: list[float]
) -> None:
    store = RedisStore(redis.url, living.url, living.token)
    redis.client().set(store._key, json.dumps(poison))
    one = Client(ApiToken(living.url, living.token), Limits(store, daily_token_share=0.5))
    for _ in range(3):
        assert one.get(request("/api/v2/stages")).data
    assert sum(sleeps) < 5
    ledger = in_redis(redis)
    assert (ledger.reserved, ledger.settled) == (15, 15)


@pytest.mark.parametrize("seconds", [-86_400, 86_400])
@pytest.mark.parametrize("at", [1, 3])
def test_a_clock_that_is_set_back_blocks_no_request(
    monkeypatch: pytest.MonkeyPatch, sleeps: list[float], seconds: int, at: int
) -> None:
    """The ledger is in memory; the clock moves between two requests or during one."""
    shift = [0]
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + shift[0])
    limits = Limits(daily_token_share=0.9)
    headers = {"x-daily-ratelimit-token-limit": "1000", "x-daily-ratelimit-token-remaining": "900"}
    for number in range(6):
        with limits.request(*cost("/api/v2/stages")) as exchange:
            if number == at:
                shift[0] = seconds
            exchange.answered(200, headers)
    assert sum(sleeps) < 10
    assert limits.ledger.left is not None
    assert limits.ledger.left <= 900
    assert limits.ledger.settled <= limits.ledger.reserved


def test_a_missing_redis_package_is_reported_with_its_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    problem = run("http://127.0.0.1:1", redis_url="redis://localhost").error
    assert "pip install 'tap-pipedrive-warehouse[redis]'" in str(problem)


def test_the_redis_package_is_not_imported_without_redis_url() -> None:
    code = "import sys, tap_pipedrive.tap; sys.exit('redis' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_steps_of_many_processes_are_all_counted(redis: Valkey) -> None:
    """Ten stores act as ten processes would."""
    stores = [RedisStore(redis.url, "https://a.example", "x") for _ in range(10)]

    def count(ledger: Ledger, _: float) -> None:
        ledger.reserved += 1

    def step(number: int) -> None:
        stores[number % 10].step(count)

    with ThreadPoolExecutor(10) as pool:
        list(pool.map(step, range(1_000)))
    assert in_redis(redis).reserved == 1_000


@pytest.mark.parametrize("problem", [BudgetSpent("x"), KeyboardInterrupt()], ids=["spent", "interrupt"])
def test_a_step_that_raises_leaves_redis_unchanged(redis: Valkey, problem: BaseException) -> None:
    store = RedisStore(redis.url, "https://a.example", "x")

    def fail(ledger: Ledger, _: float) -> None:
        ledger.reserved += 1
        raise problem

    with pytest.raises(type(problem)):
        store.step(fail)
    assert redis.client().keys() == []


def test_the_log_of_a_whole_run_contains_no_password(
    living: Sandbox, redis: Valkey, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    run(living.url, redis_url=redis.url, history="none").good()
    assert caplog.records
    assert PASSWORD not in caplog.text
