"""A full load of an account with all troubles on: every row and column is what Pipedrive knows."""

from collections.abc import Callable

from pipedrive_sandbox.testing import Sandbox

from .conftest import TOKEN
from .contract import OF_THE_RUN, OPTIONAL
from .expected import Expected, after_run, expected
from .pipe import Pipe
from .raw import differences
from .test_incremental import clock_moved_on

CHANGED = [
    "deals",
    "persons",
    "organizations",
    "products",
    "notes",
    "projects",
    "tasks",
    "files",
    "deal_products",
    "deal_installments",
    "deal_discounts",
    "deal_followers",
    "deal_participants",
    "person_followers",
    "organization_followers",
    "product_variations",
    "note_comments",
]


def test_every_row_and_column_of_2000_deals_equals_the_truth(
    account: Sandbox, account_tables: Expected, pipe_from: Callable[[Sandbox], Pipe], database: str
) -> None:
    run = pipe_from(account).run().succeeded()
    assert differences(database, account_tables) == []
    assert len(account_tables["deals"].rows) == 2000
    assert run.records["rejected_values"] == 0
    assert "no column" not in run.tap_log


def test_optional_streams_equal_the_truth_before_and_after_changes(
    pipe_from: Callable[[Sandbox], Pipe], database: str
) -> None:
    with Sandbox(deals=300, tokens=[TOKEN]) as sandbox:
        pipe = pipe_from(sandbox)
        pipe.everything = True
        pipe.api["history"] = "all"
        before = expected(sandbox, everything=True, history="all")
        clock_moved_on(sandbox)
        run = pipe.run().succeeded()
        assert differences(database, before) == []
        assert all(before[table].rows for table in OPTIONAL.keys() - OF_THE_RUN)
        assert "no column" not in run.tap_log

        since = clock_moved_on(sandbox)
        sandbox.post("/sandbox/change", {"share": 0.2, "seed": 7, "entities": CHANGED})
        now = expected(sandbox, before, everything=True, history="all")
        pipe.run().succeeded()
    assert differences(database, after_run(before, now, since)) == []
