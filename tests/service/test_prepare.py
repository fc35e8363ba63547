"""`python -m orchestrate.prepare` reports each problem in one sentence."""

import os
import subprocess
import sys

import pytest

from tests.project.documents import ROOT

WRONG = {
    "": "MELTANO_DATABASE_URI is not the address of a Postgres",
    "sqlite:///meltano.db": "MELTANO_DATABASE_URI is not the address of a Postgres",
    "postgresql+psycopg://orchestrator:hidden-word@127.0.0.1:9/meltano": "system database cannot be used",
}


@pytest.mark.parametrize("address", WRONG)
def test_an_unusable_database_address_is_explained(address: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "orchestrate.prepare"],
        cwd=ROOT,
        env={**os.environ, "MELTANO_DATABASE_URI": address},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert WRONG[address] in done.stderr
    assert "hidden-word" not in done.stderr
