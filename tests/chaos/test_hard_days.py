"""After any hard day, one good run makes the warehouse equal the account.

After each run, including the bad ones, nothing incomplete is called complete.
"""

from pathlib import Path

import pytest
from embedded_postgres.warehouse import Warehouse

from ..pipeline.verdicts import Judge
from .day import Day


def test_one_good_run_heals_a_hard_day(
    seed: int, target: Path, tmp_path: Path, warehouse: Warehouse, database: str, judge: Judge
) -> None:
    day = Day(seed, target, tmp_path, warehouse, database, judge)
    try:
        found = day.live()
    except BaseException as error:
        error.add_note(day.story)
        raise
    if found:
        pytest.fail("\n".join([day.story, *found]))
