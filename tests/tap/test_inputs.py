"""States, catalogs, settings and outputs of any shape cause at most one sentence, which names stream and key."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pipedrive_sandbox.testing import Sandbox
from singer_sdk.singerlib.encoding.simple import StateMessage
from tap_pipedrive.errors import PipedriveError
from tap_pipedrive.writer import Writer

from .harness import TOKEN, Fake, Record, account, discover, fake, run, select

TAP = Path(sys.executable).with_name("tap-pipedrive")
WRONG: tuple[Any, ...] = (None, [], 5, "x", True, {}, [1], {"a": 1})
ROW = {"id": 1, "name": "secret", "update_time": "2026-01-01T00:00:00Z"}


@pytest.fixture(scope="module")
def server() -> Iterator[Fake]:
    paths = ("/api/v2/persons", "/api/v2/deals", "/api/v1/leads", "/api/v1/notes")
    with fake(account({path: [ROW] for path in paths})) as server:
        yield server


@pytest.fixture(scope="module")
def catalog(shared: Sandbox) -> Record:
    return select(discover(shared.url), "persons", "deals", "leads", "notes", "deal_products")


def is_good(error: BaseException | None, *words: str) -> bool:
    """Return whether a run was good; otherwise check that its error is a sentence with these words."""
    if error is None:
        return True
    assert isinstance(error, PipedriveError), repr(error)
    assert "\n" not in str(error)
    assert all(word in str(error) for word in words), error
    return False


# States


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_bookmarks_of_any_shape_are_used_or_reported(server: Fake, catalog: Record, wrong: Any) -> None:
    assert is_good(run(server.url, catalog=catalog, state={"bookmarks": wrong}).error, "state") == (
        wrong == {}
    )


KEYS = {
    "notes": (
        *("", "partitions", "replication_key_value", "first_load", "complete_pass_rows", "progress_markers"),
        *(
            "start_date",
            "replication_key",
            "first_load.began",
            "first_load.start",
            "first_load.rows",
            "unknown",
        ),
    ),
    "leads": ("partitions", "partitions.context", "partitions.first_load", "custom_fields"),
    "persons": ("first_load.cursor",),
    "deal_products": ("place",),
}
"""Keys of a bookmark, each with a stream that uses it."""


@pytest.mark.parametrize(("stream", "key"), [(stream, key) for stream, keys in KEYS.items() for key in keys])
def test_bookmark_keys_of_any_shape_are_used_or_reported(
    server: Fake, catalog: Record, stream: str, key: str
) -> None:
    outer, _, inner = key.partition(".")
    for wrong in (*WRONG, -5, 10**30, "0001-01-01T00:00:00+10:00"):
        value: Any = {inner: wrong} if inner else wrong
        if outer == "partitions" and inner:
            value = [{"context": {"listing": "live"}} | value]
        bookmark = {outer: value} if outer else value
        done = run(server.url, catalog=select(catalog, stream), state={"bookmarks": {stream: bookmark}})
        if is_good(done.error, stream, "state") and stream != "deal_products":
            assert {row["id"] for row in done.records(stream)} in ({1}, {"1"})


# Catalogs


def entry(**changes: Any) -> Record:
    selected = [{"breadcrumb": [], "metadata": {"selected": True}}]
    return {"tap_stream_id": "persons", "stream": "persons", "schema": {}, "metadata": selected} | changes


def metadata(breadcrumb: Any, content: Any) -> Record:
    return entry(metadata=[{"breadcrumb": breadcrumb, "metadata": content}])


CATALOGS: list[Record] = [
    *({}, {"streams": None}, {"streams": {}}, {"streams": 5}, {"streams": []}, {"streams": [None]}),
    *({"streams": [each]} for each in list[Any]([{}, {"stream": "persons"}, {"tap_stream_id": 5}, []])),
    *(
        {"streams": [entry(schema=wrong)]}
        for wrong in list[Any]([None, 5, {"properties": 5}, {"properties": {"id": 5}}])
    ),
    *({"streams": [entry(metadata=wrong)]} for wrong in list[Any]([None, 5, [None], [{}], [[]]])),
    *({"streams": [entry(key_properties=wrong)]} for wrong in list[Any]([5, "id", [5]])),
    {"streams": [entry(replication_method="LOG_BASED")]},
    *({"streams": [metadata(wrong, {"selected": True})]} for wrong in (None, 5, "properties", [5])),
    *({"streams": [metadata([], wrong)]} for wrong in (None, 5, {"selected": "yes"})),
    {"streams": [metadata([], {"selected": True, "forced-replication-method": "LOG_BASED"})]},
    {"streams": [entry(tap_stream_id="nobody")]},
]


def test_a_catalog_of_a_wrong_shape_is_reported(server: Fake) -> None:
    for wrong in CATALOGS:
        assert not is_good(
            run(server.url, catalog=wrong).error, "catalog", "make a new one with --discover"
        ), wrong


def test_a_catalog_that_selects_nothing_is_reported(
    server: Fake, catalog: Record, caplog: pytest.LogCaptureFixture
) -> None:
    run(server.url, catalog=select(catalog)).good()
    assert "The catalog selects no stream" in caplog.text


@pytest.mark.parametrize(
    "known", [{"streams": [entry(), entry(tap_stream_id="nobody")]}, {"streams": [entry()]}]
)
def test_a_minimal_catalog_is_read(server: Fake, known: Record) -> None:
    assert run(server.url, catalog=known).good().records("persons")


# Settings


@pytest.mark.parametrize("start", ["0001-01-01T00:00:00+10:00", "9999-12-31T23:59:59-10:00", "2026-13-01"])
def test_an_absurd_start_date_is_reported(server: Fake, catalog: Record, start: str) -> None:
    assert not is_good(run(server.url, catalog=catalog, start_date=start).error, "start_date")


WHOLE_MAPS: list[Any] = [5, [], "x", {"persons": 5}, {"persons": []}]
RULES: dict[str, list[Any]] = {
    "name": [5, "1/0", "nope", "foo(", "", [], "int(name)", "record['nope']", "md5(5)", "9**9**9", "id.foo"],
    "x": ["datetime", "__import__('os')", "(lambda: 1)()", "'a' * 10 ** 9", "_['a']['b']", "\x00"],
    "__filter__": ["id >", 5, "name > 5", "1/0", ""],
    "__else__": ["x", 5],
    "__key_properties__": [5, "id", ["nope"]],
    "__alias__": [5],
    "id": [None],
}


@pytest.mark.parametrize("stream_maps", WHOLE_MAPS, ids=str)
def test_stream_maps_of_a_wrong_shape_are_reported(server: Fake, catalog: Record, stream_maps: Any) -> None:
    assert not is_good(run(server.url, catalog=catalog, stream_maps=stream_maps).error, "stream_maps")


@pytest.mark.parametrize("column", RULES)
def test_an_error_in_a_stream_map_is_reported_with_stream_and_column_but_no_value(
    server: Fake, catalog: Record, column: str
) -> None:
    for rule in RULES[column]:
        error = run(server.url, catalog=catalog, stream_maps={"persons": {column: rule}}).error
        names_it = rule == ["nope"] or rule is None or rule == "datetime"
        assert not is_good(error, "stream_maps", "persons", *([] if names_it else [column])), rule
        assert "secret" not in str(error)


# Files and outputs


def started(url: str, folder: Path, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    config = folder / "config.json"
    config.write_text(json.dumps({"api_url": url, "api_token": TOKEN}))
    command: list[str | Path] = [TAP, "--config", config, *arguments]
    return subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False, **options)


def errors(done: subprocess.CompletedProcess[str]) -> list[str]:
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return [line for line in done.stderr.splitlines() if "ERROR" in line or "standard output" in line]


@pytest.mark.parametrize("name", ["state", "catalog"])
def test_a_file_that_is_nested_too_deeply_is_reported(server: Fake, tmp_path: Path, name: str) -> None:
    deep = tmp_path / "deep.json"
    deep.write_text('{"a":' * 900 + "1" + "}" * 900)
    (line,) = errors(started(server.url, tmp_path, f"--{name}", str(deep), stdout=subprocess.DEVNULL))
    assert f"--{name}: {deep} does not hold a JSON object" in line


def test_the_state_is_written_again_after_the_output_broke(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that ends tries to save its state once more."""
    reader, pipe = os.pipe()
    os.close(reader)
    state: Any = StateMessage({"bookmarks": {"deals": {"cursor": "x" * 100_000}}})
    with os.fdopen(pipe, "w") as out:
        monkeypatch.setattr(sys, "stdout", out)
        with pytest.raises(PipedriveError, match="The target stopped reading") as held:
            Writer().write_message(state)
        Writer().write_message(state)
    assert held.value.__traceback__


def limited() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, 2_000))


def test_an_output_that_cannot_be_written_is_reported(server: Fake, tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        (line,) = errors(started(server.url, tmp_path, stdout=full))
    assert "cannot be written: No space left on device" in line
    with (tmp_path / "out").open("w") as out:
        (line,) = errors(started(server.url, tmp_path, stdout=out, preexec_fn=limited))
    assert "cannot be written: File too large" in line
    command = f'exec "{TAP}" --config "{tmp_path}/config.json" >&-'
    closed = subprocess.run(["sh", "-c", command], stderr=subprocess.PIPE, text=True, check=False)
    assert "has no standard output" in errors(closed)[0]


def test_a_catalog_that_deselects_a_part_of_a_column_is_warned_of(
    server: Fake, caplog: pytest.LogCaptureFixture
) -> None:
    whole = [{"breadcrumb": ["properties", "phones"], "metadata": {"selected": False}}]
    parts = [
        {"breadcrumb": ["properties", column, "properties", "value"], "metadata": {"selected": False}}
        for column in ("address", "phones")
    ]
    run(server.url, catalog={"streams": [entry(metadata=[*whole, *parts])]})
    assert "The catalog deselects parts of address in " in caplog.text
    assert "phones" not in caplog.text
