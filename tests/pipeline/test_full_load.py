"""A full load of an account with all troubles on: every row and column is what Pipedrive knows."""

from collections.abc import Callable

from pipedrive_sandbox.testing import Sandbox

from .expected import Expected
from .pipe import Pipe
from .raw import differences


def test_every_row_and_column_of_2000_deals_equals_the_truth(
    account: Sandbox, account_tables: Expected, pipe_from: Callable[[Sandbox], Pipe], database: str
) -> None:
    run = pipe_from(account).run().succeeded()
    assert differences(database, account_tables) == []
    assert len(account_tables["deals"].rows) == 2000
    assert run.records["rejected_values"] == 0
    assert "no column" not in run.tap_log
