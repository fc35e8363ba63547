"""The second run reads only changes, writes nothing else, and the tables equal the account again."""

from collections.abc import Callable
from datetime import datetime

from pipedrive_sandbox.testing import Sandbox

from .conftest import TOKEN
from .contract import INCREMENTAL
from .expected import Expected, after_run, expected, moment
from .pipe import Pipe
from .raw import differences

V2_LISTINGS = (
    "/api/v2/organizations",
    "/api/v2/persons",
    "/api/v2/products",
    "/api/v2/deals",
    "/api/v2/deals/archived",
    "/api/v2/activities",
)
V1_LISTINGS = ("/api/v1/leads", "/api/v1/notes")

KNOWN_KINDS = ("update", "move", "close", "create", "archive", "delete", "merge", "resize")
"""All changes but renamed options, which change no row; test_living_account.py tests those."""


def clock_moved_on(sandbox: Sandbox) -> datetime:
    """Advance Pipedrive's clock by an hour, which separates later changes from earlier ones."""
    now = moment(sandbox.post("/sandbox/clock", {"advance_seconds": 3600})["now"])
    assert now
    return now


def test_an_incremental_run_after_one_percent_of_changes_equals_the_account(
    pipe_from: Callable[[Sandbox], Pipe], database: str
) -> None:
    with Sandbox(deals=1000, tokens=[TOKEN]) as sandbox:
        pipe, before = pipe_from(sandbox), expected(sandbox)
        clock_moved_on(sandbox)
        pipe.run().succeeded()
        since = clock_moved_on(sandbox)
        changes = sandbox.post("/sandbox/change", {"share": 0.01, "seed": 7, "kinds": KNOWN_KINDS})
        now = expected(sandbox, before)
        sandbox.post("/sandbox/stats/reset")

        run = pipe.run().succeeded()

        sent = sandbox.requests()
        queries = {
            path: [seen["query"] for seen in sent if seen["path"] == path]
            for path in (*V2_LISTINGS, *V1_LISTINGS, "/api/v1/leads/archived")
        }
    assert {path: len(found) for path, found in queries.items()} == dict.fromkeys(queries, 1)
    for path in (*V2_LISTINGS, *V1_LISTINGS):
        asked = queries[path][0]["updated_since"]
        assert asked.endswith("Z")
        assert before_an_hour_ago(asked, since)
    for path in V2_LISTINGS:
        assert queries[path][0]["sort_by"] == "update_time"

    for stream in INCREMENTAL:
        changed = {
            key[0]
            for key, row in now[stream].rows.items()
            if row["update_time"] and row["update_time"] >= since
        }
        assert changed
        assert run.ids(stream) == changed, stream
    assert differences(database, after_run(before, now, since)) == []
    assert_only_a_reconcile_could_tell(before, now, since, changes)


def before_an_hour_ago(asked: str, since: datetime) -> bool:
    """Return whether the bookmark is that of the first run, allowing for the lookback and the run's duration."""
    moved = since - (moment(asked) or since)
    return 3600 <= moved.total_seconds() <= 3600 + 60 + 120


def assert_only_a_reconcile_could_tell(
    before: Expected, now: Expected, since: datetime, changes: list[dict[str, str]]
) -> None:
    """Check what an incremental run cannot see: rows that no list contains any more, and silent changes."""
    loaded = after_run(before, now, since)
    gone = {
        (change["entity"], change["id"])
        for change in changes
        if (change["kind"] == "merge" and change["into"] is not None)
        or (change["kind"] == "delete" and change["entity"] not in ("deals", "deal_products"))
    }
    gone &= {  # records added and removed between the two runs were never seen
        (table, key[0]) for table in INCREMENTAL for key in before[table].rows
    }
    stale = {
        (table, key[0]) for table in INCREMENTAL for key in loaded[table].rows.keys() - now[table].rows.keys()
    }
    assert stale == gone
    silent = {
        (table, column)
        for table in INCREMENTAL
        for key, row in now[table].rows.items()
        for column, value in row.items()
        if loaded[table].rows[key][column] != value
    }
    # a merge of persons changes them without a new update_time
    assert silent <= {("activities", "participants")}
