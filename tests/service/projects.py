"""The project as a service has it: the code of the original, and nothing of its runs."""

import shutil
from pathlib import Path

from tests.project.documents import ROOT

CODE = (
    ".venv", "deploy", "orchestrate", "plugins", "tap-pipedrive", "transform",
    ".meltano/extractors", ".meltano/loaders", ".meltano/utilities",
)  # fmt: skip


def copy_of_project(folder: Path) -> Path:
    """Make a copy in a folder that does not exist yet, and return the folder."""
    (folder / ".meltano").mkdir(parents=True)
    for name in ("meltano.yml", "logging.yaml"):
        shutil.copy(ROOT / name, folder)
    for name in CODE:
        (folder / name).symlink_to(ROOT / name)
    return folder


def as_in_the_image(folder: Path, environment: Path = ROOT / ".venv") -> Path:
    """Make what the image has in /opt/meltano, where the environment's links to the code lead, and return it."""
    folder.mkdir()
    (folder / "venv").symlink_to(environment)
    for name in ("orchestrate", "plugins", "sandbox", "tap-pipedrive", "warehouse"):
        (folder / name).symlink_to(ROOT / name)
    return folder
