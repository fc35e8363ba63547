"""A clone of the working tree in which scripts run as a new user would run them.

It needs Linux for /proc. Package files come from the user's own caches.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from .documents import ROOT

OURS = (
    "MAKE",
    "PYTEST",
    "PYTHON",
    "UV_",
    "VIRTUAL_ENV",
    "TAP_",
    "TARGET_",
    "MELTANO",
    "DBT_",
    "DEALS",
    "XDG_",
)
"""Prefixes of variables that a fresh shell would not have."""

SMALL = {
    "DEALS": "120",
    "PYTEST_ARGS": "-q -n 0 tests/project/test_agreement.py tests/project/test_documents.py",
}
"""Variables for `make`: a smaller demo, and tests that do not start this test again."""

INSTALLED = (
    *(".venv", ".run/uv", ".run/installed"),
    *(f".meltano/{kind}" for kind in ("extractors", "loaders", "utilities")),
)
"""Installed folders. Their programs contain absolute paths, so they work only in clones at the same path."""

PATIENCE = 600.0
"""Seconds without output after which a script counts as stuck, on a very busy machine."""


@dataclass
class Clone:
    """A clone of the working tree, and the home of its user."""

    folder: Path
    home: Path
    account: dict[str, str]
    """Variables of an account and a database."""
    haste: dict[str, str] = field(default_factory=dict)
    """Additional variables that save time."""

    @classmethod
    def make(cls, parent: Path, account: dict[str, str]) -> "Clone":
        """Clone the working tree as if it were committed, beside an empty home."""
        folder, home = parent / "clone", parent / "home"
        home.mkdir()
        listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout
        for name in names.split("\0"):
            if name and (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
        git = ["git", "-c", "user.name=test", "-c", "user.email=test@example.com"]
        for words in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message=clone"]):
            subprocess.run([*git, *words], cwd=folder, check=True)
        return cls(folder, home, account)

    @property
    def _kept(self) -> Path:
        return self.home.parent.with_name(f"{self.home.parent.name}_installed")

    def keep_installed(self) -> None:
        """Keep a copy of the installed folders for the next clones at this path."""
        _copy(self.folder, self._kept)

    def take_installed(self) -> None:
        """Copy the folders that earlier clones at this path have kept; anything missing installs itself."""
        _copy(self._kept, self.folder)

    @property
    def output(self) -> Path:
        """Return the output of the last script."""
        return self.home.parent / "output.txt"

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables of a fresh shell with the Python of this test."""
        fresh = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        caches = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
        return {
            **fresh,
            **SMALL,
            **self.haste,
            "HOME": str(self.home),
            "PIP_NO_COMPILE": "1",  # Python compiles only the modules that are used, which is faster
            "PATH": f"{sys.base_prefix}/bin:{os.environ['PATH']}",
            "UV_CACHE_DIR": os.environ.get("UV_CACHE_DIR", str(caches / "uv")),
            "PIP_CACHE_DIR": os.environ.get("PIP_CACHE_DIR", str(caches / "pip")),
        }

    def start(self, script: str, *, with_account: bool = False) -> subprocess.Popen[str]:
        """Start a script in its own session, as a terminal does; its output goes to `output`."""
        with self.output.open("w") as output:
            return subprocess.Popen(
                ["bash", "-e", "-o", "pipefail", "-c", script],
                cwd=self.folder,
                env=self.environment | (self.account if with_account else {}),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )

    def wait(self, process: subprocess.Popen[str]) -> int:
        """Wait for the end of a script as long as it prints something now and then; return its exit code."""
        printed = -1
        while (size := self.output.stat().st_size) > printed:
            printed = size
            with suppress(subprocess.TimeoutExpired):
                return process.wait(timeout=PATIENCE)
        raise AssertionError(f"nothing was printed for {PATIENCE:.0f} s\n{self.output.read_text()}")

    def run(self, script: str, *, with_account: bool = False) -> str:
        """Run a script to its end, and return its output."""
        process = self.start(script, with_account=with_account)
        try:
            assert self.wait(process) == 0, f"{script}\n{self.output.read_text()}"
        except BaseException:
            with suppress(ProcessLookupError):  # otherwise it may have left a process in the background
                os.killpg(process.pid, signal.SIGKILL)
            raise
        return self.output.read_text()

    def fill_in(self) -> None:
        """Write the account and the database into .env, as a user would."""
        path = self.folder / ".env"
        lines = [line for line in path.read_text().splitlines() if line.partition("=")[0] not in self.account]
        path.write_text("\n".join([*lines, *(f"{name}={value}" for name, value in self.account.items())]))

    def processes(self) -> list[str]:
        """Return the commands of processes that run in or from the clone or the data of its Postgres."""
        folders = (str(self.folder), str((self.folder / ".run/warehouse/data").resolve()))
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                where = os.readlink(process / "cwd")
            except OSError:  # the process has ended, or belongs to another user
                continue
            is_ending = not command  # a zombie, which has released its memory
            if not is_ending and (where.startswith(folders) or any(folder in command for folder in folders)):
                found.append(command)
        return found

    def processes_that_stay(self, *, but: Callable[[str], bool] = lambda command: False) -> list[str]:
        """Return the commands of the processes, `but` some, that still run after a long time."""
        found, patience = self.processes(), time.monotonic() + PATIENCE
        while (found := [each for each in found if not but(each)]) and time.monotonic() < patience:
            time.sleep(0.05)
            found = self.processes()
        return found

    def leftovers(self) -> str:
        """Return the files that git does not know."""
        status = subprocess.run(
            ["git", "status", "--short", "--ignored"],
            cwd=self.folder,
            check=True,
            capture_output=True,
            text=True,
        )
        return status.stdout


def _copy(source: Path, target: Path) -> None:
    """Copy installed files that are missing as links: installers replace files and never write into them."""
    for name in INSTALLED:
        if (source / name).exists() and not (target / name).exists():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            subprocess.run(["cp", "--archive", "--link", source / name, target / name], check=True)
