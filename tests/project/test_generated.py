"""The output of `make generate` is up to date, and matches the tap."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import pytest
from tap_pipedrive.settings import Settings
from tap_pipedrive.streams import STREAMS

from ..pipeline.contract import CONTRACT, OPTIONAL
from .documents import ROOT, STREAMS_PAGES, load, quoted, table

FORGOTTEN = "run make generate"


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    return load(ROOT / "tap-pipedrive/generate.py")


def names(*, optional: bool) -> list[str]:
    return [vars(each)["name"] for each in STREAMS if each.selected_by_default is not optional]


def test_no_generated_file_is_out_of_date(generate: ModuleType) -> None:
    stale = [
        str(path.relative_to(ROOT))
        for path, text in generate.outputs().items()
        if not path.exists() or path.read_text() != text
    ]
    assert stale == [], FORGOTTEN


def test_every_stream_is_compared_with_the_account() -> None:
    """The tests of the pipeline do this for every table in the contract."""
    assert set(CONTRACT) == set(names(optional=False)), FORGOTTEN
    assert set(OPTIONAL) == set(names(optional=True)), FORGOTTEN


@pytest.mark.parametrize("page", STREAMS_PAGES, ids=["en", "pt"])
def test_the_pages_of_streams_have_the_agreed_rows(page: object) -> None:
    """A few rows are compared word for word, except for the language."""
    rows = {quoted(row[0])[0]: row for mark in ("streams", "optional streams") for row in table(page, mark)}  # type: ignore[arg-type]
    assert list(rows) == [*names(optional=False), *names(optional=True)]
    assert quoted(rows["deals"][1]) == ["/api/v2/deals", "/api/v2/deals/archived"]
    assert rows["deals"][4] == "live 10, archived 20"
    assert quoted(rows["fields"][2]) == ["entity", "field_code"]
    assert rows["field_options"][4] == rows["rejected_values"][4] == "0"
    assert quoted(rows["deal_products"][3]) == ["deals"]
    assert rows["deal_products"][4].startswith("10 ")
    assert " 100 " in rows["deal_products"][4]
    assert rows["deal_changes"][4].startswith("20 ")
    assert rows["files"][3] == "incremental"
    assert " 100 " in rows["files"][4]
    assert rows["tasks"][4] == "10"


def test_both_languages_have_the_same_settings_in_their_own_words() -> None:
    pages = [table(page.with_name("settings.md"), "settings") for page in STREAMS_PAGES]
    english, portuguese = ({quoted(row[0])[0]: row for row in rows} for rows in pages)
    assert list(english) == list(portuguese) == list(Settings.model_fields)
    for name, row in english.items():
        assert row[1] == portuguese[name][1]
        assert row[2] != portuguese[name][2], f"describe {name} in Portuguese"


def test_a_new_stream_gets_drafts_of_its_files(generate: ModuleType) -> None:
    """For existing streams, the drafts of contract and snapshot equal the final ones."""
    skeletons = sys.modules["skeletons"]
    for stream in STREAMS:
        name = vars(stream)["name"]
        model, described = skeletons.staging_model(stream), skeletons.staging_yaml(stream)
        assert f"raw_table('{name}')" in model
        assert all(f"- name: {column}" in described for *_, column, _ in skeletons.renamed(stream))
        if not stream.custom_fields_of:
            assert skeletons.snapshot(stream) == (generate.SNAPSHOTS / f"{name}.json").read_text()
    text = generate.CONTRACT.read_text()
    entry = text[text.index('    "deal_followers": {') : text.index('    "deal_participants": {')]
    without = text.replace(entry, "", 1)
    scope: dict[str, dict[str, dict[str, str]]] = {}
    exec(skeletons.contract(without, STREAMS), scope)
    drafted = {kind: set(columns.split()) for kind, columns in scope["OPTIONAL"]["deal_followers"].items()}
    assert drafted == {kind: set(columns.split()) for kind, columns in OPTIONAL["deal_followers"].items()}


def test_the_command_writes_nothing_if_everything_is_up_to_date() -> None:
    command = [sys.executable, str(ROOT / "tap-pipedrive/generate.py")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == ""
