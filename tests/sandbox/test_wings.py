"""The import graph of the sandbox's packages."""

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
"""The packages that the files of each package import."""


def imports() -> dict[str, set[str]]:
    """Return the modules of the sandbox that each module imports, including within functions and for types
    only.
    """
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


def test_imports_have_no_cycle() -> None:
    assert sum(map(len, imports().values())) > len(imports())
    TopologicalSorter(imports()).prepare()  # this raises CycleError


def test_packages_import_only_packages_below_them() -> None:
    found: dict[str, set[str]] = {}
    for module, names in imports().items():
        wing = module.split(".")[0]
        found.setdefault(wing, set()).update(name.split(".")[0] for name in names)
    assert {wing: names - {wing} for wing, names in found.items()} == MAY_IMPORT


def test_the_embedded_postgres_is_a_separate_package() -> None:
    paths = list(Path(embedded_postgres.__file__).parent.glob("*.py"))
    assert paths
    for path in paths:
        assert "pipedrive_sandbox" not in path.read_text(), path.name
