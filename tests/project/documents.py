"""Reads the project's documents: tables, blocks of code, links."""

import importlib.util
import re
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent.parent
ENGLISH, PORTUGUESE = ROOT / "README.md", ROOT / "README.pt-BR.md"
TAP = ROOT / "tap-pipedrive" / "README.md"
DOCS = ROOT / "docs"
STREAMS_PAGES, MARTS_PAGES, CUSTOM_FIELDS_PAGES = (
    (DOCS / f"{name}.md", DOCS / "pt-BR" / f"{name}.md") for name in ("streams", "marts", "custom-fields")
)
OPERATE, OBSERVE, BEHAVIOUR, RECIPES, DEVELOP, PUBLISH = (
    DOCS / f"{name}.md" for name in ("operate", "observe", "behaviour", "recipes", "develop", "publish")
)
DOCUMENTS = (
    ENGLISH,
    PORTUGUESE,
    TAP,
    *sorted(DOCS.rglob("*.md")),
    ROOT / "sandbox" / "README.md",
    ROOT / "warehouse" / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    ROOT / "SECURITY.md",
)

_BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CHAPTER = re.compile(r"^## (.+)$", re.MULTILINE)
_QUOTED = re.compile(r"`([^`]+)`")


@dataclass(frozen=True)
class Block:
    """A block of code: its language, the words after that, its text and its place."""

    language: str
    mark: str
    text: str
    document: Path = field(compare=False)
    chapter: str = field(compare=False)


def load(script: Path) -> ModuleType:
    """Load a script that belongs to no package as a module."""
    spec = importlib.util.spec_from_file_location(script.stem, script)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def blocks(document: Path) -> list[Block]:
    """Return the blocks of code in order."""
    content = document.read_text()
    found = []
    for match in _BLOCK.finditer(content):
        language, mark, text = match.groups()
        chapters = _CHAPTER.findall(content[: match.start()])
        found.append(Block(language, mark.strip(), text, document, chapters[-1] if chapters else ""))
    return found


def prose(document: Path) -> str:
    """Return the text without blocks of code."""
    return _BLOCK.sub("", document.read_text())


def table(document: Path, mark: str) -> list[list[str]]:
    """Return the rows of the table after the comment `<!-- mark -->` as cells, without the header."""
    _, found, rest = document.read_text().partition(f"<!-- {mark} -->\n")
    assert found, f"{document.name} has no table marked {mark}"
    lines = rest.split("\n\n", 1)[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def quoted(cell: str) -> list[str]:
    """Return the texts between backticks."""
    return _QUOTED.findall(cell)
