"""The definition for Meltano Hub is up to date and complete, and Meltano can add it."""

import json
import subprocess
import sys
from importlib import resources
from pathlib import Path
from types import ModuleType
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml
from tap_pipedrive.settings import Settings
from tap_pipedrive.tap import TapPipedrive

from .documents import ROOT, load

HUB = ROOT / "tap-pipedrive" / "hub"
MELTANO = str(Path(sys.executable).with_name("meltano"))


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text())
    return found


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    return load(ROOT / "tap-pipedrive/generate.py")


@pytest.fixture(scope="module")
def definition() -> dict[str, Any]:
    return read(HUB / "tap-pipedrive.yml")


def test_the_definition_equals_meltano_yml(definition: dict[str, Any]) -> None:
    ours = read(ROOT / "meltano.yml")["plugins"]["extractors"][0]
    keys = ("name", "kind", "sensitive", "value")
    said = [{key: each.get(key) for key in keys} for each in definition["settings"]]
    assert said == [{key: each.get(key) for key in keys} for each in ours["settings"]]
    for key in ("capabilities", "select", "settings_group_validation", "namespace", "executable", "label"):
        assert definition[key] == ours[key], key


def test_every_setting_is_described(definition: dict[str, Any]) -> None:
    settings = {each["name"]: each for each in definition["settings"]}
    assert settings.keys() > Settings.model_fields.keys()
    assert all(each["description"] and each["label"] for each in settings.values())
    groups = {name for group in definition["settings_group_validation"] for name in group}
    assert {name for name, each in settings.items() if each.get("sensitive")} == groups | {
        "mask_key",
        "redis_url",
    }


def test_the_definition_matches_meltanos_schema(definition: dict[str, Any]) -> None:
    """Keys that only the Hub uses are not part of that schema."""
    schema = json.loads(resources.files("meltano.schemas").joinpath("meltano.schema.json").read_text())
    plugin = {
        name: value
        for name, value in definition.items()
        if name not in ("maintenance_status", "domain_url", "keywords", "usage")
    }
    jsonschema.Draft202012Validator(schema).validate({"plugins": {"extractors": [plugin]}})
    plugin["settings"] = [{**plugin["settings"][0], "kind": "word"}]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema).validate({"plugins": {"extractors": [plugin]}})


def test_the_plugin_is_installed_from_a_public_repository(generate: ModuleType) -> None:
    public = generate.plugin("https://git.example/acme/pipedrive")
    assert public["repo"] == "https://git.example/acme/pipedrive"
    assert public["pip_url"] == "git+https://git.example/acme/pipedrive.git#subdirectory=tap-pipedrive"


def test_meltano_can_add_the_plugin(tmp_path: Path) -> None:
    (tmp_path / "meltano.yml").write_text(
        "default_environment: dev\nsend_anonymous_usage_stats: false\nenvironments:\n- name: dev\n"
    )
    meltano = [MELTANO, "--cwd", str(tmp_path)]
    added = subprocess.run(
        [*meltano, "add", "tap-pipedrive", "--from-ref", str(HUB / "tap-pipedrive.yml"), "--no-install"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert added.returncode == 0, added.stderr
    listed = subprocess.run(
        [*meltano, "config", "print", "tap-pipedrive"], capture_output=True, text=True, check=False
    )
    assert listed.returncode == 0, listed.stderr
    config = json.loads(listed.stdout)
    assert config["lookback_seconds"] == 60
    assert TapPipedrive.name in (tmp_path / "meltano.yml").read_text()
