"""Copies of the project as a service has it: the original's code without its runs."""

import shutil
import subprocess
from pathlib import Path

from tests.project.documents import ROOT

CODE = (
    ".venv", "deploy", "orchestrate", "plugins", "tap-pipedrive", "transform",
    ".meltano/extractors", ".meltano/loaders", ".meltano/utilities",
)  # fmt: skip


def copy_of_project(folder: Path) -> Path:
    """Copy the project into a folder that does not exist yet, and return the folder."""
    (folder / ".meltano").mkdir(parents=True)
    for name in ("meltano.yml", "logging.yaml"):
        shutil.copy(ROOT / name, folder)
    for name in CODE:
        (folder / name).symlink_to(ROOT / name)
    _make_readable(*(ROOT / name for name in CODE if name.startswith(".meltano/")))
    return folder


def as_in_the_image(folder: Path, environment: Path = ROOT / ".venv") -> Path:
    """Make /opt/meltano as the image has it, to which the environment's links to the code point, and return
    it.
    """
    folder.mkdir()
    _make_readable(environment)
    (folder / "venv").symlink_to(environment)
    for name in ("orchestrate", "plugins", "sandbox", "tap-pipedrive", "warehouse"):
        (folder / name).symlink_to(ROOT / name)
    return folder


def _make_readable(*folders: Path) -> None:
    """Make installed folders readable for every user, as they are in the image.

    uv links them to its cache, which has private files if another umask was in force when they were cached.
    """
    # It fails for a file that another process replaces meanwhile, such as one that Python is compiling.
    subprocess.run(["chmod", "--recursive", "--silent", "go+rX", *folders], check=False)
