"""The commands of the README, run for real: in a clone of their own, with an empty home, in their order.

Needs Linux, for its /proc. Pages of packages come from the user's own caches.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pipedrive_sandbox.testing import Sandbox
from psycopg.conninfo import conninfo_to_dict

from .documents import ENGLISH, ROOT, blocks

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
"""Beginnings of the variables that a fresh shell would not have."""

SMALL = {
    "DEALS": "400",
    "PYTEST_ARGS": "-q tests/project/test_agreement.py tests/project/test_documents.py",
}
"""`make` takes these from the environment: a smaller demo, and of the tests those that do not run this one."""


MODELS_ONLY = {"DBT_RESOURCE_TYPES": "model seed"}
"""dbt takes this from the environment: its tests have run once, and take more time than its models."""


@dataclass
class Clone:
    """A clone of the working tree, and the home of its user."""

    folder: Path
    home: Path
    account: dict[str, str]
    """Variables of an account and a database."""
    haste: dict[str, str] = field(default_factory=dict)
    """More variables, which spare time."""

    @property
    def output(self) -> Path:
        """What the last script printed."""
        return self.home.parent / "output.txt"

    @property
    def environment(self) -> dict[str, str]:
        """What a fresh shell has, with the Python of this test."""
        fresh = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        caches = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
        return {
            **fresh,
            **SMALL,
            **self.haste,
            "HOME": str(self.home),
            "PATH": f"{sys.base_prefix}/bin:{os.environ['PATH']}",
            "UV_CACHE_DIR": os.environ.get("UV_CACHE_DIR", str(caches / "uv")),
            "PIP_CACHE_DIR": os.environ.get("PIP_CACHE_DIR", str(caches / "pip")),
        }

    def start(self, script: str, *, with_account: bool = False) -> subprocess.Popen[str]:
        """Start a script in a session of its own, as a terminal does; what it prints goes to `output`."""
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

    def run(self, script: str, *, with_account: bool = False) -> str:
        """Run a script to its end, and return what it printed."""
        process = self.start(script, with_account=with_account)
        try:
            assert process.wait(timeout=300) == 0, f"{script}\n{self.output.read_text()}"
        except BaseException:
            with suppress(ProcessLookupError):  # else it may have left something in the background
                os.killpg(process.pid, signal.SIGKILL)
            raise
        return self.output.read_text()

    def fill_in(self) -> None:
        """Write the account and the database into .env, as its reader would."""
        path = self.folder / ".env"
        lines = [line for line in path.read_text().splitlines() if line.partition("=")[0] not in self.account]
        path.write_text("\n".join([*lines, *(f"{name}={value}" for name, value in self.account.items())]))

    def processes(self) -> list[str]:
        """Commands of the processes that run in, or from, the clone or the data of its Postgres."""
        folders = (str(self.folder), str((self.folder / ".run/warehouse/data").resolve()))
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                where = os.readlink(process / "cwd")
            except OSError:  # it ended meanwhile, or is somebody else's
                continue
            is_ending = not command  # its memory is gone, only its entry is still there
            if not is_ending and (where.startswith(folders) or any(folder in command for folder in folders)):
                found.append(command)
        return found

    def leftovers(self) -> str:
        """What git does not know."""
        status = subprocess.run(
            ["git", "status", "--short", "--ignored"],
            cwd=self.folder,
            check=True,
            capture_output=True,
            text=True,
        )
        return status.stdout


@pytest.fixture
def clone(tmp_path: Path, sandbox: Sandbox, database: str) -> Iterator[Clone]:
    """The working tree as git would clone it once it is committed."""
    folder, home = tmp_path / "clone", tmp_path / "home"
    home.mkdir()
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split(
        "\0"
    ):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@example.com"]
    for words in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message=clone"]):
        subprocess.run([*git, *words], cwd=folder, check=True)
    url = conninfo_to_dict(database)
    account = {
        "TAP_PIPEDRIVE_API_URL": sandbox.url,
        "TAP_PIPEDRIVE_API_TOKEN": sandbox.token,
        "TARGET_POSTGRES_HOST": str(url["host"]),
        "TARGET_POSTGRES_PORT": str(url["port"]),
        "TARGET_POSTGRES_USER": str(url["user"]),
        "TARGET_POSTGRES_PASSWORD": str(url["password"]),
        "TARGET_POSTGRES_DATABASE": str(url["dbname"]),
    }
    clone = Clone(folder, home, account)
    yield clone
    clone.run("make clean")


def is_postgres(command: str) -> bool:
    return "postgres" in command.partition(" ")[0]


def test_commands_of_the_readme(clone: Clone) -> None:
    """Every block, in order; both languages have the same, as another test says."""
    outputs = []
    for block in blocks(ENGLISH):
        if block.language != "sh":
            continue
        output = clone.run(block.text, with_account=block.mark == "account")
        if block.text == "make run\n":
            outputs.append(output)
            clone.haste = MODELS_ONLY
            assert all(map(is_postgres, clone.processes())), "only Postgres may stay"
        if block.text.startswith("install -m 600 .env.example .env"):
            clone.fill_in()
        if block.text == "make clean\n":
            assert clone.processes() == []
            assert clone.leftovers() == ""
    first, second, account = outputs
    assert "The warehouse is empty: everything is loaded" in first
    assert "Incremental: only what changed since the last run is loaded" in second
    assert "(meltano run sync)" in account


def test_interrupted_run_leaves_no_process(clone: Clone) -> None:
    """Ctrl-C in a terminal reaches the whole group: make, and what it has started."""
    process = clone.start("make run")
    while " rows in " not in clone.output.read_text():
        assert process.poll() is None, clone.output.read_text()
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(timeout=60) != 0
    assert "Traceback" not in clone.output.read_text()
    patience = time.monotonic() + 30  # Meltano does not wait for those that it stops
    while clone.processes() and time.monotonic() < patience:
        time.sleep(0.05)
    assert clone.processes() == []
