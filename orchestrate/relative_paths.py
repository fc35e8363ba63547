"""Make the paths of linked packages relative in virtual environments.

A package that is linked, not copied, stands in a .pth file with the place of the clone. Without a locale, as under
cron, Python reads these files as ASCII, and does not start when that place has another letter in its name.
"""

import os
import sys
from pathlib import Path


def make_relative(environment: Path) -> None:
    """Replace the .pth files of a virtual environment: uv's cache and other environments link to the old ones."""
    for path in environment.glob("lib/python*/site-packages/_*.pth"):
        lines = [
            os.path.relpath(line, path.parent) if line.startswith("/") else line
            for line in path.read_text(encoding="utf-8").splitlines()
        ]
        # uv has the file in its cache, too, as a hard link: that one stays as it is.
        new = path.with_suffix(".new")
        new.write_text("\n".join(lines), encoding="utf-8")
        new.replace(path)


if __name__ == "__main__":
    for each in sys.argv[1:]:
        make_relative(Path(each))
