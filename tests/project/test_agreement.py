# Over 400 lines: one test for each pair of places that must agree.
"""Facts that are stated in several places agree: settings, streams, marts, versions, names."""

import json
import re
import tomllib
import types
import typing
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from dotenv import dotenv_values
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from tap_hubspot.tap import SETTINGS
from tap_pipedrive.field_types import KINDS as KINDS_OF_FIELDS
from tap_pipedrive.settings import Settings, config_schema
from tap_pipedrive.streams import STREAMS
from tap_pipedrive.sync import PipedriveStream
from tap_pipedrive.tap import TapPipedrive

from orchestrate import metabase, observe, review

from .documents import (
    BEHAVIOUR,
    CUSTOM_FIELDS_PAGES,
    DEVELOP,
    ENGLISH,
    MARTS_PAGES,
    OPERATE,
    PORTUGUESE,
    RECIPES,
    ROOT,
    TAP,
    blocks,
    quoted,
    table,
)

MARTS = ROOT / "transform" / "models" / "marts"

KINDS: Mapping[Any, str] = {
    str: "string",
    int: "integer",
    float: "string",
    bool: "boolean",
    datetime: "date_iso8601",
    dict: "object",
    typing.Literal: "options",
}
"""Meltano's kind of a setting by its Python type."""


@cache
def meltano() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "meltano.yml").read_text())
    return loaded


def plugin(group: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(each for each in meltano()["plugins"][group] if each["name"] == name)
    return found


def kind(annotation: Any) -> str:
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        (annotation,) = (each for each in typing.get_args(annotation) if each is not type(None))
    return KINDS[typing.get_origin(annotation) or annotation]


def default(field: FieldInfo) -> Any:
    value = field.get_default(call_default_factory=True)
    return None if value is PydanticUndefined or value == {} else value


# Settings


def test_meltano_declares_the_taps_settings_with_kinds_defaults_and_secrets() -> None:
    declared = {each["name"]: each for each in plugin("extractors", "tap-pipedrive")["settings"]}
    for name, field in Settings.model_fields.items():
        setting = declared[name]
        extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        assert setting["kind"] == kind(field.annotation), name
        assert setting.get("value") == default(field), name
        assert setting.get("sensitive", False) == extra.get("secret", False), name
        assert setting["label"] == field.title, name
        if setting["kind"] == "options":
            options = [each["value"] for each in setting["options"]]
            assert options == list(typing.get_args(field.annotation)), name


def test_meltano_declares_every_setting_that_the_sdk_adds() -> None:
    """Meltano ignores settings that are not declared."""
    schema = config_schema()
    TapPipedrive.append_builtin_config(schema)
    declared = [each["name"] for each in plugin("extractors", "tap-pipedrive")["settings"]]
    assert declared == list(schema["properties"])


def test_meltano_selects_what_the_tap_selects_by_default() -> None:
    """Without a selection, Meltano selects everything."""
    selected = plugin("extractors", "tap-pipedrive")["select"]
    defaults = [vars(stream)["name"] for stream in STREAMS if stream.selected_by_default]
    assert selected == [f"{name}.*" for name in defaults]


def test_meltano_declares_the_taps_capabilities() -> None:
    declared = plugin("extractors", "tap-pipedrive")["capabilities"]
    assert set(declared) == {each.value for each in TapPipedrive.capabilities}


def env_example() -> list[str]:
    """Return the names in .env.example, including those in comments."""
    return re.findall(r"^(?:# )?([A-Z][A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)


def test_env_example_has_every_setting_and_no_unused_variable() -> None:
    names = env_example()
    lock = json.loads((ROOT / "plugins/loaders/target-postgres--meltanolabs.lock").read_text())
    taps = {
        f"{tap}_{each['name']}".upper().replace("-", "_")
        for tap in ("tap-pipedrive", "tap-hubspot")
        for each in plugin("extractors", tap)["settings"]
    }
    target = {f"TARGET_POSTGRES_{each['name']}".upper() for each in lock["settings"]}
    dbt = {each["env"] for each in plugin("utilities", "dbt-postgres")["settings"] if "env" in each}
    compose = set(re.findall(r"\$\{(\w+)", (ROOT / "deploy/compose.yaml").read_text()))
    commands = {*metabase.VARIABLES, *observe.VARIABLES, *review.VARIABLES}
    assert not set(names) - taps - target - dbt - compose - commands - {"MELTANO_DATABASE_URI"}
    assert commands <= set(names)
    assert len(names) == len(set(names))
    assert {f"TAP_PIPEDRIVE_{name}".upper() for name in Settings.model_fields} <= set(names)


def test_variables_that_dbt_reads_are_in_env_example() -> None:
    sources = [*(ROOT / "transform").glob("*.yml"), *(ROOT / "transform/macros").glob("*.sql")]
    read = {name for path in sources for name in re.findall(r"env_var\(\s*['\"](\w+)", path.read_text())}
    assert read
    assert read - {"DEMO_SEEDS"} <= set(env_example())  # that one is for `make run` only


def test_meltano_reads_dbts_settings_from_the_variables_of_dbt() -> None:
    """Without this, Meltano would overwrite a variable that is set with the default."""
    settings = [each for each in plugin("utilities", "dbt-postgres")["settings"] if "label" in each]
    assert settings
    for each in settings:
        assert each["env_aliases"] == [each["env"]]


def test_a_copied_env_example_sets_nothing() -> None:
    """Therefore `make run` still runs the demo with it."""
    assert not any(dotenv_values(ROOT / ".env.example").values())


def test_documents_name_variables_of_env_example() -> None:
    names = {
        document: set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)*\b", document.read_text()))
        for document in (ENGLISH, PORTUGUESE, OPERATE)
    }
    assert {name for name in env_example() if not name.startswith("TAP_")} <= names[OPERATE]
    for mentioned in names.values():
        assert {name for name in mentioned if name.startswith("TARGET_POSTGRES_")} <= set(env_example())


@pytest.mark.parametrize("readme", [DEVELOP, TAP], ids=["develop", "tap"])
def test_configuration_files_in_readmes_are_valid(readme: Path) -> None:
    samples = [json.loads(block.text) for block in blocks(readme) if block.language == "json"]
    assert samples
    for sample in samples:
        Settings.model_validate({**sample, "api_token": "x"})


# Streams


def name_of(stream: type[PipedriveStream]) -> str:
    return str(vars(stream)["name"])  # the SDK declares it for instances only


def test_dbt_has_a_source_and_a_staging_model_for_every_stream() -> None:
    staging = ROOT / "transform/models/staging/pipedrive"
    sources = yaml.safe_load((staging / "_pipedrive__sources.yml").read_text())["sources"]
    names = {name_of(stream) for stream in STREAMS}
    assert {each["name"] for source in sources for each in source["tables"]} == names
    assert {path.stem.removeprefix("stg_pipedrive__") for path in staging.glob("*.sql")} == names


def test_every_singular_test_has_a_description_that_a_run_can_show() -> None:
    folder = ROOT / "transform" / "tests"
    described = yaml.safe_load((folder / "_tests.yml").read_text())["data_tests"]
    assert sorted(each["name"] for each in described if each["description"].strip()) == sorted(
        path.stem for path in folder.glob("*.sql")
    )


def test_meltano_selects_exactly_the_hubspot_properties_that_the_models_read() -> None:
    staging = ROOT / "transform/models/staging/hubspot"
    (source,) = yaml.safe_load((staging / "_hubspot__sources.yml").read_text())["sources"]
    read = set()
    for stream in source["tables"]:
        paths = {column["name"]: {column["name"]} for column in stream["columns"]}
        if "properties" in paths:
            model = (staging / f"stg_hubspot__{stream['name']}.sql").read_text()
            names = re.findall(r"hubspot_(?:text|number|time)\('(\w+)'\)", model)
            names += ["hs_merged_object_ids"] if "hubspot_is_deleted" in model else []
            paths["properties"] = {f"properties.{name}" for name in names}
        if "associations" in paths:
            paths["associations"] = {"associations.*"}
        read |= {f"{stream['name']}.{path}" for found in paths.values() for path in found}
    automatic = {path for path in read if path.endswith((".id", ".updatedAt"))}
    selected = plugin("extractors", "tap-hubspot")["select"]
    assert len(selected) == len(set(selected))
    assert set(selected) == read - automatic


def test_meltano_declares_the_settings_of_the_hubspot_tap_with_their_defaults() -> None:
    ours = {name: setting.get("default") for name, setting in SETTINGS.to_dict()["properties"].items()}
    theirs = {each["name"]: each.get("value") for each in plugin("extractors", "tap-hubspot")["settings"]}
    assert {name: theirs[name] for name in ours} == ours
    assert theirs.keys() - ours.keys() == {"stream_maps", "stream_map_config"}  # settings of the SDK


@pytest.mark.parametrize("page", CUSTOM_FIELDS_PAGES, ids=["en", "pt"])
def test_the_page_has_the_columns_of_every_kind_of_custom_field(page: Path) -> None:
    theirs = {
        field_type: {column.removeprefix("x") for column in quoted(columns)}
        for types_, columns in table(page, "custom fields")
        for field_type in quoted(types_)
    }
    ours = {name: {suffix for suffix, _ in kind.columns} for name, kind in KINDS_OF_FIELDS.items()}
    assert theirs == ours


# Marts


@pytest.mark.parametrize("page", MARTS_PAGES, ids=["en", "pt"])
def test_the_page_has_the_table_of_marts(page: Path) -> None:
    theirs = {quoted(row[0])[0] for row in table(page, "marts")}
    assert theirs == {path.stem for path in MARTS.rglob("*.sql")}


def test_the_english_page_has_the_grain_of_every_mart() -> None:
    for name, grain, _ in table(MARTS_PAGES[0], "marts"):
        (document,) = MARTS.rglob(f"{quoted(name)[0]}.yml")
        model = yaml.safe_load(document.read_text())["models"][0]
        said = re.split(r"[;.]", model["description"].removeprefix("One row per "))[0]
        assert grain == " ".join(said.split()), name


# Versions


def pinned(name: str) -> dict[str, str]:
    """Return the versions of a constraints file by package; the last one if they differ by Python version."""
    lines = (ROOT / "plugins/constraints" / f"{name}.txt").read_text().splitlines()
    found = [Requirement(line) for line in lines if line.strip() and not line.lstrip().startswith("#")]
    return {
        canonicalize_name(each.name): str(next(iter(each.specifier))).removeprefix("==")
        for each in found
        if each.url is None
    }


def requirements(pip_url: str) -> list[Requirement]:
    words = pip_url.partition(" -c ")[0].split()
    return [Requirement(word) for word in words if "==" in word]


@pytest.mark.parametrize(
    ("group", "name"),
    [
        ("extractors", "tap-pipedrive"),
        ("extractors", "tap-hubspot"),
        ("loaders", "target-postgres"),
        ("utilities", "dbt-postgres"),
    ],
)
def test_constraints_include_everything_that_meltano_installs(group: str, name: str) -> None:
    pip_url = plugin(group, name)["pip_url"]
    assert pip_url.endswith(f" -c plugins/constraints/{name}.txt")
    versions = pinned(name)
    for requirement in requirements(pip_url):
        assert versions[canonicalize_name(requirement.name)] in requirement.specifier


@pytest.mark.parametrize("folder", ["tap-pipedrive", "plugins/tap-hubspot"])
def test_constraints_of_a_tap_satisfy_its_requirements(folder: str) -> None:
    project = tomllib.loads((ROOT / folder / "pyproject.toml").read_text())["project"]
    versions = pinned(Path(folder).name)
    for requirement in map(Requirement, project["dependencies"]):
        assert versions[canonicalize_name(requirement.name)] in requirement.specifier, requirement


def test_tests_and_runs_use_the_same_singer_sdk() -> None:
    packages = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
    locked = {each["name"]: each.get("version") for each in packages}
    assert (
        locked["singer-sdk"] == pinned("tap-pipedrive")["singer-sdk"] == pinned("tap-hubspot")["singer-sdk"]
    )
    assert locked["meltano"] == requirement_of_project("meltano")


def requirement_of_project(name: str) -> str:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    specifier = next(
        each.specifier for each in map(Requirement, project["dependencies"]) if each.name == name
    )
    return str(specifier).removeprefix("==")


def allowed_pythons(path: str) -> list[str]:
    """Return the Python versions on which a package may be installed."""
    wanted = tomllib.loads((ROOT / path).read_text())["project"]["requires-python"]
    return [
        f"3.{minor}"
        for minor in range(8, 20)
        if Requirement(f"python{wanted}").specifier.contains(f"3.{minor}.1")
    ]


def test_python_versions_agree_everywhere() -> None:
    """Tap and sandbox support one version more than Meltano and dbt."""
    tap = tomllib.loads((ROOT / "tap-pipedrive/pyproject.toml").read_text())["project"]
    prefix = "Programming Language :: Python :: "
    versions = [
        each.removeprefix(prefix) for each in tap["classifiers"] if re.match(prefix + r"\d+\.\d", each)
    ]
    for path in ("tap-pipedrive/pyproject.toml", "sandbox/pyproject.toml"):
        assert allowed_pythons(path) == versions, path
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]
    project = jobs["tap"]["strategy"]["matrix"]["python"]
    for path in ("pyproject.toml", "plugins/tap-hubspot/pyproject.toml"):
        assert allowed_pythons(path) == project, path
    assert jobs["tap-alone"]["strategy"]["matrix"]["python"] == [versions[0], versions[-1]]
    assert [*project, versions[-1]] == versions


def test_the_distribution_has_another_name_than_the_tap_on_pypi() -> None:
    """`pip install tap-pipedrive` installs singer-io's tap; program, package and plugin have that name
    nevertheless.
    """
    tap = tomllib.loads((ROOT / "tap-pipedrive/pyproject.toml").read_text())["project"]
    assert tap["name"] == TapPipedrive.package_name == "tap-pipedrive-warehouse"
    assert TapPipedrive.name == plugin("extractors", "tap-pipedrive")["executable"] == "tap-pipedrive"
    assert list(tap["scripts"]) == ["tap-pipedrive"]
    documents = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "tap-pipedrive").rglob("*.*")]
    for path in documents:
        if path.suffix in (".md", ".py", ".yml"):
            assert not re.search(r"pip install '?tap-pipedrive(?!-)\b", path.read_text()), path.name


# names defined by Meltano


def test_the_lock_file_belongs_to_the_loader_and_has_its_settings() -> None:
    loader = plugin("loaders", "target-postgres")
    lock = json.loads((ROOT / "plugins/loaders/target-postgres--meltanolabs.lock").read_text())
    assert (lock["name"], lock["variant"]) == (loader["name"], loader["variant"])
    assert loader["config"].keys() <= {each["name"] for each in lock["settings"]}


def test_every_other_plugin_is_defined_in_meltano_yml_without_the_hub() -> None:
    for group, plugins in meltano()["plugins"].items():
        for each in plugins:
            is_locked = list((ROOT / "plugins" / group).glob(f"{each['name']}--*.lock"))
            assert (
                is_locked or "inherit_from" in each or {"namespace", "pip_url", "executable"} <= each.keys()
            )


def test_jobs_and_schedules_refer_to_existing_plugins() -> None:
    plugins = {each["name"]: each for group in meltano()["plugins"].values() for each in group}
    jobs = {job["name"]: job["tasks"] for job in meltano()["jobs"]}
    for tasks in jobs.values():
        for word in " ".join(tasks).split():
            name, _, command = word.partition(":")
            assert name in plugins
            assert not command or command in plugins[name]["commands"]
    for schedule in meltano()["schedules"]:
        assert schedule["job"] in jobs
        assert re.fullmatch(r"[\d*/,-]+( [\d*/,-]+){4}", schedule["interval"])


def test_groups_together_select_what_the_extractor_selects() -> None:
    extractors = {each["name"]: each for each in meltano()["plugins"]["extractors"]}
    (tasks,) = [job["tasks"] for job in meltano()["jobs"] if job["name"] == "sync-groups"]
    groups = [extractors[task.split()[0]] for task in tasks if not task.startswith("dbt-")]
    assert all(each["inherit_from"] == "tap-pipedrive" for each in groups)
    selected = Counter(pattern for each in groups for pattern in each["select"])
    assert selected.keys() == set(extractors["tap-pipedrive"]["select"])
    own = ("field_columns", "rejected_values", "run_statements", "source_counts", "source_samples")
    in_all = {f"{name}.*" for name in own}  # each extractor writes its own statements
    # each extractor that reads custom fields writes their definitions
    in_most = {"fields.*", "field_options.*"}
    assert {pattern for pattern, count in selected.items() if count > 1} == in_all | in_most
    assert {selected[pattern] for pattern in in_all} == {len(groups)}
    have_fields = {f"{name_of(stream)}.*" for stream in STREAMS if stream.custom_fields_of}
    for each in groups:
        assert (in_most <= {*each["select"]}) == bool(have_fields.intersection(each["select"])), each["name"]


def test_documents_name_jobs_and_schedules_that_exist() -> None:
    text = "\n".join(document.read_text() for document in (OPERATE, BEHAVIOUR, RECIPES, DEVELOP))
    schedules = {each["name"]: each["interval"] for each in meltano()["schedules"]}
    for name in re.findall(r"meltano schedule run ([\w-]+)", text):
        assert f"{schedules[name]} cd" in text
    plugins = {each["name"] for group in meltano()["plugins"].values() for each in group}
    runs = re.findall(r"meltano run ((?:--[\w-]+ )*)([a-z][\w: -]*)", text)
    assert runs
    for _, words in runs:
        for word in words.split():
            assert word.partition(":")[0] in plugins | {job["name"] for job in meltano()["jobs"]}, words
