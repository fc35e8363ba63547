"""Copies of the project as a service has it: the original's code without its runs."""

import shutil
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
    return folder


def as_in_the_image(folder: Path, environment: Path = ROOT / ".venv") -> Path:
    """Make /opt/meltano as the image has it, to which the environment's links to the code point, and return
    it.
    """
    folder.mkdir()
    (folder / "venv").symlink_to(environment)
    for name in ("orchestrate", "plugins", "sandbox", "tap-pipedrive", "warehouse"):
        (folder / name).symlink_to(ROOT / name)
    return folder
