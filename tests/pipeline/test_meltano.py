"""`meltano run tap-pipedrive target-postgres` with the project's own meltano.yml."""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest
from embedded_postgres.warehouse import Warehouse
from pipedrive_sandbox.testing import Sandbox

from .conftest import TOKEN
from .expected import expected
from .project import Project
from .raw import differences, table_names
from .test_bad_input import BAD_API, BAD_DATABASE, NOWHERE, WRONG_TOKEN
from .test_incremental import KNOWN_KINDS, V1_LISTINGS, V2_LISTINGS


def test_a_first_run_an_incremental_run_and_a_run_without_changes(
    new_project: Callable[[], Project], sandbox: Sandbox, database: str
) -> None:
    project, before = new_project(), expected(sandbox)
    first = project.run(sandbox, database)
    assert differences(database, before) == []

    sandbox.post("/sandbox/clock", {"advance_seconds": 3600})
    harmless = [kind for kind in KNOWN_KINDS if kind not in ("delete", "merge")]
    sandbox.post("/sandbox/change", {"share": 0.01, "seed": 7, "kinds": harmless})
    sandbox.post("/sandbox/clock", {"advance_seconds": 120})  # longer than the lookback
    sandbox.post("/sandbox/stats/reset")
    second = project.run(sandbox, database)
    assert differences(database, expected(sandbox, before)) == []
    for path in (*V2_LISTINGS, *V1_LISTINGS):
        assert [seen for seen in sandbox.requests(path) if "updated_since" in seen["query"]], path

    sandbox.post("/sandbox/stats/reset")
    by_age = {"TAP_PIPEDRIVE_REFERENCE_MAX_AGE": "24", "TAP_PIPEDRIVE_CACHE_SECONDS": "3600"}
    third = project.run(sandbox, database, TAP_PIPEDRIVE_SOURCE_CHECKS="none", **by_age)
    spent = {name: line["tokens"] for name, line in sandbox.stats()["endpoints"].items()}
    assert sum(spent.values()) == 172, spent  # discovery and the run share one reading of the definitions
    assert differences(database, expected(sandbox, before)) == []
    kept = list((project.folder / ".meltano" / "run" / "lists").iterdir())
    assert {path.stat().st_mode & 0o777 for path in kept} == {0o600}
    assert TOKEN not in first + second + third


BAD = {
    "no token": ({"TAP_PIPEDRIVE_API_TOKEN": ""}, BAD_API["no token"][1]),
    "wrong token": ({"TAP_PIPEDRIVE_API_TOKEN": WRONG_TOKEN}, BAD_API["wrong token"][1]),
    "unreachable host": ({"TAP_PIPEDRIVE_API_URL": NOWHERE}, BAD_API["unreachable host"][1]),
    "wrong password": ({"TARGET_POSTGRES_PASSWORD": "wrong"}, BAD_DATABASE["wrong password"][1]),
}


class Failure(NamedTuple):
    """The output of a run that cannot succeed."""

    exit: int
    output: str
    tables: list[str]


@pytest.fixture(scope="module")
def failures(new_project: Callable[[], Project], warehouse: Warehouse) -> Iterator[dict[str, Failure]]:
    """All runs of BAD in parallel, because they mostly wait."""
    databases = {case: f"bad_{i}" for i, case in enumerate(BAD)}
    urls = {case: warehouse.create_database(name) for case, name in databases.items()}
    with Sandbox(deals=30, tokens=[TOKEN]) as sandbox:
        runs = {
            case: new_project().start(sandbox, urls[case], **settings) for case, (settings, _) in BAD.items()
        }
        outputs = {case: run.communicate()[0] for case, run in runs.items()}
    yield {
        case: Failure(run.returncode, outputs[case], table_names(urls[case])) for case, run in runs.items()
    }
    for name in databases.values():
        warehouse.drop_database(name)


@pytest.mark.parametrize("case", BAD)
def test_invalid_input_is_explained_and_writes_nothing(failures: dict[str, Failure], case: str) -> None:
    failure = failures[case]
    assert failure.exit != 0
    assert BAD[case][1] in re.sub(r"\s+", " ", failure.output)
    assert failure.tables == []
    assert TOKEN not in failure.output
    assert WRONG_TOKEN not in failure.output
