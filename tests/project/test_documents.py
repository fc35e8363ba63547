"""The documents refer to existing things, both languages agree, and nothing private is committed."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

from .documents import (
    DOCS,
    DOCUMENTS,
    ENGLISH,
    MARTS_PAGES,
    OPERATE,
    PORTUGUESE,
    ROOT,
    blocks,
    prose,
    quoted,
    table,
)
from .pictures import FOLDER, PICTURES
from .sample_output import SAMPLES, abridged, sample_in

EVERY_DOCUMENT = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


def committed() -> Iterator[tuple[str, str]]:
    """Return path and text of every file that is or would be committed, except pictures."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in listed.split("\0"):
        path = ROOT / name
        if name and path.is_file() and path.suffix != ".webp" and name not in ("uv.lock", "LICENSE"):
            yield name, path.read_text()


def anchor(heading: str) -> str:
    """Return the anchor that GitHub gives to a heading."""
    return re.sub(r"[^\w -]", "", heading.strip().lower()).replace(" ", "-")


@EVERY_DOCUMENT
def test_links_have_a_target(document: Path) -> None:
    headings = {anchor(each) for each in re.findall(r"^#+ (.*)$", prose(document), re.MULTILINE)}
    for target in re.findall(r"\]\(([^)]+)\)", prose(document)):
        if target.startswith("https://"):
            continue
        path, _, fragment = unquote(target).partition("#")
        assert (document.parent / path).exists(), target
        assert not fragment or path or fragment in headings, target


@EVERY_DOCUMENT
def test_paths_exist(document: Path) -> None:
    roots = {path.name for path in ROOT.iterdir()} - {".run", ".venv", ".meltano"}
    made = {"orchestrate/schedules.json"}  # made when the image is built
    for name in quoted(prose(document)):
        path = name.partition(" ")[0].partition("::")[0]
        if path.partition("/")[0] in roots and "<" not in path:
            assert path in made or (ROOT / path).exists(), name


@pytest.mark.parametrize(
    ("original", "translation"),
    [(ENGLISH, PORTUGUESE), *((DOCS / path.name, path) for path in sorted((DOCS / "pt-BR").glob("*.md")))],
    ids=lambda path: path.name,
)
def test_both_languages_have_the_same_outline_commands_and_output(original: Path, translation: Path) -> None:
    level = re.compile(r"^(#+) ", re.MULTILINE)
    assert level.findall(prose(original)) == level.findall(prose(translation))
    english, portuguese = blocks(original), blocks(translation)
    assert [each for each in english if each.language == "sh"] == [
        each for each in portuguese if each.language == "sh"
    ]
    assert [each.language for each in english] == [each.language for each in portuguese]
    assert [each for each in english if "rows" in each.text] == [
        each for each in portuguese if "rows" in each.text
    ]


def table_after(document: Path, heading: str) -> list[list[str]]:
    """Return the first table after a heading."""
    section = document.read_text().partition(heading)[2]
    lines = section.partition("\n\n")[2].partition("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def test_messages_in_the_documents_are_in_the_code() -> None:
    # messages of Meltano and Postgres
    others = {"pipeline is already running", "Wait until", "too many connections"}
    sources = [
        path for name in ("tap-pipedrive", "orchestrate", "plugins") for path in (ROOT / name).rglob("*.py")
    ]
    code = "\n".join(re.sub(r'"\n\s*f?"', "", path.read_text()) for path in sources)
    parts = {
        part for row in table_after(OPERATE, "## When something") for part in quoted(row[0])[0].split(" … ")
    }
    assert {part for part in parts - others if part not in code} == set()


@pytest.mark.parametrize("readme", [ENGLISH, PORTUGUESE], ids=["en", "pt"])
def test_the_sample_output_has_lines_that_a_run_prints(readme: Path) -> None:
    """The fixed words of these lines come from `make run` itself."""
    code = "\n".join(path.read_text() for path in (ROOT / "orchestrate").glob("*.py"))
    figures = (ROOT / "transform/models/marts/core/headline_figures.sql").read_text()
    sample = "\n".join(block.text for block in blocks(readme) if block.language == "text")
    for words in (
        "Starting the embedded Postgres",
        "Incremental: only what changed since the last run is loaded",
    ):
        assert words in sample
        assert words in code
    for figure in re.findall(r"^([a-z][a-z ]+[a-z]) {6,}[\d,.]+(?: [A-Z]{3})?  \S", sample, re.MULTILINE):
        assert figure in figures, figure


@pytest.mark.parametrize("sample", SAMPLES)
@pytest.mark.parametrize("readme", [ENGLISH, PORTUGUESE], ids=["en", "pt"])
def test_samples_of_output_are_shortened_by_the_script(readme: Path, sample: str) -> None:
    shown = sample_in(readme, sample)
    assert abridged(sample, shown) == shown


def test_no_committed_file_is_private_or_unfinished() -> None:
    forbidden = {
        "a path of somebody's machine": r"(?<![\w.~])/(?:work|tmp|root|home)/\w",
        "a key": r"AKIA[0-9A-Z]{16}|\bgh[pousr]_\w{36}|\bxox[abpr]-\w|BEGIN (?:\w+ )?PRIVATE KEY",
        "a token or password": r"(?i)(?:token|password|secret)[\"']?\s*[:=]\s*[\"']?(?!0123456789)[0-9a-f]{32}",
        "something left to do": r"\b(?:TO" + r"DO|FIX" + r"ME)\b",
    }
    allowed = {
        ("tests/sandbox/test_warehouse.py", "/root/x"),  # a folder that an ordinary user may not create
        ("tests/project/test_documents.py", "/root/x"),
        *(("Dockerfile", f"/tmp/{letter}") for letter in "ads"),  # the image's own path
    }
    found = [
        (name, what, match[0])
        for name, text in committed()
        for what, pattern in forbidden.items()
        for match in re.finditer(pattern, text)
        if (name, match[0]) not in allowed
    ]
    assert not found


def test_the_workflow_may_only_read_and_pins_its_actions_by_commit() -> None:
    workflow = (ROOT / ".github/workflows/ci.yml").read_text()
    assert "permissions:\n  contents: read\n" in workflow
    for action in re.findall(r"uses: (\S+)", workflow):
        assert re.search(r"@[0-9a-f]{40}$", action), action


def test_the_changelog_has_an_unreleased_part() -> None:
    assert "\n## [Unreleased]\n" in (ROOT / "CHANGELOG.md").read_text()


def test_marts_have_the_same_order_in_both_languages() -> None:
    english, portuguese = ([row[0] for row in table(page, "marts")] for page in MARTS_PAGES)
    assert english == portuguese


def test_pictures_are_used_and_small() -> None:
    shown = {
        (document.parent / path).resolve()
        for document in DOCUMENTS
        for path in re.findall(r"!\[[^\]]{10,}\]\((\S+)\)", document.read_text())
    }
    pictures = {path: path.read_bytes() for path in FOLDER.iterdir()}
    assert shown == pictures.keys() == {FOLDER / f"{name}.webp" for name in PICTURES}
    assert all(content[8:12] == b"WEBP" for content in pictures.values())
    assert sum(map(len, pictures.values())) < 300_000


@pytest.mark.parametrize("readme", [ENGLISH, PORTUGUESE], ids=["en", "pt"])
def test_the_readmes_are_short(readme: Path) -> None:
    assert len(readme.read_text().splitlines()) < 250


@pytest.mark.parametrize("readme", [ENGLISH, PORTUGUESE], ids=lambda path: path.name)
def test_the_readmes_say_what_stays_after_make_clean(readme: Path) -> None:
    before, _, _ = readme.read_text().partition("\n\n```sh\nmake clean\n```")
    assert "`~/.cache/uv`" in before.rpartition("\n\n")[2]


def test_principles_name_existing_tests() -> None:
    rows = table(DOCS / "principles.md", "principles")
    assert rows
    for *_, cell in rows:
        path, _, test = quoted(cell)[0].partition("::")
        assert f"def {test}(" in (ROOT / path).read_text() if test else (ROOT / path).exists(), cell


def test_long_files_give_a_reason_in_their_first_line() -> None:
    code = (".py", ".sql", ".yml", ".js", ".css", ".sh")
    lines = {path: text.splitlines() for path, text in committed() if path.endswith(code)}
    assert len(lines) > 300
    long = {path: found[0] for path, found in lines.items() if len(found) > 400 and "/fixtures/" not in path}
    assert [path for path, first in long.items() if "Over 400 lines: " not in first] == []
