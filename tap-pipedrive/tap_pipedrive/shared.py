"""Where the ledger of a token is kept: in memory, or in Redis for all processes that use the token.

Redis is a help, never a condition: without it a run goes on with what it knew last.
"""

import logging
import threading
import time
from collections.abc import Callable
from hashlib import sha256
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec

from tap_pipedrive.errors import PipedriveError
from tap_pipedrive.ledger import Ledger

TIMEOUT_SECONDS = 0.5
"""For Redis to connect and for each of its answers: it stands next door or is of no use."""

PATIENCE_SECONDS = 1.0
"""A step that takes longer than this counts as failed, too."""

AWAY_SECONDS = 60.0
"""How long a Redis that failed is left alone."""

IDLE_SECONDS = 3600
"""A ledger that nobody used for so long is forgotten: the next run learns from its first answer."""

_CONTESTS = 100
"""How often another process may be faster in one step."""

_SWAP = """
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return 1
"""
"""Replace the ledger, unless another process did."""

Step = TypeVar("Step")
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Ledger).decode

logger = logging.getLogger("tap-pipedrive")


class MemoryStore:
    """A ledger of this process's own, safe to share between threads."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        """As it was after the last step."""
        self._lock = threading.Lock()

    def step(self, change: Callable[[Ledger, float], Step]) -> Step:
        """Change the ledger; the function is given it and the time. What it raises leaves all as it was."""
        with self._lock:
            return change(self.ledger, time.time())


class RedisStore(MemoryStore):
    """A ledger in Redis, by its clock. When Redis fails, a warning, and the step is done in memory.

    Raises PipedriveError when the package for Redis is not installed.
    """

    def __init__(self, url: str, host: str, token: str) -> None:
        super().__init__()
        try:
            import redis  # noqa: PLC0415  (an extra)
            from redis.backoff import NoBackoff  # noqa: PLC0415
            from redis.retry import Retry  # noqa: PLC0415
        except ImportError:
            raise PipedriveError(
                "redis_url is set, but the package for it is missing: pip install 'tap-pipedrive[redis]'."
            ) from None
        self._errors = (redis.RedisError, OSError)
        try:
            self._redis = redis.Redis.from_url(
                url,
                socket_timeout=TIMEOUT_SECONDS,
                socket_connect_timeout=TIMEOUT_SECONDS,
                retry=Retry(NoBackoff(), 0),
            )
            self._redis.connection_pool.make_connection()  # reads the options, and does not connect yet
        except (ValueError, TypeError, AttributeError):  # whose texts may hold the password
            raise PipedriveError("Setting redis_url has options that no Redis knows: correct it.") from None
        self._swap = self._redis.register_script(_SWAP)
        self._key = f"tap-pipedrive:{sha256(f'{host} {token}'.encode()).hexdigest()[:32]}"
        self._name = urlsplit(url).hostname or "its socket"
        self._ahead = 0.0  # of its clock before ours
        self._away_until = 0.0
        self._has_warned = False

    def step(self, change: Callable[[Ledger, float], Step]) -> Step:
        """Change the ledger in Redis, or else the last one seen."""
        with self._lock:
            if time.monotonic() >= self._away_until:
                began = time.monotonic()
                try:
                    done = self._step_in_redis(change)
                except self._errors as error:
                    self._leave_alone(type(error).__name__)
                else:
                    if time.monotonic() - began > PATIENCE_SECONDS:
                        self._leave_alone("too slow")
                    return done
            return change(self.ledger, time.time() + self._ahead)

    def _step_in_redis(self, change: Callable[[Ledger, float], Step]) -> Step:
        for _ in range(_CONTESTS):
            pipe = self._redis.pipeline(transaction=False)
            pipe.get(self._key)
            pipe.time()
            before, (seconds, microseconds) = pipe.execute()
            now = seconds + microseconds / 1e6
            self._ahead = now - time.time()
            ledger = self._read(before)
            done = change(ledger, now)
            after = _encode(ledger)
            if after == before or self._swap([self._key], [before or b"", after, IDLE_SECONDS]):
                self.ledger = ledger
                return done
        raise OSError("too many processes at once")

    def _read(self, text: bytes | None) -> Ledger:
        """The ledger in Redis; ours if there is none, as after a restart, or one that nobody can read."""
        try:
            return _decode(text or _encode(self.ledger))
        except msgspec.DecodeError:
            return _decode(_encode(self.ledger))

    def _leave_alone(self, reason: str) -> None:
        self._away_until = time.monotonic() + AWAY_SECONDS
        if not self._has_warned:
            self._has_warned = True
            logger.warning(
                "Redis at %s fails (%s): this process keeps the limits by itself until it is back; others that "
                "use the token do not know of it meanwhile.",
                self._name,
                reason,
            )
