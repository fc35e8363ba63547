"""The import graph: no cycles, one module for the SDK's private parts, and layers that import only lower
ones.
"""

from __future__ import annotations

import ast
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import tap_pipedrive

ROOT = Path(tap_pipedrive.__file__).parent
LAYERS = (
    {"__init__", "clocks", "distinct", "masking", "nearest", "reader", "row_size"},
    {"stream_maps"},
    {"errors", "values"},
    {"bounds"},
    {
        "answers",
        "entity",
        "field_types",
        "inputs",
        "ledger",
        "memory",
        "migrate",
        "parents",
        "retries",
        "settings",
        "writer",
    },
    {"columns", "guards", "references", "shared"},
    {"cache", "catalog", "custom_fields", "field_state", "limits", "sdk"},
    {"client", "rows"},
    {"auth", "masks", "metrics", "source"},
    {"http_listing"},
    {"account_check", "bookmarks", "listings", "prefetch"},
    {"children", "definitions", "field_changes"},
    {"history", "statement", "table_columns"},
    {"table"},
    {"checks", "problems"},
    {"run"},
    {"sync"},
    {"streams"},
    {"tap"},
    {"__main__"},
)
"""The files of the tap from the bottom up: each imports only files of the layers below its own."""

USES_THE_SDK = {"sdk", "table", "tap", "sync", "metrics", "writer", "catalog"}
"""Files that import the SDK; all but `sdk` keep to its public interface."""


@cache
def imports() -> dict[str, set[str]]:
    """Return the modules that each file of the tap imports, including imports for type checking or within
    functions.
    """
    found: dict[str, set[str]] = {}
    for path in ROOT.rglob("*.py"):
        room = "streams" if path.parent.name == "streams" else path.stem
        names = found.setdefault(room, set())
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert not node.level, f"{path.name} has a relative import"
                own = {f"{node.module}.{alias.name}" for alias in node.names}
                names |= own if node.module == "tap_pipedrive" else {node.module or ""}
    return found


def rooms() -> dict[str, set[str]]:
    """Return the files of the tap that each file imports."""
    own = {
        room: {name.split(".")[1] for name in names if name.startswith("tap_pipedrive.")} - {room}
        for room, names in imports().items()
    }
    assert set().union(*own.values()) <= own.keys()
    return own


def test_imports_have_no_cycle() -> None:
    TopologicalSorter(rooms()).prepare()  # this raises CycleError


def test_each_file_imports_only_from_the_layers_below() -> None:
    assert set().union(*LAYERS) == rooms().keys(), "a new file needs a layer"
    below: set[str] = set()
    for layer in LAYERS:
        for room in layer:
            assert rooms()[room] <= below, room
        below |= layer


def test_only_the_sdk_module_uses_private_parts_of_the_sdk() -> None:
    users = {
        room for room, names in imports().items() if any(name.startswith("singer_sdk") for name in names)
    }
    assert users == USES_THE_SDK
    for room, names in imports().items():
        assert not [name for name in names if name.startswith("singer_sdk") and "._" in name], room
    foreign = {"_tap", "_catalog_entry", "_singer_catalog_entry", "_singer_catalog", "_stream_maps", "_schema",
               "_metadata", "_mask", "_tap_input_catalog", "_write_schema_message", "_sync_records",
               "_write_activate_version_message", "_check_max_record_limit", "_validate_config",
               "_handle_termination", "_write_state_message", "_increment_stream_state"}  # fmt: skip
    for path in ROOT.rglob("*.py"):
        if path.stem != "sdk":
            tree = ast.walk(ast.parse(path.read_text()))
            used = {node.attr for node in tree if isinstance(node, ast.Attribute)}
            assert not used & foreign, path.name


def test_files_are_short_and_tap_py_contains_only_wiring() -> None:
    for path in ROOT.rglob("*.py"):
        assert len(path.read_text().splitlines()) <= 400, path.name
    assert len((ROOT / "tap.py").read_text().splitlines()) < 200
