"""The wings of the sandbox: who imports whom."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import embedded_postgres
import pipedrive_sandbox

ROOT = Path(pipedrive_sandbox.__file__).parent

MAY_IMPORT = {
    "records": set(),
    "data": {"records"},
    "account": {"data", "records"},
    "api": {"account", "records"},
    "server": {"account", "api", "records"},
    "testing": {"account", "data", "server"},
    "hubspot": {"account", "data", "server", "testing"},
    "__main__": {"account", "data", "records", "server", "testing"},
}
"""The wings that the files of each wing import."""


def imports() -> dict[str, set[str]]:
    """Modules of the sandbox that each of its modules imports, also within functions and for types only."""
    paths = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): path
        for path in ROOT.rglob("*.py")
        if path.name != "__init__.py"
    }
    found: dict[str, set[str]] = {module: set() for module in paths}
    for module, path in paths.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert not node.level, f"{module} has a relative import"
                source = (node.module or "").removeprefix("pipedrive_sandbox").strip(".")
                if (node.module or "").startswith("pipedrive_sandbox"):
                    names = {f"{source}.{alias.name}".strip(".") for alias in node.names} | {source}
                    found[module] |= names & paths.keys()
    return found


def test_no_import_goes_in_a_circle() -> None:
    assert sum(map(len, imports().values())) > len(imports())
    TopologicalSorter(imports()).prepare()  # raises CycleError


def test_wings_know_nothing_of_those_above_them() -> None:
    found: dict[str, set[str]] = {}
    for module, names in imports().items():
        wing = module.split(".")[0]
        found.setdefault(wing, set()).update(name.split(".")[0] for name in names)
    assert {wing: names - {wing} for wing, names in found.items()} == MAY_IMPORT


def test_embedded_postgres_is_a_package_of_its_own() -> None:
    paths = list(Path(embedded_postgres.__file__).parent.glob("*.py"))
    assert paths
    for path in paths:
        assert "pipedrive_sandbox" not in path.read_text(), path.name
