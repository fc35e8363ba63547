"""On a process's `PYTHONPATH`: it never waits longer than an instant, so that tests need not wait for retries."""

import time

_sleep = time.sleep


def _doze(seconds: float) -> None:
    _sleep(min(seconds, 0.01))


vars(time)["sleep"] = _doze
