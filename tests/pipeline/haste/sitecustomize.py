"""On a process's `PYTHONPATH`: it never waits longer than an instant, so that tests need not wait for retries.

With `ROWS_PER_PAGE` the tap asks for smaller pages, so that the lists of a small account have many.
"""

import os
import time

_sleep = time.sleep


def _doze(seconds: float) -> None:
    _sleep(min(seconds, 0.01))


vars(time)["sleep"] = _doze

if rows := os.environ.get("ROWS_PER_PAGE"):
    from tap_pipedrive import listings

    listings.PAGE = int(rows)
