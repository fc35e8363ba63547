# Over 400 lines: there is one row for each mistake that a user can make.
"""The command line: its output, its exit codes, and one sentence for each error."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pytest
from pipedrive_sandbox.testing import Sandbox
from tap_pipedrive.__main__ import main
from tap_pipedrive.settings import Settings
from tap_pipedrive.streams import STREAMS

from .harness import TOKEN, Say, account, discover, fake, field_definition, loads, select

KEY = "0123456789abcdef0123456789abcdef01234567"
NAMES = {vars(stream)["name"] for stream in STREAMS}


@dataclass
class Done:
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str

    @property
    def errors(self) -> list[str]:
        """Return the texts of the ERROR lines."""
        return [line.split("| ", 3)[-1] for line in self.err.splitlines() if "| ERROR" in line]

    def is_one_sentence(self) -> str:
        """Check that there is exactly one error; the AssertionError shows the output."""
        assert self.code == 1, self.err
        assert self.out == ""
        assert "Traceback" not in self.err, self.err
        assert len(self.errors) == 1, self.err
        (text,) = self.errors
        assert re.search(r"[.!]$|\.\S*$", text), text
        return text


@pytest.fixture
def tap(tmp_path: Path) -> Any:
    """Run `tap-pipedrive` in a forked copy of this process, which has imported everything already."""

    def call(*args: str, input_file: int | None = None, **env: str) -> Done:
        out, err = tmp_path / "out", tmp_path / "err"
        child = os.fork()
        if child == 0:
            _become(args, out, err, env)
        _, status = os.waitpid(child, 0)
        return Done(os.waitstatus_to_exitcode(status), out.read_text(), err.read_text())

    return call


def _become(args: tuple[str, ...], out: Path, err: Path, env: Mapping[str, str]) -> NoReturn:
    code = 70
    try:
        import logging

        logging.getLogger().handlers.clear()  # the parent process is pytest
        os.dup2(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
        os.dup2(os.open(err, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
        os.environ.update(env)
        sys.argv = ["tap-pipedrive", *args]
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        except BaseException:  # noqa: BLE001
            traceback.print_exc()
            code = 1
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def env_of(url: str, token: str = TOKEN, **settings: str) -> dict[str, str]:
    own = {f"TAP_PIPEDRIVE_{name.upper()}": value for name, value in settings.items()}
    return {"TAP_PIPEDRIVE_API_TOKEN": token, "TAP_PIPEDRIVE_API_URL": url, **own}


def write(path: Path, content: Any) -> str:
    path.write_text(content if isinstance(content, str) else json.dumps(content, default=str))
    return str(path)


# Output


def test_loopback_is_not_requested_through_a_proxy(tap: Any) -> None:
    with Sandbox(deals=5) as sandbox:
        nowhere = "http://127.0.0.1:9"
        done = tap(
            "--config=ENV",
            "--test",
            TAP_PIPEDRIVE_API_URL=sandbox.url,
            TAP_PIPEDRIVE_API_TOKEN=TOKEN,
            HTTP_PROXY=nowhere,
            http_proxy=nowhere,
            NO_PROXY="example.com",
            no_proxy="example.com",
        )
        assert done.code == 0, done.err


def test_version_is_printed(tap: Any) -> None:
    done = tap("--version")
    assert done.code == 0
    assert re.match(r"tap-pipedrive v?\d+\.\d+\.\d+", done.out)


@pytest.mark.parametrize("style", ["text", "json", "markdown"])
def test_about_is_printed(tap: Any, style: str) -> None:
    done = tap("--about", *(() if style == "text" else (f"--format={style}",)))
    assert done.code == 0, done.err
    assert all(setting in done.out for setting in Settings.model_fields)
    if style == "json":
        about = json.loads(done.out)
        settings = about["settings"]["properties"]
        assert settings["api_token"]["secret"] is True
        assert about["settings"]["required"] == []
        assert all(settings[name].get("description") for name in Settings.model_fields)
    elif style == "markdown":
        assert len(re.findall(r"^\| (\w+)\s+\|", done.out, re.MULTILINE)) >= len(Settings.model_fields)


def test_discover_prints_the_catalog(tap: Any, shared: Sandbox) -> None:
    done = tap("--config=ENV", "--discover", **env_of(shared.url))
    assert done.code == 0, done.err
    catalog = json.loads(done.out)
    assert {entry["tap_stream_id"] for entry in catalog["streams"]} == NAMES
    deals = next(entry for entry in catalog["streams"] if entry["tap_stream_id"] == "deals")
    assert any(
        "Custom field" in (column.get("description") or "")
        for column in deals["schema"]["properties"].values()
    )


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({}, "api_token"),
        ({"api_token": "wrong"}, "accept the API token|401"),
        ({"api_token": TOKEN, "api_url": "http://127.0.0.1:1"}, "no connection|failed"),
        ({"api_token": TOKEN, "lookback_seconds": -1}, "lookback_seconds"),
    ],
    ids=["no token", "wrong token", "unreachable", "bad setting"],
)
@pytest.mark.usefixtures("sleeps")
def test_discover_without_an_api_lists_the_streams_and_warns(
    tap: Any, shared: Sandbox, tmp_path: Path, settings: dict[str, Any], why: str
) -> None:
    config = write(tmp_path / "config.json", {"api_url": shared.url, **settings})
    done = tap("--config", config, "--discover")
    assert done.code == 0, done.err
    assert {entry["tap_stream_id"] for entry in json.loads(done.out)["streams"]} == NAMES
    assert "Traceback" not in done.err
    said = [line for line in done.err.splitlines() if "WARNING" in line]
    assert any("ustom fields" in line and re.search(why, line) for line in said), done.err


def test_the_test_option_runs_the_tap(tap: Any, shared: Sandbox) -> None:
    done = tap("--config=ENV", "--test", **env_of(shared.url))
    assert done.code == 0, done.err
    assert "Traceback" not in done.err


def test_a_run_can_be_configured_by_environment_alone(tap: Any, shared: Sandbox) -> None:
    done = tap(
        "--config=ENV", **env_of(shared.url, custom_fields="json", lookback_seconds="5", start_date="")
    )
    assert done.code == 0, done.err
    kinds = {loads(line)["type"] for line in done.out.splitlines()}
    assert kinds == {"SCHEMA", "RECORD", "STATE"}
    assert "ERROR" not in done.err
    assert TOKEN not in done.err


def test_object_settings_can_be_set_in_the_environment(tap: Any) -> None:
    lists = {
        "/api/v2/dealFields": [field_definition(KEY, "X", "varchar")],
        "/api/v2/deals": [{"id": 1, "custom_fields": {KEY: "a"}}],
    }
    with fake(account(lists)) as server:
        done = tap("--config=ENV", **env_of(server.url, custom_field_names=json.dumps({KEY: "mine"})))
    assert done.code == 0, done.err
    assert '"mine":"a"' in done.out


def test_debug_lines_contain_no_token(tap: Any, shared: Sandbox) -> None:
    done = tap("--config=ENV", TAP_PIPEDRIVE_LOGLEVEL="DEBUG", **env_of(shared.url))
    assert done.code == 0
    assert "DEBUG" in done.err
    assert TOKEN not in done.err + done.out


# Errors in one sentence


def test_missing_settings_are_reported(tap: Any) -> None:
    text = tap("--config=ENV").is_one_sentence()
    assert "api_token" in text
    assert "TAP_PIPEDRIVE_API_TOKEN" in text


@pytest.mark.parametrize("mode", [(), ("--test",)])
def test_a_wrong_token_is_reported(tap: Any, shared: Sandbox, mode: tuple[str, ...]) -> None:
    done = tap("--config=ENV", *mode, **env_of(shared.url, token="wr0ngt0ken"))
    assert "TAP_PIPEDRIVE_API_TOKEN" in done.is_one_sentence()
    assert "wr0ngt0ken" not in done.err


@pytest.mark.parametrize("mode", [(), ("--test",)])
@pytest.mark.usefixtures("sleeps")
def test_an_unreachable_address_is_reported(tap: Any, mode: tuple[str, ...]) -> None:
    text = tap("--config=ENV", *mode, **env_of("http://127.0.0.1:1")).is_one_sentence()
    assert "127.0.0.1:1" in text


@pytest.mark.usefixtures("sleeps")
def test_a_web_server_other_than_pipedrive_is_reported(tap: Any) -> None:
    with fake([Say(200, b"<html>Welcome to nginx</html>")]) as server:
        tap("--config=ENV", **env_of(server.url)).is_one_sentence()


def test_a_refusal_of_all_streams_is_reported(tap: Any) -> None:
    with fake([Say(404, b"<html>nginx</html>")]) as server:
        done = tap("--config=ENV", **env_of(server.url))
    assert (done.code, len(done.errors)) == (1, 1)
    written = [message for line in done.out.splitlines() if (message := loads(line))["type"] == "RECORD"]
    assert {message["stream"] for message in written} == {"run_statements"}, "what is said of the run itself"
    assert all(message["record"]["undone_reason"] for message in written)


WRONG: list[tuple[str, Any]] = [
    ("api_token", ""),
    ("api_token", "two words"),
    ("api_token", "line\nbreak"),
    ("api_token", "tökén"),
    ("api_token", 5),
    ("api_token", ["a"]),
    ("api_url", "acme.pipedrive.com"),
    ("api_url", "ftp://acme.pipedrive.com"),
    ("api_url", "https://acme.pipedrive.com/api/v2"),
    ("api_url", "https://user:pw@acme.pipedrive.com"),
    ("api_url", "https://acme.pipedrive.com\n"),
    ("api_url", "http://[::1"),
    ("api_url", "http://exa mple.com"),
    ("api_url", "http://127.0.0.1:99999"),
    ("api_url", "http://127.0.0.1:port"),
    ("api_url", "http://.pipedrive.com"),
    ("api_url", 5),
    ("start_date", "yesterday"),
    ("start_date", "2026-02-30"),
    ("start_date", 20260101),
    ("start_date", "2026"),
    ("start_date", True),
    ("lookback_seconds", -1),
    ("lookback_seconds", "many"),
    ("lookback_seconds", 1.5),
    ("lookback_seconds", 10**15),
    ("lookback_seconds", [60]),
    ("custom_fields", "xml"),
    ("custom_field_names", "x"),
    ("custom_field_names", {KEY: "Not A Column"}),
    ("custom_field_names", {KEY: ""}),
    ("custom_field_names", {KEY: "a" * 64}),
    ("custom_field_names", {KEY: 5}),
    ("custom_field_names", {KEY: "x\n"}),
    ("max_custom_field_columns", -1),
    ("max_custom_field_columns", 1600),
    ("max_rejects", 1.5),
    ("max_rejects", "few"),
    ("max_record", 5),
    ("api_tokn", "x"),
]  # fmt: skip


@pytest.mark.usefixtures("sleeps")
@pytest.mark.parametrize(("name", "value"), WRONG, ids=[f"{name}={value!r}"[:50] for name, value in WRONG])
def test_a_wrong_setting_is_reported(
    tap: Any, shared: Sandbox, tmp_path: Path, name: str, value: Any
) -> None:
    """The run has a bookmark, so that settings about changes are used."""
    bookmark = {"replication_key": "update_time", "replication_key_value": "2026-01-01T00:00:00Z"}
    state = write(tmp_path / "state.json", {"bookmarks": {"persons": bookmark}})
    config = write(tmp_path / "config.json", {"api_url": shared.url, "api_token": "s3cret", name: value})
    done = tap("--config", config, "--state", state)
    assert name in done.is_one_sentence()
    assert "s3cret" not in done.err


def test_several_wrong_settings_are_reported_in_one_sentence_each(tap: Any, tmp_path: Path) -> None:
    done = tap(
        "--config", write(tmp_path / "c.json", {"max_rejects": 7, "custom_fields": "xml", "colour": 1})
    )
    assert done.code == 1
    assert "Traceback" not in done.err
    for name in ("api_token", "max_rejects", "custom_fields", "colour"):
        assert len([text for text in done.errors if f"Setting {name}" in text]) == 1, done.err


@pytest.mark.parametrize("option", ["--config", "--state", "--catalog"])
@pytest.mark.parametrize("content", [None, "{", "[]"], ids=repr)
def test_a_file_that_is_not_a_json_object_is_reported(
    tap: Any, shared: Sandbox, tmp_path: Path, option: str, content: str | None
) -> None:
    path = str(tmp_path / "nothing.json") if content is None else write(tmp_path / "file.json", content)
    args = [option, path] if option == "--config" else ["--config=ENV", option, path]
    done = tap(*args, **env_of(shared.url))
    assert done.code != 0, "ran as if nothing was wrong"
    assert "Traceback" not in done.err
    assert done.out == ""


def test_a_conflicting_alias_is_reported(tap: Any, living: Sandbox, tmp_path: Path) -> None:
    key = living.post("/sandbox/fields/deal", {"field_name": "X", "field_type": "text"})["field_code"]
    config = {"api_url": living.url, "api_token": TOKEN, "custom_field_names": {key: "title"}}
    text = tap("--config", write(tmp_path / "c.json", config)).is_one_sentence()
    assert "custom_field_names" in text
    assert "title" in text


def test_a_bookmark_in_the_future_is_reported(tap: Any, shared: Sandbox, tmp_path: Path) -> None:
    bookmark = {"replication_key": "update_time", "replication_key_value": "2099-01-01T00:00:00Z"}
    state = write(tmp_path / "state.json", {"bookmarks": {"organizations": bookmark}})
    done = tap("--config=ENV", "--state", state, **env_of(shared.url))
    assert done.code == 1
    assert len(done.errors) == 1
    assert "Traceback" not in done.err


def test_a_fault_during_a_run_is_one_sentence_and_rows_read_before_it_are_kept(
    tap: Any, sleeps: list[float]
) -> None:
    lists = {"/api/v1/users": [{"id": 1}]}
    with fake(
        account(lists, spoil=lambda asked: Say(500, b"") if "persons" in asked.path else None)
    ) as server:
        done = tap("--config=ENV", **env_of(server.url))
    assert done.code == 1
    assert len(done.errors) == 1
    assert "/api/v2/persons" in done.errors[0]
    assert "Traceback" not in done.err
    assert '"stream":"users","record":{"id":1' in done.out
    assert all(json.loads(line) for line in done.out.splitlines())


# Rejects


def rejecting(bad: int, good: int) -> dict[str, list[Any]]:
    rows: list[Any] = [{"id": n, "add_time": "nonsense"} for n in range(1, bad + 1)]
    return {"/api/v1/users": [], "/api/v2/persons": rows + [{"id": 10_000 + n} for n in range(good)]}


@pytest.mark.parametrize(
    ("bad", "good", "setting", "fails"),
    [
        (10, 0, "0.01", False),
        (10, 0, "0", False),
        (11, 0, "0.01", True),
        (11, 1089, "0.01", False),
        (11, 1000, "0.01", True),
        (50, 0, "1", False),
        (50, 51, "0.5", False),
    ],
)
def test_more_rejects_than_max_rejects_fail_the_run(
    tap: Any, bad: int, good: int, setting: str, fails: bool
) -> None:
    with fake(account(rejecting(bad, good))) as server:
        done = tap("--config=ENV", **env_of(server.url, max_rejects=setting))
    messages = [loads(line) for line in done.out.splitlines()]
    kept = [m for m in messages if m["type"] == "RECORD" and m["stream"] == "rejected_values"]
    assert len(kept) == bad
    assert len([m for m in messages if m["type"] == "RECORD" and m["stream"] == "persons"]) == bad + good
    assert "Traceback" not in done.err
    if fails:
        assert done.code == 1
        assert len(done.errors) == 1
        assert all(word in done.errors[0] for word in ("persons", "max_rejects", str(bad), "rejected_values"))
    else:
        assert (done.code, done.errors) == (0, [])
        assert any("WARNING" in line and "rejected_values" in line for line in done.err.splitlines())


def test_a_record_that_is_not_an_object_is_rejected_and_counted(tap: Any) -> None:
    rows: list[Any] = [{"id": 1}, None, "text", {"name": "without id"}, {"id": "abc"}, {"id": 2}]
    with fake(account({"/api/v2/persons": rows})) as server:
        done = tap("--config=ENV", **env_of(server.url))
    messages = [loads(line) for line in done.out.splitlines()]
    records = {
        kind: [m["record"] for m in messages if m.get("stream") == kind and m["type"] == "RECORD"]
        for kind in ("persons", "rejected_values")
    }
    assert [row["id"] for row in records["persons"]] == [1, 2]
    kept = records["rejected_values"]
    assert [json.loads(row["value"]) for row in kept] == [None, "text", {"name": "without id"}, {"id": "abc"}]
    assert len({(row["stream"], row["record_id"], row["field"]) for row in kept}) == 4


# How a run ends


def start(url: str, **options: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "tap_pipedrive", "--config=ENV"],
        env={**os.environ, **env_of(url)},
        stderr=subprocess.PIPE,
        **options,
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_run_with_an_error_and_complete_lines(
    living: Sandbox, number: signal.Signals
) -> None:
    living.post("/sandbox/faults", {"kind": "slow", "path": "/persons", "seconds": 20})
    # communicate() would ignore data in a buffer
    process = start(living.url, stdout=subprocess.PIPE, bufsize=0)
    assert process.stdout
    lines = [process.stdout.readline()]
    while b'"organizations"' not in lines[-1] or b'"STATE"' in lines[-1]:
        lines.append(process.stdout.readline())
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert process.returncode not in (0, None)
    assert b"Traceback" not in err
    assert err.count(b"ERROR") == 1
    for line in lines + out.splitlines():
        assert loads(line)["type"]


def test_a_target_that_stops_reading_is_reported_in_one_sentence() -> None:
    with Sandbox(deals=400) as sandbox:
        process = start(sandbox.url, stdout=subprocess.PIPE)
        assert process.stdout
        assert process.stderr
        process.stdout.readline()
        process.stdout.close()
        err = process.stderr.read()
        process.stderr.close()
        assert process.wait(timeout=30) == 1
    assert b"Traceback" not in err
    assert b"Exception ignored" not in err
    assert err.count(b"ERROR") == 1
    assert b"target stopped reading" in err


def test_a_catalog_that_selects_nothing_reads_nothing(tap: Any, shared: Sandbox, tmp_path: Path) -> None:
    catalog = write(tmp_path / "catalog.json", select(discover(shared.url)))
    done = tap("--config=ENV", "--catalog", catalog, **env_of(shared.url))
    assert done.code == 0, done.err
    assert '"RECORD"' not in done.out
