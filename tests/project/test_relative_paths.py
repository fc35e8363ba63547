"""Environments whose linked packages are named by relative paths."""

import os
from pathlib import Path

from orchestrate.relative_paths import make_relative


def test_a_file_that_is_shared_with_another_environment_stays_as_it_is_there(tmp_path: Path) -> None:
    own = tmp_path / "environment" / "lib" / "python3.12" / "site-packages" / "_editable.pth"
    own.parent.mkdir(parents=True)
    shared = tmp_path / "cache.pth"
    shared.write_text(f"{tmp_path}/package\n")
    os.link(shared, own)
    for _ in range(2):
        make_relative(tmp_path / "environment")
        assert own.read_text() == "../../../../package"
    assert shared.read_text() == f"{tmp_path}/package\n"
    assert (own.parent / own.read_text()).resolve() == tmp_path / "package"
