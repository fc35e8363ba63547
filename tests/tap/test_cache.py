# Over 400 lines: what the cache saves and what must not be lost are tested on the same account.
"""The cache of definitions and other lists: what it saves, and that it never costs a row."""

from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pipedrive_sandbox.testing import Sandbox
from tap_pipedrive import cache as cache_module
from tap_pipedrive.cache import Cache, PrivateFiles, RedisLists

from .harness import (
    TOKEN,
    Asked,
    Record,
    Run,
    Say,
    account,
    discover,
    fake,
    field_definition,
    replay,
    run,
    say,
    select,
)
from .valkey import Valkey

FIELDS = {f"/api/v2/{entity}Fields" for entity in ("deal", "person", "organization", "product", "activity")}
REFERENCES = {"/api/v1/users", "/api/v1/activityTypes", "/api/v1/currencies", "/api/v1/leadLabels"}


@pytest.fixture(scope="module")
def redis() -> Iterator[Valkey]:
    with Valkey() as server:
        yield server


@pytest.fixture(params=["file", "redis"])
def kept(request: pytest.FixtureRequest, tmp_path: Path, redis: Valkey) -> dict[str, Any]:
    """Settings of a cache, once in a folder and once in Redis."""
    redis.client().flushall()
    place = {"cache_dir": str(tmp_path / "lists")} if request.param == "file" else {"redis_url": redis.url}
    return {"cache_seconds": 3600, "reference_max_age": 24, "source_checks": "none", **place}


def asked(sandbox: Sandbox) -> set[str]:
    """Return the cacheable lists that were requested since the last call."""
    found = {seen["path"] for seen in sandbox.requests()} & (FIELDS | REFERENCES)
    sandbox.post("/sandbox/stats/reset")
    return found


def counted(done: Run) -> tuple[dict[str, int], dict[str, int]]:
    cache = done.tap.run.cache  # type: ignore[union-attr]
    return dict(cache.hits), dict(cache.misses)


# Savings


def test_a_run_without_changes_costs_122_tokens(living: Sandbox, kept: dict[str, Any]) -> None:
    first = run(living.url, **kept).good()
    assert counted(first) == ({}, dict.fromkeys(FIELDS | REFERENCES, 1))
    done = run(living.url, state=first.state, **kept).good()
    assert done.tap.run.client.limits.tokens_spent == 122  # type: ignore[union-attr]
    assert counted(done) == (dict.fromkeys(FIELDS, 1), {})
    assert done.records("fields") == first.records("fields")


def test_a_second_warehouse_gets_the_lists_without_tokens(living: Sandbox, kept: dict[str, Any]) -> None:
    run(living.url, **kept).good()
    first = run(living.url, **kept).good()  # the first run has already looked for deleted options
    asked(living)
    living.post("/sandbox/clock", {"advance_seconds": 600})
    other = run(living.url, **kept).good()
    assert asked(living) == set()
    assert counted(other) == (dict.fromkeys(FIELDS | REFERENCES, 1), {})
    tables, before = replay(other.messages), replay(first.messages)
    for stream in ("users", "currencies", "activity_types", "lead_labels", "fields", "field_options"):
        assert tables[stream] == before[stream]
    said = {row["stream"]: row["read_up_to"] for row in other.records("run_statements")}
    then = {row["stream"]: row["read_up_to"] for row in first.records("run_statements")}
    assert said["users"] == then["users"], "complete as of when it was read"
    assert said["fields"] == then["fields"]
    assert said["deals"] > then["deals"]


def test_metrics_count_hits_and_misses(
    living: Sandbox, kept: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    catalog = discover(living.url, **kept)
    caplog.clear()
    run(living.url, catalog=select(catalog, "deals", "fields", "users"), **kept).good()
    lines = [record.getMessage().partition("METRIC: ")[2] for record in caplog.records]
    points = [json.loads(line) for line in lines if "api_cache" in line]
    found = {
        (point["metric"], point["tags"]["endpoint"]): (point["value"], point["tags"]["source"])
        for point in points
    }
    place = "redis" if "redis_url" in kept else "file"
    assert found["api_cache_hits", "/api/v2/dealFields"] == (1, place)
    assert found["api_cache_misses", "/api/v1/users"] == (1, place)


def test_a_full_reading_takes_nothing_from_the_cache(living: Sandbox, kept: dict[str, Any]) -> None:
    first = run(living.url, **kept).good()
    asked(living)
    whole = run(living.url, state=first.state, reconcile=True, **kept).good()
    assert asked(living) == FIELDS | REFERENCES
    living.post("/sandbox/clock", {"advance_seconds": 600})
    run(living.url, state=whole.state, **kept).good()
    assert asked(living) == set(), "what it has read serves the next run"


def test_a_maximum_age_of_zero_takes_no_list_from_the_cache(living: Sandbox, kept: dict[str, Any]) -> None:
    first = run(living.url, **kept).good()
    asked(living)
    run(living.url, state=first.state, **{**kept, "reference_max_age": 0}).good()
    assert asked(living) == REFERENCES


def test_a_cached_list_older_than_the_warehouse_is_not_used(living: Sandbox, kept: dict[str, Any]) -> None:
    """Another process has loaded a newer list than the cached one into the warehouse."""
    run(living.url, **kept).good()
    living.post("/sandbox/clock", {"advance_seconds": 600})
    newer = run(living.url, **{**kept, "cache_seconds": 0}).good()
    del newer.state["bookmarks"]["users"]["shape"]
    asked(living)
    run(living.url, state=newer.state, **kept).good()
    assert "/api/v1/users" in asked(living)


def test_other_tokens_and_other_accounts_have_their_own_cache(living: Sandbox, kept: dict[str, Any]) -> None:
    catalog = select(discover(living.url), "deals")
    run(living.url, catalog=catalog, **kept).good()
    with Sandbox(deals=60, tokens=[TOKEN, "another"]) as other:
        asked(other)
        for token in (TOKEN, "another"):
            run(other.url, catalog=catalog, token=token, **kept).good()
            assert asked(other) == {"/api/v2/dealFields"}
        for token in (TOKEN, "another"):
            run(other.url, catalog=catalog, token=token, **kept).good()
            asked(other)  # perhaps for an option that was deleted
            run(other.url, catalog=catalog, token=token, **kept).good()
            assert asked(other) == set()


# Rows stay correct


def key(number: int) -> str:
    return f"{number:040x}"


class Deals:
    """An account with one deal and definitions that change."""

    def __init__(self) -> None:
        self.fields = [
            field_definition(key(0), "Text", "varchar"),
            field_definition(key(1), "Choice", "enum", [{"id": 5, "label": "A"}]),
            field_definition(key(2), "Choices", "set", [{"id": 7, "label": "B"}]),
            {
                "field_code": "label_ids",
                "field_name": "Label",
                "field_type": "set",
                "options": [{"id": 9, "label": "C"}],
            },
        ]
        self.values: Record = {key(0): "x", key(1): 5, key(2): [7]}
        self.labels = [9]
        self.second = 0
        self.asked: list[str] = []

    def answer(self, request: Asked) -> Say | str | None:
        self.asked.append(request.path)
        rows: list[Record] = []
        if request.path == "/api/v2/dealFields":
            rows = self.fields
        elif request.path == "/api/v2/deals":
            at = f"2026-10-02T00:00:{self.second:02}Z"
            rows = [{"id": 1, "update_time": at, "custom_fields": self.values, "label_ids": self.labels}]
        return say({"success": True, "data": rows}, x_ratelimit_limit="480")

    def read(self, url: str, state: Record | None, kept: dict[str, Any]) -> tuple[Run, int]:
        """Change the deal, run the tap, and return how often it requested the definitions."""
        self.asked.clear()
        self.second += 1
        streams = ("deals", "fields", "field_options", "rejected_values")
        done = run(url, state=state, catalog=select(self.catalog, *streams), **kept).good()
        return done, self.asked.count("/api/v2/dealFields")

    catalog: Record


@pytest.fixture
def deals(kept: dict[str, Any]) -> Iterator[tuple[Deals, str]]:
    world = Deals()
    with fake(account({}, spoil=world.answer)) as server:
        world.catalog = discover(server.url)
        yield world, server.url


def test_discovery_and_the_run_after_it_share_one_reading(
    deals: tuple[Deals, str], kept: dict[str, Any]
) -> None:
    world, url = deals
    discover(url, **kept)
    _, count = world.read(url, None, kept)
    assert count == 0


def last(done: Run) -> Record:
    return done.records("deals")[-1]


Change = Callable[[Deals], None]


def new_field(world: Deals) -> None:
    world.fields.append(field_definition(key(3), "New", "varchar"))
    world.values = {**world.values, key(3): "first value"}


def new_option(world: Deals) -> None:
    world.fields[1]["options"].append({"id": 6, "label": "New"})
    world.values = {**world.values, key(1): 6}


def new_options(world: Deals) -> None:
    world.fields[2]["options"].append({"id": 8, "label": "New"})
    world.values = {**world.values, key(2): [7, 8]}


def new_label(world: Deals) -> None:
    world.fields[3]["options"].append({"id": 10, "label": "New"})
    world.labels = [9, 10]


@pytest.mark.parametrize(
    ("change", "column", "value"),
    [
        (new_field, "new", "first value"),
        (new_option, "choice", "New"),
        (new_options, "choices", ["B", "New"]),
        (new_label, "label_ids", [9, 10]),
    ],
)
def test_a_value_unknown_to_the_cached_definitions_has_them_read_before_the_page_is_written(
    deals: tuple[Deals, str], kept: dict[str, Any], change: Change, column: str, value: Any
) -> None:
    world, url = deals
    first, _ = world.read(url, None, kept)
    second, count = world.read(url, first.state, kept)
    assert count == 0
    change(world)
    third, count = world.read(url, second.state, kept)
    assert count == 1
    assert [row[column] for row in third.records("deals")] == [value]
    named = third.records("fields" if change is new_field else "field_options")
    assert "New" in {row.get("field_name", row.get("label")) for row in named}, "written in the same run"
    _, count = world.read(url, third.state, kept)
    assert count == 0


def gone_option(world: Deals) -> None:
    world.values = {**world.values, key(1): 99}


def gone_field(world: Deals) -> None:
    world.values = {**world.values, key(9): "?"}


@pytest.mark.parametrize("change", [gone_option, gone_field])
def test_an_option_that_no_definition_has_is_looked_up_once(
    deals: tuple[Deals, str], kept: dict[str, Any], change: Change
) -> None:
    """A deal keeps an option that was deleted; without this, each run that reads the deal would ask again."""
    world, url = deals
    first, _ = world.read(url, None, kept)
    change(world)
    second, count = world.read(url, first.state, kept)
    assert count == 1
    assert (last(second)["choice_id"], last(second)["custom_fields_overflow"]) in [
        (99, None),
        (5, {key(9): "?"}),
    ]
    _, count = world.read(url, second.state, kept)
    assert count == 0


def test_a_renamed_option_is_seen_after_the_time_to_live(
    deals: tuple[Deals, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, url = deals
    kept: dict[str, Any] = {
        "cache_seconds": 3600,
        "cache_dir": str(tmp_path / "own"),
        "source_checks": "none",
    }
    first, _ = world.read(url, None, kept)
    world.fields[1]["options"][0]["label"] = "Renamed"
    second, count = world.read(url, first.state, kept)
    assert (count, last(second)["choice"]) == (0, "A")
    really = time.time
    monkeypatch.setattr(time, "time", lambda: really() + 3601)
    third, count = world.read(url, second.state, kept)
    assert (count, last(third)["choice"]) == (1, "Renamed")


def test_a_field_with_a_changed_type_is_read_correctly_in_the_end(
    deals: tuple[Deals, str], kept: dict[str, Any]
) -> None:
    world, url = deals
    first, _ = world.read(url, None, kept)
    world.fields[0]["field_type"] = "double"
    world.values = {**world.values, key(0): 5}
    second, _ = world.read(url, first.state, kept)
    assert last(second)["text"] == "5"
    third, _ = world.read(url, second.state, {**kept, "cache_seconds": 0})
    assert last(third)["text_000000"] == 5


def test_a_cached_list_without_fields_that_have_columns_is_read_again(
    deals: tuple[Deals, str], kept: dict[str, Any]
) -> None:
    world, url = deals
    whole, world.fields = world.fields, world.fields[1:]
    world.values = {}
    world.read(url, None, kept)
    world.fields, world.values = whole, {key(0): "x"}
    first, _ = world.read(url, None, {**kept, "cache_seconds": 0})
    world.values = {}
    second, count = world.read(url, first.state, kept)
    assert count == 1, "the state knows one field more than the cache"
    assert "text" in second.columns("deals")


# Storage


def files(folder: str) -> list[Path]:
    return sorted(Path(folder).iterdir())


def test_cache_files_are_private_and_contain_no_token(living: Sandbox, tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    before = os.umask(0)
    try:
        run(living.url, cache_seconds=60, cache_dir=str(folder), reference_max_age=24).good()
    finally:
        os.umask(before)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    found = files(str(folder))
    assert len(found) == len(FIELDS | REFERENCES)
    for path in found:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert TOKEN not in path.name
        assert TOKEN.encode() not in path.read_bytes()


def test_a_folder_that_cannot_be_written_is_reported_once(
    living: Sandbox, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "lists"
    run(living.url, cache_seconds=60, cache_dir=str(folder), reference_max_age=24).good()
    (warning,) = [text for text in caplog.messages if "cache_dir" in text]
    assert warning == (
        f"Setting cache_dir: lists cannot be kept in {folder} (Not a directory), so that each run asks for them "
        "again: name a folder that this user may write to."
    )


def test_files_that_other_users_can_read_or_own_are_not_used(living: Sandbox, tmp_path: Path) -> None:
    kept: dict[str, Any] = {
        "cache_seconds": 3600,
        "cache_dir": str(tmp_path),
        "catalog": select(discover(living.url), "deals"),
    }
    run(living.url, **kept).good()
    (path,) = files(str(tmp_path))
    path.chmod(0o644)
    asked(living)
    run(living.url, **kept).good()
    assert asked(living) == {"/api/v2/dealFields"}
    (path,) = files(str(tmp_path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600, "it was replaced"
    target = tmp_path.with_name("elsewhere")
    path.rename(target)
    path.symlink_to(target)
    run(living.url, **kept).good()
    assert asked(living) == {"/api/v2/dealFields"}
    assert target.exists()


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"rows":5,"served_at":"2026-01-01T00:00:00Z"}', b"\xff"]
)
def test_a_corrupt_file_causes_a_new_reading(living: Sandbox, tmp_path: Path, content: bytes) -> None:
    kept: dict[str, Any] = {
        "cache_seconds": 3600,
        "cache_dir": str(tmp_path),
        "catalog": select(discover(living.url), "deals"),
    }
    first = run(living.url, **kept).good()
    (path,) = (path for path in files(str(tmp_path)) if "deal" in path.name)
    path.write_bytes(content)
    asked(living)
    second = run(living.url, **kept).good()
    assert asked(living) == {"/api/v2/dealFields"}
    assert second.records("deals") == first.records("deals")
    assert len(path.read_bytes()) > 1000


def test_old_files_are_removed(tmp_path: Path) -> None:
    store = PrivateFiles(tmp_path, "x")
    store.write("/old", b"1", 3600)
    (path,) = tmp_path.iterdir()
    os.utime(path, (time.time() - 4000,) * 2)
    assert store.read("/old", 3600) is None
    store.write("/new", b"2", 3600)
    assert [each.name for each in tmp_path.iterdir()] == ["x.new.list.json"]
    assert store.read("/new", 3600) == b"2"


def test_a_folder_without_write_access_fails_no_run(living: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    kept: dict[str, Any] = {"cache_seconds": 60, "cache_dir": str(tmp_path / "file"), "reference_max_age": 24}
    first = run(living.url, **kept).good()
    run(living.url, state=first.state, **kept).good()


def test_redis_contains_no_token_and_expires_the_lists(living: Sandbox, redis: Valkey) -> None:
    client = redis.client()
    client.flushall()
    run(living.url, cache_seconds=60, redis_url=redis.url, reference_max_age=24).good()
    names = list(client.scan_iter("tap-pipedrive:list:*"))
    assert len(names) == len(FIELDS | REFERENCES)
    for name in names:
        assert 0 < client.ttl(name) <= 60
        assert TOKEN not in f"{name!r} {client.hgetall(name)}"


def test_the_shorter_time_to_live_applies(redis: Valkey) -> None:
    client = redis.client()
    client.flushall()
    store = RedisLists(redis.url, "x")
    store.write("/list", b"1", 3600)
    client.expire("tap-pipedrive:list:x:/list", 3000)  # the state that the list would have after ten minutes
    assert store.read("/list", 500) is None
    assert store.read("/list", 700) == b"1"


def test_a_redis_that_goes_away_fails_no_run(living: Sandbox) -> None:
    with Valkey() as server:
        kept: dict[str, Any] = {"cache_seconds": 3600, "redis_url": server.url, "reference_max_age": 24}
        first = run(living.url, **kept).good()
    started = time.monotonic()
    second = run(living.url, state=first.state, **kept).good()
    assert time.monotonic() - started < 60
    assert counted(second)[0] == {}


def test_a_list_of_unknown_age_or_too_large_a_size_is_not_cached(tmp_path: Path, monkeypatch: Any) -> None:
    cache = Cache(PrivateFiles(tmp_path, "x"), 3600)
    cache.put("/no/date", [1], None)
    monkeypatch.setattr(cache_module, "MOST_BYTES", 10)
    cache.put("/large", ["x" * 20], datetime(2026, 1, 1, tzinfo=UTC))
    assert list(tmp_path.iterdir()) == []
