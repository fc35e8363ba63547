"""Makes the paths of linked packages in virtual environments relative.

A linked package is listed with the clone's path in a .pth file. Without a locale, as under cron, Python reads
these files as ASCII, and does not start if the path has other characters.
"""

import os
import sys
from pathlib import Path


def make_relative(environment: Path) -> None:
    """Replace the .pth files of a virtual environment, because uv's cache and other environments link to the
    old ones.
    """
    for path in environment.glob("lib/python*/site-packages/_*.pth"):
        lines = [
            os.path.relpath(line, path.parent) if line.startswith("/") else line
            for line in path.read_text(encoding="utf-8").splitlines()
        ]
        new = path.with_suffix(".new")
        new.write_text("\n".join(lines), encoding="utf-8")
        new.replace(path)


if __name__ == "__main__":
    for each in sys.argv[1:]:
        make_relative(Path(each))
