"""No row is lost: many rows in one second, changes during a walk, missing update times, wrong clocks."""

from collections.abc import Callable
from datetime import timedelta

from pipedrive_sandbox.testing import NOW, Sandbox

from .conftest import TOKEN, crowd
from .contract import INCREMENTAL
from .expected import Expected, expected, moment
from .pipe import Pipe
from .raw import differences, read

PipeFrom = Callable[[Sandbox], Pipe]

HARMLESS = ("update", "move", "close", "create", "archive")
"""Changes after which every row is still in a list."""


def test_700_rows_of_one_second_are_all_loaded(pipe_from: PipeFrom, database: str) -> None:
    """With a start date the first run leaves out older rows, and a page ends within the second."""
    before, second, after = "2026-01-31T23:59:59Z", "2026-02-01T00:00:00Z", "2026-02-01T00:00:01Z"
    with crowd(*[after] * 50, *[second] * 650, *[before] * 50) as sandbox:
        pipe, tables = pipe_from(sandbox), expected(sandbox)
        pipe.api |= {"start_date": second, "lookback_seconds": 0}
        run = pipe.run().succeeded()
        assert {stream: len(run.ids(stream)) for stream in INCREMENTAL} == dict.fromkeys(INCREMENTAL, 700)
    for stream in INCREMENTAL:
        for key in [key for key, row in tables[stream].rows.items() if row["update_time"] == moment(before)]:
            del tables[stream].rows[key]
    assert differences(database, tables) == []


def test_rows_that_change_during_a_walk_are_all_loaded(pipe_from: PipeFrom, database: str) -> None:
    """Something changes in every list at every other request, in the first load and in an incremental run."""
    with Sandbox(deals=450, tokens=[TOKEN]) as sandbox:
        pipe = pipe_from(sandbox)
        pipe.api["lookback_seconds"] = 0
        before = expected(sandbox)
        for seed in (1, 2):
            change = {"path": "/sandbox/change", "json": {"share": 0.005, "seed": seed, "kinds": HARMLESS}}
            sandbox.post("/sandbox/faults", {"kind": "change", "every": 2, "call": change})
            pipe.run().succeeded()
            assert sandbox.get("/sandbox/faults")[0]["hits"] > 5
            sandbox.delete("/sandbox/faults")
        pipe.run().succeeded()
        assert differences(database, expected(sandbox, before)) == []


def test_rows_removed_from_a_page_already_read_hide_no_other_row(pipe_from: PipeFrom, database: str) -> None:
    """Lists with offsets (leads, notes) shift by one row; the row that would be skipped is loaded."""
    with crowd(*["2026-01-01T00:00:00Z"] * 1100) as sandbox:
        pipe, before = pipe_from(sandbox), expected(sandbox)
        victims = {"leads": before["leads"], "notes": before["notes"]}
        for entity, table in victims.items():
            ids = [key[0] for key in sorted(table.rows)]
            for at, victim in ((2, ids[3]), (3, ids[700])):
                call = {"method": "DELETE", "path": f"/sandbox/records/{entity}/{victim}"}
                path = f"/{entity}\\?.*start="
                sandbox.post("/sandbox/faults", {"kind": "change", "path": path, "at": [at], "call": call})
        pipe.run().succeeded()
        assert [fault["hits"] for fault in sandbox.get("/sandbox/faults")] == [1] * 4
        now, loaded = expected(sandbox, before), read(database)
    for entity in victims:
        assert loaded[entity].rows.keys() >= {
            key for key, row in now[entity].rows.items() if row.get("active_flag") is not False
        }


def test_bookmarks_use_pipedrives_clock_and_not_the_hosts(pipe_from: PipeFrom, database: str) -> None:
    """Pipedrive's clock is an hour slow, then an hour fast; bookmarks by the host's clock would miss changes."""
    hour = timedelta(hours=1)
    with Sandbox(deals=60, tokens=[TOKEN], now=NOW - hour) as sandbox:
        pipe, before = pipe_from(sandbox), expected(sandbox)
        pipe.api["lookback_seconds"] = 0
        pipe.run().succeeded()
        for ahead in (timedelta(), 2 * hour):
            sandbox.post("/sandbox/clock", {"advance_seconds": ahead.total_seconds()})
            sandbox.post("/sandbox/change", {"share": 0.1, "seed": 3, "kinds": HARMLESS})
            pipe.run().succeeded()
            assert differences(database, expected(sandbox, before)) == []


def test_rows_without_an_update_time_are_loaded_and_kept(account: Sandbox, account_tables: Expected) -> None:
    """The full load of this account equals it, including these rows."""
    spoilt = account.get("/sandbox/manifest")["troubles"]["null_update_time"]["ids"]
    assert set(spoilt) >= {"deals", "persons", "organizations", "activities"}
    for entity, ids in spoilt.items():
        assert all(account_tables[entity].rows[(id_,)]["update_time"] is None for id_ in ids)
