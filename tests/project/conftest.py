"""A clone of the project for each test that asks for one."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pipedrive_sandbox.testing import Sandbox
from psycopg.conninfo import conninfo_to_dict

from .clone import Clone


@pytest.fixture
def clone(tmp_path: Path, sandbox: Sandbox, database: str) -> Iterator[Clone]:
    """The working tree as git would clone it once it is committed."""
    url = conninfo_to_dict(database)
    clone = Clone.make(
        tmp_path,
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
    yield clone
    clone.run("make clean")
