"""The commands of the documents are run in order in clones, with an empty home."""

import socket
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from .clone import Clone
from .documents import BEHAVIOUR, DEVELOP, DOCS, ENGLISH, OBSERVE, OPERATE, PUBLISH, RECIPES, Block, blocks
from .sample_output import lines_that_no_run_prints, sample_in

MODELS_ONLY = {"DBT_RESOURCE_TYPES": "model seed"}
SEEDS_ONLY = {"DBT_RESOURCE_TYPES": "seed"}
"""Selections for dbt, because its tests or models need to run only once."""

Chapters = tuple[tuple[Path, str], ...]
DEMO = ((ENGLISH, "Two commands"),)
ACCOUNT = (
    (ENGLISH, "Your own account and database"),
    (OPERATE, "By hand"),
    (OPERATE, "On a schedule"),
    (ENGLISH, "What you get"),
    (BEHAVIOUR, "Deleted and archived"),
    (DEVELOP, "Add a mart"),
    (DEVELOP, "Add a stream"),
    (RECIPES, "Keep old dashboards"),
    (RECIPES, "Hide personal data"),
    (RECIPES, "Forget a person"),
)
ALONE = ((DEVELOP, "The tap alone"), (DEVELOP, "The sandbox alone"))
"""Chapters whose commands are run one after the other in one clone."""
SERVICE = tuple(
    (OPERATE, chapter) for chapter in ("Roles", "State in Postgres", "Back up and restore", "Containers")
)
"""Chapters whose commands are run in tests/service."""

ELSEWHERE = ((OBSERVE, "Switch it on"), (OBSERVE, "Alerts"), (PUBLISH, "A release"))
"""Chapters whose commands need additional programs; the tests of that layer run them."""

COMMANDS = {
    (document, chapter): list(found)
    for document in (ENGLISH, *sorted(DOCS.glob("*.md")))
    for chapter, found in groupby(
        (block for block in blocks(document) if block.language == "sh"), key=lambda block: block.chapter
    )
}
"""All commands of the English pages; another test compares them with the Portuguese ones."""


def run(clone: Clone, block: Block) -> str:
    """Run a block of commands, check that it succeeds, and return its output."""
    return clone.run(block.text, with_account=block.mark == "account")


def commands_of(chapters: Chapters) -> list[Block]:
    """Return the blocks of commands in these chapters in order."""
    return [block for chapter in chapters for block in COMMANDS[chapter]]


def is_postgres(command: str) -> bool:
    return "postgres" in command.partition(" ")[0]


def test_every_command_is_run() -> None:
    chapters = [*DEMO, *ACCOUNT, *ALONE, *SERVICE, *ELSEWHERE]
    assert sorted(chapters) == sorted(COMMANDS)


def test_the_commands_of_the_demo_work(new_clone: Clone) -> None:
    outputs = []
    for block in commands_of(DEMO):
        if block.text == "make clean\n":
            new_clone.keep_installed()
        output = run(new_clone, block)
        if block.text == "make run\n":
            outputs.append(output)
            check_installed_files_are_as_readable_as(new_clone.folder / ".venv")
            new_clone.haste = SEEDS_ONLY if len(outputs) == 1 else MODELS_ONLY
        if block.text.startswith("make run"):
            assert all(map(is_postgres, new_clone.processes())), "only Postgres may stay"
        if block.text == "make clean\n":
            assert new_clone.processes() == []
            assert new_clone.leftovers() == ""
    first, second = outputs
    assert lines_that_no_run_prints(sample_in(ENGLISH, "first"), first) == []
    assert lines_that_no_run_prints(sample_in(ENGLISH, "second"), second) == []
    assert "The warehouse is empty: everything is loaded" in first
    assert "Incremental: only what changed since the last run is loaded" in second


def check_installed_files_are_as_readable_as(environment: Path) -> None:
    """Compare the plugins' environments with the one that uv made before the run made its files private.

    uv links to its cache, so private files would also appear in what it installs for other projects.
    """
    plugins = [*environment.parent.glob(".meltano/*/*/venv")]
    assert len(plugins) == 3
    modes = {(folder / "pyvenv.cfg").stat().st_mode for folder in (environment, *plugins)}
    assert len(modes) == 1, modes


def test_the_commands_for_an_account_work(clone: Clone) -> None:
    outputs: list[str] = []
    for block in commands_of(ACCOUNT):
        needs_models = not outputs or "--select" in block.text or "make erase" in block.text
        clone.haste = MODELS_ONLY if needs_models else SEEDS_ONLY
        output = run(clone, block)
        if block.text.startswith("install -m 600 .env.example .env"):
            clone.fill_in()
        if block.text == "make run\n":
            outputs.append(output)
            assert clone.processes() == []
    (only,) = outputs
    assert "(meltano run sync)" in only


def test_the_commands_of_the_separate_parts_work(clone: Clone) -> None:
    clone.run("make .venv/ready")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = str(probe.getsockname()[1])
    for block in commands_of(ALONE):
        # another program may use that port
        run(clone, replace(block, text=block.text.replace("18765", free)))
    assert clone.processes_that_stay() == []
