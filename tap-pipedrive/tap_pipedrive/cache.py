"""Field definitions and other lists that change rarely, kept for later processes: in Redis, or in private files.

A list is kept whole, with the moment when Pipedrive sent it, under a hash of the token and the address of the API.
Nothing depends on it: what cannot be read or written, or looks wrong, counts as missing.
"""

import logging
import os
import stat
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from tempfile import mkstemp
from typing import Any, Protocol

import msgspec

from tap_pipedrive.settings import Settings
from tap_pipedrive.shared import connect, name_of
from tap_pipedrive.values import encode

MOST_BYTES = 4 * 2**20
"""Bytes of JSON; a larger list is not kept."""

SUFFIX = ".list.json"
"""End of the names of the files."""

logger = logging.getLogger("tap-pipedrive")


class CachedList(msgspec.Struct):
    """A list as Pipedrive has sent it."""

    rows: msgspec.Raw
    """The list as JSON."""

    served_at: datetime
    """When, by Pipedrive's clock."""

    sought: list[str] = []
    """What was missing before it was read: it has these names now, or they do not exist."""


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(CachedList).decode


class Store(Protocol):
    """Where lists are kept, by endpoint. Raises any error when it fails."""

    name: str

    def read(self, endpoint: str, seconds: int) -> bytes | None:
        """Return what was written no longer than so many seconds ago."""

    def write(self, endpoint: str, content: bytes, seconds: int) -> None:
        """Keep a text for so many seconds."""


class RedisLists:
    """Lists in Redis. Raises PipedriveError when the package for Redis is not installed."""

    name = "redis"

    def __init__(self, url: str, key: str) -> None:
        self._redis = connect(url)
        self._key = f"tap-pipedrive:list:{key}"

    def read(self, endpoint: str, seconds: int) -> bytes | None:
        """Return a list; one that a process with a longer time to live has kept may be too old for this one."""
        pipe = self._redis.pipeline(transaction=False)
        pipe.hget(f"{self._key}:{endpoint}", "list")
        pipe.hget(f"{self._key}:{endpoint}", "seconds")
        pipe.ttl(f"{self._key}:{endpoint}")
        content, lifetime, left = pipe.execute()
        is_young = content is not None and int(lifetime) - left < seconds
        return bytes(content) if is_young else None

    def write(self, endpoint: str, content: bytes, seconds: int) -> None:
        """Replace a list."""
        pipe = self._redis.pipeline()
        pipe.hset(f"{self._key}:{endpoint}", mapping={"list": content, "seconds": seconds})
        pipe.expire(f"{self._key}:{endpoint}", seconds)
        pipe.execute()


class PrivateFiles:
    """Lists in files that only this user can read, one for each list."""

    name = "file"

    def __init__(self, folder: Path, key: str) -> None:
        self._folder = folder
        self._key = key

    def read(self, endpoint: str, seconds: int) -> bytes | None:
        """Return a list. Somebody else's file is not read, as it could name other columns."""
        try:
            descriptor = os.open(self._path(endpoint), os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
        except OSError:
            return None
        with os.fdopen(descriptor, "rb") as file:
            found = os.fstat(descriptor)
            is_young = 0 <= time.time() - found.st_mtime < seconds
            return file.read() if is_young and _is_private(found) else None

    def write(self, endpoint: str, content: bytes, seconds: int) -> None:
        """Replace a list, and remove those that are too old."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, path = mkstemp(dir=self._folder, suffix=SUFFIX)  # with mode 0600
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        os.replace(path, self._path(endpoint))
        for old in self._folder.glob(f"*{SUFFIX}"):
            with suppress(OSError):
                if time.time() - old.stat().st_mtime > seconds:
                    old.unlink()

    def _path(self, endpoint: str) -> Path:
        return self._folder / f"{self._key}{endpoint.replace('/', '.')}{SUFFIX}"


class Cache:
    """The lists of one account."""

    def __init__(self, store: Store | None, seconds: int, chosen_folder: str | None = None) -> None:
        """`store`: None where nothing is kept; `seconds`: how long a list is good; `chosen_folder`: the store's
        folder if the user has set it."""
        self.name = store.name if store else ""
        """Where lists are kept."""
        self.hits: Counter[str] = Counter()
        """Lists that were found, by endpoint."""
        self.misses: Counter[str] = Counter()
        """Lists that had to be asked for, by endpoint."""
        self._store = store
        self._seconds = seconds
        self._chosen_folder = chosen_folder

    def get(self, endpoint: str, *, newer_than: datetime | None = None) -> CachedList | None:
        """Return a list that Pipedrive has sent after a moment."""
        if self._store is None:
            return None
        content = found = None
        try:
            content = self._store.read(endpoint, self._seconds)
        except Exception as error:  # noqa: BLE001  of the file system or of Redis, whose errors are of many kinds
            self._give_up(error)
        with suppress(ValueError):  # somebody else wrote it
            found = _decode(content) if content else None
        if found and newer_than and found.served_at <= newer_than:
            found = None
        counted = self.hits if found else self.misses
        counted[endpoint] += 1
        return found

    def put(
        self, endpoint: str, rows: Sequence[Any], served_at: datetime | None, sought: Sequence[str] = ()
    ) -> None:
        """Keep a list; one of which nobody knows when it was sent is not kept."""
        content = encode(rows)
        if self._store is None or served_at is None or len(content) > MOST_BYTES:
            return
        kept = CachedList(msgspec.Raw(content), served_at, list(sought))
        try:
            self._store.write(endpoint, _encode(kept), self._seconds)
        except Exception as error:  # noqa: BLE001  as above
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        """Use the store no more in this process, as each failure may have taken seconds."""
        if self._chosen_folder:
            logger.warning(
                "Setting cache_dir: lists cannot be kept in %s (%s), so that each run asks for them again: name a "
                "folder that this user may write to.",
                self._chosen_folder,
                getattr(error, "strerror", None) or type(error).__name__,
            )
        else:
            logger.info("Lists are not kept for other processes: %s", type(error).__name__)
        self._store = None


def cache_of(settings: Settings) -> Cache:
    """Return the cache of an account. Raises PipedriveError when redis_url is set and its package is missing."""
    token = settings.api_token or settings.refresh_token
    store: Store | None = None
    if token and settings.cache_seconds:
        key = name_of(settings.api_url, token)
        if settings.redis_url:
            store = RedisLists(settings.redis_url, key)
        else:
            store = PrivateFiles(_folder(settings.cache_dir), key)
    return Cache(store, settings.cache_seconds, None if settings.redis_url else settings.cache_dir)


def _folder(setting: str | None) -> Path:
    if setting:
        return Path(setting)
    caches = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(caches) / "tap-pipedrive"


def _is_private(found: os.stat_result) -> bool:
    is_ours = not hasattr(os, "geteuid") or found.st_uid == os.geteuid()
    return is_ours and stat.S_ISREG(found.st_mode) and not (os.name == "posix" and found.st_mode & 0o077)
