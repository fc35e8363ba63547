"""Where the ledger of a token is kept: in memory, or in Redis for all processes that use the token.

A run does not depend on Redis: without it, it continues with the ledger that it saw last.
"""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import unquote, urlsplit

import msgspec

from tap_pipedrive.errors import PipedriveError
from tap_pipedrive.ledger import Ledger
from tap_pipedrive.masking import hide

if TYPE_CHECKING:
    import redis

TIMEOUT_SECONDS = 0.5
"""Timeout of a connection to Redis and of each of its answers; a Redis that is further away is of no use."""

SLOW_SECONDS = 1.0
"""A step that takes longer than this counts as failed, too."""

AWAY_SECONDS = 60.0
"""How long a Redis that failed is not asked."""

IDLE_SECONDS = 3600
"""Redis forgets a ledger that nobody used for this long; the next run learns the limits from its first answer."""

_CONTESTS = 100
"""How often other processes may be faster before a step fails."""

_SWAP = """
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return 1
"""
"""Replaces the ledger, unless another process has replaced it."""

LATEST = 10**11
"""Seconds since 1970 that a clock may show."""

Step = TypeVar("Step")
Answer = TypeVar("Answer")
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Ledger).decode

logger = logging.getLogger("tap-pipedrive")


class MemoryStore:
    """A ledger in memory, safe to share between threads."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        """The ledger after the last step."""
        self._lock = threading.Lock()

    def step(self, change: Callable[[Ledger, float], Step]) -> Step:
        """Change the ledger by a function of the ledger and the time. An error leaves it unchanged."""
        with self._lock:
            return self._step_in_memory(change, time.time())

    def _step_in_memory(self, change: Callable[[Ledger, float], Step], now: float) -> Step:
        if not self.ledger.is_plausible(now):
            self.ledger = Ledger()
        return change(self.ledger, now)


def name_of(host: str, token: str) -> str:
    """Return a name for what processes with one token share: a hash, which does not give the token away."""
    return sha256(f"{host} {token}".encode()).hexdigest()[:32]


def connect(url: str) -> "redis.Redis":
    """Return a client that gives up soon, and connects when it is first asked. Raises PipedriveError when the
    package for Redis is not installed, or does not know an option in the address."""
    password = urlsplit(url).password
    hide(password, password and unquote(password))
    try:
        import redis  # noqa: PLC0415  (an extra)
        from redis.backoff import NoBackoff  # noqa: PLC0415
        from redis.retry import Retry  # noqa: PLC0415
    except ImportError:
        raise PipedriveError(
            "redis_url is set, but its package is missing: pip install 'tap-pipedrive-warehouse[redis]'."
        ) from None
    try:
        client = redis.Redis.from_url(
            url,
            socket_timeout=TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        client.connection_pool.make_connection()  # reads the options, and does not connect yet
        client.get_encoder().encode("")  # type: ignore[no-untyped-call]  # likewise
    except Exception:  # noqa: BLE001  of many kinds, whose texts may hold the password
        raise PipedriveError("Setting redis_url has options that Redis does not know: correct it.") from None
    return client


class _Failed(Exception):
    """Redis, or the way to it, does not do what it should."""


class RedisStore(MemoryStore):
    """A ledger in Redis, by the clock of Redis. When Redis fails, a warning says so, and steps are done in
    memory. Raises PipedriveError when the package for Redis is not installed."""

    def __init__(self, url: str, host: str, token: str) -> None:
        super().__init__()
        self._redis = connect(url)
        self._swap = self._redis.register_script(_SWAP)
        self._key = f"tap-pipedrive:ledger:{name_of(host, token)}"
        self._name = urlsplit(url).hostname or "its socket"
        self._ahead = 0.0  # seconds that its clock is ahead of ours
        self._away_until = 0.0
        self._has_warned = False

    def step(self, change: Callable[[Ledger, float], Step]) -> Step:
        """Change the ledger in Redis, or the last one seen where Redis fails."""
        with self._lock:
            if time.monotonic() >= self._away_until:
                began = time.monotonic()
                try:
                    done = self._step_in_redis(change)
                except _Failed as error:
                    self._back_off(str(error))
                else:
                    if time.monotonic() - began > SLOW_SECONDS:
                        self._back_off("too slow")
                    return done
            return self._step_in_memory(change, time.time() + self._ahead)

    def _step_in_redis(self, change: Callable[[Ledger, float], Step]) -> Step:
        for _ in range(_CONTESTS):
            before, now = self._asked(self._read)
            self._ahead = now - time.time()
            ledger = self._ledger(before, now)
            done = change(ledger, now)
            after = _encode(ledger)
            arguments: list[bytes | int] = [before or b"", after, IDLE_SECONDS]
            if after == before or self._asked(partial(self._swap, [self._key], arguments)):
                self.ledger = ledger
                return done
        raise _Failed("too many processes at once")

    def _asked(self, call: Callable[[], Answer]) -> Answer:
        """Return what Redis answers. Raises _Failed whatever is wrong with it, or with an option of its address
        that is only noticed now."""
        try:
            return call()
        except Exception as error:  # noqa: BLE001  the package raises many kinds, and a run does not depend on it
            raise _Failed(type(error).__name__) from None

    def _read(self) -> tuple[bytes | None, float]:
        """Return the text of the ledger, and the seconds since 1970 by Redis."""
        pipe = self._redis.pipeline(transaction=False)
        pipe.get(self._key)
        pipe.time()
        before, (seconds, microseconds) = pipe.execute()
        now = float(seconds + microseconds / 1e6)
        if not isinstance(before, bytes | str | None) or not 0 <= now < LATEST:
            raise ValueError
        return before.encode() if isinstance(before, str) else before, now

    def _ledger(self, text: bytes | None, now: float) -> Ledger:
        """Return the ledger in Redis; ours if Redis has none, as after a restart, or one that cannot be true."""
        for candidate in text, _encode(self.ledger):
            with suppress(msgspec.DecodeError):
                ledger = _decode(candidate or b"")
                if ledger.is_plausible(now):
                    return ledger
        return Ledger()

    def _back_off(self, reason: str) -> None:
        self._away_until = time.monotonic() + AWAY_SECONDS
        if not self._has_warned:
            self._has_warned = True
            logger.warning(
                "Redis at %s fails (%s): this process keeps the limits by itself until Redis is back; other "
                "processes with the same token do not see its requests meanwhile.",
                self._name,
                reason,
            )
