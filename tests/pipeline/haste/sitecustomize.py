"""Shortens every sleep of a process that has this folder on its `PYTHONPATH`, so that retries cost no time.

If `ROWS_PER_PAGE` is set, the tap also asks for smaller pages, so that the lists of a small account have
several.
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
