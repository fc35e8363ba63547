"""kill -9 during the first load: the next run continues there, and no row is missing or duplicated."""

from collections.abc import Callable, Iterator

import pytest
from pipedrive_sandbox.testing import Sandbox

from .conftest import crowd
from .expected import Expected, Row, expected
from .pipe import Break, Pipe
from .raw import differences, table_names
from .test_bad_input import assert_one_sentence

PipeFrom = Callable[[Sandbox], Pipe]


@pytest.fixture(scope="module")
def steady() -> Iterator[tuple[Sandbox, Expected]]:
    """An account without changes, with two pages of each big list."""
    with crowd(*["2026-01-01T00:00:00Z"] * 520) as sandbox:
        yield sandbox, expected(sandbox)


PLACES = {
    "persons": "/api/v2/persons",
    "deals": "/api/v2/deals",
    "notes": "/api/v1/notes",
}
"""Lists of two pages each, in the order in which they are read."""


def test_a_killed_tap_is_resumed_page_by_page(
    steady: tuple[Sandbox, Expected], pipe_from: PipeFrom, database: str
) -> None:
    """The tap dies after the first page of one list, continues, dies in the next list, and so on."""
    sandbox, tables = steady
    pipe = pipe_from(sandbox)
    pipe.api |= {"source_checks": "none"}  # they read the same lists
    read: dict[str, set[int]] = {}
    complete: list[str] = []
    for stream in (*PLACES, None):
        sandbox.post("/sandbox/stats/reset")
        run = pipe.run(break_after=Break(stream, 1) if stream else None)
        if read:
            died_in = list(read)[-1]
            assert_it_went_on(sandbox, PLACES[died_in])
            assert len(read[died_in]) == 500
            assert len(run.ids(died_in)) == 20
            assert not run.ids(died_in) & read[died_in], f"{died_in}: pages were read again"
        for done in complete:
            if done != "deals":  # these are read again for their children, which are incomplete
                assert all("updated_since" in seen["query"] for seen in requests(sandbox, PLACES[done]))
            assert not run.ids(done), f"{done} was complete"
        if stream:
            complete = list(read)
            read[stream] = run.ids(stream)
            assert (run.tap_exit, run.target_exit, len(run.states)) == (-9, 0, 1)
            assert differences(database, tables) != []
    run.succeeded()
    assert differences(database, tables) == []


def requests(sandbox: Sandbox, path: str) -> list[Row]:
    """Return the requests for a list."""
    return [seen for seen in sandbox.requests() if seen["path"] == path]


def assert_it_went_on(sandbox: Sandbox, path: str) -> None:
    """Check that the first request for the list starts where the last run stopped, and the others ask for
    changes.

    If the tap had reached the children of deals before it was killed, it also read all deals again for them.
    """
    first, *others = requests(sandbox, path)
    assert "updated_since" not in first["query"]
    assert "cursor" in first["query"] or int(first["query"]["start"]) > 0
    assert path == PLACES["deals"] or all("updated_since" in seen["query"] for seen in others)


def test_an_incomplete_line_and_a_killed_target_lose_nothing(
    steady: tuple[Sandbox, Expected], pipe_from: PipeFrom, database: str
) -> None:
    """No state is emitted then, although batches may be committed: they are written again, without
    duplicates.
    """
    sandbox, tables = steady
    pipe = pipe_from(sandbox)
    run = pipe.run(break_after=Break("deals", 1, "line"))
    assert (run.tap_exit, run.target_exit, run.states) == (-9, 1, [])

    pipe.loader["batch_size_rows"] = 300
    run = pipe.run(break_after=Break("activities", 1, "target"))
    assert (run.target_exit, run.states) == (-9, [])
    assert_one_sentence(run, "The target stopped reading")
    assert "persons" in table_names(database)

    pipe.run().succeeded()
    assert differences(database, tables) == []
