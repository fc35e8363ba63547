"""Cleans up after a test run, however it ended: `python tests/cleanup.py FOLDER`."""

import shutil
import sys
from pathlib import Path

from embedded_postgres.warehouse import Warehouse


def clean_up(folder: Path) -> None:
    """Stop every Postgres of the test run, and remove its folder."""
    clones = (folder / "clones").glob("*/clone/.run/warehouse")
    for home in (*(folder / "warehouses").glob("*"), *clones):
        Warehouse(home).delete()
    shutil.rmtree(folder)


if __name__ == "__main__":
    clean_up(Path(sys.argv[1]))
