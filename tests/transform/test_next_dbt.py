"""The project on the next release line of dbt, without its new parser, which is not on PyPI."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from ..layers import find
from .conftest import Account, Dbt

NEXT = ("dbt-core==1.12.6", "dbt-postgres==1.11.0")
LEFT_OUT = "dbt-core-experimental-parser; sys_platform == 'never'\n"


@pytest.mark.next_dbt
def test_the_next_dbt_parses_and_builds_without_a_warning(
    new_database: Callable[..., str], tmp_path: Path
) -> None:
    environment, overrides = tmp_path / "venv", tmp_path / "overrides.txt"
    overrides.write_text(LEFT_OUT)
    uv = find("uv")
    assert uv
    subprocess.run([uv, "venv", "--quiet", str(environment)], check=True)
    install = [uv, "pip", "install", "--quiet", "--python", str(environment), "--override", str(overrides)]
    subprocess.run([*install, *NEXT], check=True)
    url = new_database("next_dbt")
    parsed = tmp_path / "parsed" / "partial_parse.msgpack"
    parsed.parent.mkdir()
    dbt = Dbt(environment / "bin" / "dbt", parsed, urlsplit(url).path[1:])
    account = Account(url, tmp_path, dbt)
    account.create_raw_tables({})
    assert set(account.build().values()) == {"success", "pass"}
