"""Every list of Pipedrive's API is read by a stream, or the pages of streams say why it is not."""

import os
import re
from functools import cache
from pathlib import Path

import pytest
from tap_pipedrive.streams import STREAMS

from .documents import ROOT, STREAMS_PAGES, quoted, table

DOCS = Path(os.environ.get("PIPEDRIVE_DOCS", ROOT.parent / "shared" / "pipedrive"))
READ = {vars(getattr(each, "list_of", each))["path"] for stream in STREAMS for each in stream.listings}
ENGLISH, PORTUGUESE = STREAMS_PAGES


def left_out(page: Path) -> list[str]:
    """Endpoints in the table of what is not read."""
    return [path for paths, _ in table(page, "not read") for path in quoted(paths)]


@cache
def endpoints() -> dict[str, bool]:
    """Every endpoint that is documented for reading, and whether it answers a list."""
    found: dict[str, bool] = {}
    for version in ("v1", "v2"):
        shapes = DOCS / f"shapes-{version}.txt"
        if not shapes.exists():
            pytest.skip(
                f"{shapes.name} is not there: set PIPEDRIVE_DOCS to the folder with the API documents"
            )
        path, part = "", ""
        for line in shapes.read_text().splitlines():
            if head := re.match(r"## GET (\S+)", line):
                path = f"/api/{version}{head[1]}"
                found[path] = False
            elif re.match(r"  \w", line):
                part = line.strip()
                found[path] |= part.startswith("data: array")
            elif part == "data: object" and not path.endswith("}"):  # goals, found items: one level deeper
                found[path] |= re.match(r"    \w+: array<object>", line) is not None
    return found


def test_every_list_is_read_or_left_out_for_a_reason() -> None:
    lists = {path for path, is_list in endpoints().items() if is_list}
    assert len(lists) > 100
    assert lists - READ - set(left_out(ENGLISH)) == set()


def test_what_is_left_out_exists_and_is_not_read() -> None:
    named = left_out(ENGLISH)
    assert len(named) == len(set(named))
    assert set(named) <= endpoints().keys()
    assert not set(named) & READ


def test_both_languages_leave_out_the_same() -> None:
    assert left_out(PORTUGUESE) == left_out(ENGLISH)
    assert all(why for page in STREAMS_PAGES for _, why in table(page, "not read"))
