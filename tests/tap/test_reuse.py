"""The tap without the project: installed alone, described by its own output, and with another target."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pipedrive_sandbox.testing import Sandbox
from tap_pipedrive.settings import Settings, config_schema
from tap_pipedrive.streams import STREAMS
from tap_pipedrive.tap import TapPipedrive

from .harness import loads

PACKAGE = Path(__file__).parents[2] / "tap-pipedrive"
START_SECONDS = 1.5
TABLES = (
    "deals",
    "persons",
    "organizations",
    "activities",
    "products",
    "leads",
    "notes",
    "stages",
    "users",
    "deal_products",
)


def install(venv: Path, *packages: str) -> Path:
    """Return the programs of a new environment that holds only these packages."""
    uv = str(Path(sys.executable).with_name("uv"))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("UV_")}
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, venv], check=True, env=environment)
    command = [uv, "pip", "install", "--quiet", "--python", str(venv / "bin/python"), *packages]
    subprocess.run(command, check=True, env=environment)
    return venv / "bin"


@pytest.fixture(scope="session")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment that holds only the tap."""
    return install(tmp_path_factory.mktemp("tap") / "venv", str(PACKAGE))


@pytest.fixture(scope="session")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment with a target that shares nothing with the tap, not even the SDK.

    Later versions of DuckDB read the first row of each table that this target loads as column names.
    """
    return install(tmp_path_factory.mktemp("target") / "venv", "target-duckdb==0.8.0", "duckdb==1.1.3")


def tap(programs: Path, folder: Path, *words: str | Path, **environment: str) -> str:
    """Return the output of the installed tap, started outside the project; AssertionError shows its errors."""
    path = {"PATH": os.environ["PATH"], "HOME": str(folder), **environment}
    command = [programs / "tap-pipedrive", *words]
    done = subprocess.run(command, cwd=folder, env=path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def of(sandbox: Sandbox) -> dict[str, str]:
    return {"TAP_PIPEDRIVE_API_URL": sandbox.url, "TAP_PIPEDRIVE_API_TOKEN": sandbox.token}


# Installation


def test_the_tap_needs_nothing_of_the_project(alone: Path, tmp_path: Path) -> None:
    code = "import tap_pipedrive.tap, importlib.util; print(importlib.util.find_spec('pipedrive_sandbox'))"
    done = subprocess.run(
        [alone / "python", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "None\n"


def test_the_tap_starts_quickly(alone: Path, tmp_path: Path) -> None:
    """Measured in CPU seconds, the best of three, because the machine may be busy."""
    took = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert tap(alone, tmp_path, "--version").startswith("tap-pipedrive")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        took.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(took) < START_SECONDS


def test_the_tap_lists_its_streams_without_account_or_network(alone: Path, tmp_path: Path) -> None:
    catalog = json.loads(tap(alone, tmp_path, "--discover"))
    assert [each["tap_stream_id"] for each in catalog["streams"]] == [vars(each)["name"] for each in STREAMS]


def test_the_tap_reads_an_account(alone: Path, tmp_path: Path, shared: Sandbox) -> None:
    messages = [loads(line) for line in tap(alone, tmp_path, "--config=ENV", **of(shared)).splitlines()]
    deals = {
        each["record"]["id"] for each in messages if each["type"] == "RECORD" and each["stream"] == "deals"
    }
    assert deals == {row["id"] for row in shared.truth("deals")}


# Its description


def every_setting() -> dict[str, Any]:
    schema = config_schema()
    TapPipedrive.append_builtin_config(schema)
    properties: dict[str, Any] = schema["properties"]
    return properties


def test_about_in_json_describes_every_setting(alone: Path, tmp_path: Path) -> None:
    about = json.loads(tap(alone, tmp_path, "--about", "--format=json"))
    described = about["settings"]["properties"]
    assert described.keys() == every_setting().keys() > Settings.model_fields.keys()
    for name, field in Settings.model_fields.items():
        assert described[name]["description"] == field.description
        assert described[name]["title"] == field.title
    assert all(each["description"] and each["type"] for each in described.values())
    secret = {name for name, each in described.items() if each.get("secret")}
    assert secret == {"api_token", "client_id", "client_secret", "refresh_token", "redis_url", "mask_key"}
    assert set(about["capabilities"]) == {each.value for each in TapPipedrive.capabilities}
    assert about["supported_python_versions"] == ["3.11", "3.12", "3.13", "3.14"]


def test_about_in_markdown_has_a_line_for_every_setting(alone: Path, tmp_path: Path) -> None:
    text = tap(alone, tmp_path, "--about", "--format=markdown")
    rows = [line.strip("|").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    described = {row[0].strip(): row[-1].strip() for row in rows}
    assert described.keys() >= every_setting().keys()
    assert all(described[name] == field.description for name, field in Settings.model_fields.items())


def test_an_unknown_setting_is_reported_with_the_known_ones(alone: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"api_token": "x", "user-agent": "Stitch"}))
    with pytest.raises(AssertionError) as caught:
        tap(alone, tmp_path, "--config", config)
    assert "Setting user-agent is unknown: the settings are api_token, " in str(caught.value)
    assert "Traceback" not in str(caught.value)


# Another target


class DuckDB:
    """A database file, filled by target-duckdb."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs = programs
        self._file = folder / "warehouse.duckdb"
        self._config = folder / "target.json"
        self._config.write_text(
            json.dumps({"filepath": str(self._file), "default_target_schema": "pipedrive"})
        )

    def load(self, messages: str) -> str:
        """Load messages, and return the last state that the target emits."""
        command = [str(self._programs / "target-duckdb"), "--config", str(self._config)]
        done = subprocess.run(command, input=messages, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()[-1]

    def rows(self, table: str) -> list[dict[str, Any]]:
        """Return all rows in types that JSON has."""
        code = (
            "import duckdb, json, sys\n"
            "found = duckdb.connect(sys.argv[1]).execute(f'select * from pipedrive.{sys.argv[2]}')\n"
            "names = [each[0] for each in found.description]\n"
            "print(json.dumps([dict(zip(names, row)) for row in found.fetchall()], default=str))"
        )
        command = [str(self._programs / "python"), "-c", code, str(self._file), table]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        rows: list[dict[str, Any]] = json.loads(done.stdout)
        return rows


def by_id(rows: list[dict[str, Any]], *columns: str) -> Mapping[Any, Any]:
    assert len({row["id"] for row in rows}) == len(rows), "a row is there twice"
    return {row["id"]: [row[column] for column in columns] for row in rows}


def assert_equals_truth(database: DuckDB, sandbox: Sandbox) -> None:
    columns = {
        "deals": ("title", "status", "stage_id"),
        "persons": ("name", "owner_id"),
        "notes": ("deal_id", "user_id"),
    }
    for table in TABLES:
        chosen = columns.get(table, ())
        assert by_id(database.rows(table), *chosen) == by_id(sandbox.truth(table), *chosen), table
    values = {row["id"]: row["value"] and float(row["value"]) for row in database.rows("deals")}
    assert values == {row["id"]: row["value"] and float(row["value"]) for row in sandbox.truth("deals")}


def test_another_target_loads_the_same_rows(
    alone: Path, target: Path, tmp_path: Path, living: Sandbox
) -> None:
    database = DuckDB(target, tmp_path)
    state = tmp_path / "state.json"
    state.write_text(database.load(tap(alone, tmp_path, "--config=ENV", **of(living))))
    assert_equals_truth(database, living)
    living.post("/sandbox/clock", {"advance_seconds": 3600})
    living.post("/sandbox/records/deals", {"title": "Novo negócio ✓", "value": 12.5, "currency": "BRL"})
    living.patch(f"/sandbox/records/persons/{living.truth('persons')[0]['id']}", {"name": "Renata"})
    second = tap(alone, tmp_path, "--config=ENV", "--state", state, **of(living))
    assert second.count('"RECORD"') < 1_000
    database.load(second)
    assert_equals_truth(database, living)
