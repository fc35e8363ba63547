"""Installs Meltano's plugins once for each version and location of the clone."""

import hashlib
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from orchestrate.errors import RunError
from orchestrate.output import say
from orchestrate.paths import BIN, ROOT, RUN
from orchestrate.permissions import USERS_MASK
from orchestrate.relative_paths import make_relative

SOURCES = ("meltano.yml", "tap-pipedrive/pyproject.toml", "plugins/constraints/*", "plugins/*/pyproject.toml")
"""Files that determine what is installed; the code of the tap and the plugins is linked, not copied."""


def install(variables: Mapping[str, str], plugins: Iterable[str]) -> None:
    """Install the plugins that are missing or were installed before their versions or the clone's location
    changed.

    Raises:
        RunError: Meltano could not install them.
    """
    wanted = _fingerprint()
    stamps = {name: RUN / "installed" / name for name in plugins}
    missing = [name for name, stamp in stamps.items() if _read(stamp) != wanted]
    if not missing:
        return
    say(f"Installing the plugins: {', '.join(missing)}")
    result = subprocess.run(
        [BIN / "meltano", "install", "--clean", *missing],
        cwd=ROOT,
        env=dict(variables),
        capture_output=True,
        text=True,
        check=False,
        umask=USERS_MASK,
    )
    if result.returncode:
        raise RunError(f"meltano install failed:\n{(result.stdout + result.stderr)[-2000:]}")
    for environment in (ROOT / ".meltano").glob("*/*/venv"):
        make_relative(environment)
    for name in missing:
        stamps[name].parent.mkdir(exist_ok=True)
        stamps[name].write_text(wanted)


def _fingerprint() -> str:
    """Return a digest of the versions and of the clone's path, which the plugins' programs contain."""
    digest = hashlib.sha256(bytes(ROOT))
    for pattern in SOURCES:
        for path in sorted(ROOT.glob(pattern)):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _read(path: Path) -> str | None:
    return path.read_text() if path.exists() else None
