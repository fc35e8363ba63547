"""Invalid settings: one clear sentence, an exit code, and an unchanged warehouse."""

from collections.abc import Callable
from typing import Any

import pytest
from pipedrive_sandbox.testing import Sandbox

from .expected import expected
from .pipe import Pipe, Run
from .raw import differences, table_names

NOWHERE = "http://127.0.0.1:9"  # the port of `discard`, on which no server runs

WRONG_TOKEN = "f" * 40

BAD_API: dict[str, tuple[dict[str, Any], str]] = {
    "no token": ({"api_token": ""}, "Setting api_token is missing"),
    "wrong token": ({"api_token": WRONG_TOKEN}, "does not accept the API token"),
    "unreachable host": ({"api_url": NOWHERE}, "failed 5 times, at last with no connection"),
}

BAD_DATABASE: dict[str, tuple[dict[str, Any], str]] = {
    "wrong password": ({"password": "wrong"}, "password authentication failed"),
    "database down": (
        {"port": 9},
        "failed: Connection refused. Start the database, and check TARGET_",
    ),
}


def assert_one_sentence(run: Run, words: str) -> None:
    """Check that the tap reports the problem once, without a traceback."""
    assert run.tap_exit == 1
    (sentence,) = run.errors
    assert words in sentence
    assert "Traceback" not in run.tap_log


@pytest.mark.parametrize("case", BAD_API)
def test_a_tap_that_cannot_start_writes_nothing(pipe: Pipe, database: str, case: str) -> None:
    settings, words = BAD_API[case]
    pipe.api |= settings
    run = pipe.run(in_haste=True)
    assert_one_sentence(run, words)
    assert not run.lines
    assert table_names(database) == []
    assert pipe.state is None


@pytest.mark.parametrize("case", BAD_DATABASE)
def test_a_target_that_cannot_start_reports_why(pipe: Pipe, database: str, case: str) -> None:
    settings, words = BAD_DATABASE[case]
    pipe.loader |= settings
    run = pipe.run()
    assert run.target_exit == 1
    assert words in run.target_log
    assert_one_sentence(run, "The target stopped reading")
    assert table_names(database) == []
    assert pipe.state is None


def test_a_failed_run_leaves_the_loaded_warehouse_and_its_state_unchanged(
    pipe_from: Callable[[Sandbox], Pipe], sandbox: Sandbox, database: str
) -> None:
    pipe, before = pipe_from(sandbox), expected(sandbox)
    pipe.run().succeeded()
    sandbox.post("/sandbox/change", {"share": 0.1, "seed": 5, "kinds": ["update"]})
    state = pipe.state
    api = pipe.api
    pipe.api = api | BAD_API["wrong token"][0]
    assert pipe.run().tap_exit == 1
    pipe.api, pipe.loader = api, pipe.loader | BAD_DATABASE["wrong password"][0]
    assert pipe.run().target_exit == 1
    assert pipe.state == state
    assert differences(database, before) == []
