"""A clone of the project for each test that asks for one."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from pipedrive_sandbox.testing import Sandbox
from psycopg.conninfo import conninfo_to_dict

from .clone import Clone


@pytest.fixture
def new_clone(run_folder: Path, worker_id: str, sandbox: Sandbox, database: str) -> Iterator[Clone]:
    """A new clone of the working tree; all clones of a test process use the same path."""
    place = run_folder / "clones" / worker_id
    place.mkdir(parents=True)
    url = conninfo_to_dict(database)
    clone = Clone.make(
        place,
        {
            "TAP_PIPEDRIVE_API_URL": sandbox.url,
            "TAP_PIPEDRIVE_API_TOKEN": sandbox.token,
            "TARGET_POSTGRES_HOST": str(url["host"]),
            "TARGET_POSTGRES_PORT": str(url["port"]),
            "TARGET_POSTGRES_USER": str(url["user"]),
            "TARGET_POSTGRES_PASSWORD": str(url["password"]),
            "TARGET_POSTGRES_DATABASE": str(url["dbname"]),
        },
    )
    try:
        yield clone
        clone.keep_installed()
        clone.run("make clean")
    finally:
        shutil.rmtree(place)


@pytest.fixture
def clone(new_clone: Clone) -> Clone:
    """A clone with everything that an earlier test has installed."""
    new_clone.take_installed()
    return new_clone
